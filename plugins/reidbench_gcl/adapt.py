"""The adapters gcl, gcl-oracle and gcl-contrast (Chen et al., CVPR 2021): one loop, and what second views it has."""

from __future__ import annotations

from reidbench import AdaptContext
from reidbench.training import Embedder

from .apart import ApartArm
from .contrast.contrast import RealArm
from .contrast.oracle import OracleArm
from .joint import JointArm
from .params import GCLParams, OracleParams, RealParams


def adapt(ctx: AdaptContext[GCLParams]) -> Embedder:
    """Generative and contrastive learning, joint or apart; the answer is the encoder alone, the start's own class.

    Raises ReidbenchError without a start, and DataError for structure that does not belong to the target.
    """
    arm = JointArm(ctx) if ctx.params.joint else ApartArm(ctx)
    arm.train()
    arm.write_pictures()
    return arm.embedder


def oracle(ctx: AdaptContext[OracleParams]) -> Embedder:
    """The same contrast with the renderer's true views: what a perfect generator would give. Needs `ctx.truth`."""
    arm = OracleArm(ctx)
    arm.train()
    arm.write_pictures()
    return arm.embedder


def contrast(ctx: AdaptContext[RealParams]) -> Embedder:
    """The contrast of the images alone, with as many steps of the encoder."""
    arm = RealArm(ctx)
    arm.train()
    return arm.embedder
