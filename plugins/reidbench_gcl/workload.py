"""Steps and images of a training run at full scale, for `reidbench rehearse`; does not import torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload

from .hmr.params import HMRTrainingParams
from .params import ContrastParams, GCLParams

MOST_HELD_OUT = 1000


def arm(params: ContrastParams, amounts: Mapping[str, Amount]) -> Workload:
    """Steps of the contrast as if all images of the target were clustered, after gcl's warm-up if any."""
    images = amounts["target"].images
    passed = images // min(params.batch, images)
    steps = params.epochs * (params.iterations or passed)
    if isinstance(params, GCLParams):
        steps += params.warmup_epochs * (params.warmup_iterations or passed)
    return Workload(steps, params.batch)


def hmr_training(params: HMRTrainingParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return whole batches of the pool without the held-out images, as if each image showed a person."""
    images = amounts["pool"].images
    seen = images - min(round(params.held_out * images), MOST_HELD_OUT)
    return Workload(params.epochs * (seen // params.batch), params.batch)
