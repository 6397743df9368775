"""The adapters gcl, gcl-oracle and gcl-contrast (Chen et al., CVPR 2021): one loop with different second views."""

from __future__ import annotations

from reidbench import AdaptContext
from reidbench.training import Embedder

from .apart import ApartArm
from .contrast.contrast import RealArm
from .contrast.oracle import OracleArm
from .joint import JointArm
from .params import GCLParams, OracleParams, RealParams


def adapt(ctx: AdaptContext[GCLParams]) -> Embedder:
    """Generative and contrastive learning, joint or separate; return the encoder, of the start's class.

    Raises ReidbenchError without a start, and DataError if the structure does not belong to the target.
    """
    arm = JointArm(ctx) if ctx.params.joint else ApartArm(ctx)
    arm.train()
    arm.write_pictures()
    return arm.embedder


def oracle(ctx: AdaptContext[OracleParams]) -> Embedder:
    """The same contrast with the renderer's true views: the result of a perfect generator. Needs `ctx.truth`."""
    arm = OracleArm(ctx)
    arm.train()
    arm.write_pictures()
    return arm.embedder


def contrast(ctx: AdaptContext[RealParams]) -> Embedder:
    """The contrast of the real images only, with the same number of encoder steps."""
    arm = RealArm(ctx)
    arm.train()
    return arm.embedder
