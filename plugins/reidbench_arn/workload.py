"""Steps and images of arn at full scale; does not import torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload

from .params import ArnParams


def workload(params: ArnParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return the fixed number of steps, each with a source batch and, if target images are used, a target batch."""
    source, target = amounts["source"], amounts["target"]
    own = params.images * min(params.identities, source.identities or params.identities)
    others = min(params.target_images or params.identities * params.images, target.images)
    passed = params.uses_target or params.target_statistics
    return Workload(params.epochs * params.iterations, own + (others if passed else 0))
