"""MoCo v2 (Chen et al., 2020) on unlabelled persons, the baseline of unsupervised pre-training."""

from __future__ import annotations

from reidbench import PretrainContext
from reidbench.training import Backbone, MocoStep, MomentumEncoders
from reidbench.training.contrastive.params import ContrastiveParams
from reidbench.training.contrastive.pretraining import pretrain as run

from .params import MocoParams


def pretrain(ctx: PretrainContext[MocoParams]) -> Backbone:
    """Train MoCo v2 on the pool and return the query encoder's backbone."""
    return run(ctx, _step)


def _step(encoders: MomentumEncoders, params: ContrastiveParams, seed: int) -> MocoStep:
    return MocoStep(encoders, dim=params.dim, queue=params.queue, temperature=params.temperature, seed=seed)
