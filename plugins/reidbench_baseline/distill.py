"""Knowledge distillation (fast-reid's FastDistill): BoT whose logits also follow those of a trained teacher."""

from __future__ import annotations

from reidbench import FinetuneContext
from reidbench.training import BackboneEmbedder

from . import bot
from .params import DistillParams
from .teachers import Teacher


def finetune(ctx: FinetuneContext[DistillParams]) -> BackboneEmbedder:
    """Train as bot does, with the divergence from the teacher's logits as a further loss, on the labelled source.

    Raises DataError when the source has fewer than two identities, and ReidbenchError when the teacher has other
    identities, another image size or other pixel statistics.
    """
    return bot.train(ctx, "distill", Teacher.of(ctx))
