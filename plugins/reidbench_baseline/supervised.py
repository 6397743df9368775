"""Supervised pre-training on other persons: BoT on the task's auxiliary data; the backbone is kept."""

from __future__ import annotations

from dataclasses import fields

from reidbench import Context, FinetuneContext, PretrainContext
from reidbench.training import Backbone

from . import bot
from .params import SupervisedParams


def pretrain(ctx: PretrainContext[SupervisedParams]) -> Backbone:
    """Train BoT on the auxiliary labels and return the backbone without its neck.

    Raises DataError when the auxiliary data have fewer than two identities.
    """
    shared = {field.name: getattr(ctx, field.name) for field in fields(Context)}
    labelled = FinetuneContext[SupervisedParams](source=ctx.auxiliary, backbone=ctx.backbone, **shared)
    return bot.train(labelled, "supervised").backbone
