"""Cost of a step: within 1.3 times the three forward-backward pairs of UP-ReID's formula."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.perf.rounds import ratio, rotated
from reidbench.stages.worker import limited_threads
from reidbench.training import Encoder, MomentumEncoders, ProjectionHead, Views
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_upreid.params import UpReidParams
from reidbench_upreid.patches import split_patches
from reidbench_upreid.pretrain import UpReidStep


def test_a_step_costs_its_three_pairs(benchmark: Any, figure: Any) -> None:
    params = UpReidParams(batch=64, splits=4, queue=1024, dim=64)
    torch.manual_seed(0)
    backbone = resnet_tiny(TinyParams(), (64, 32))
    head = ProjectionHead(backbone.dim, 64, norm=True)
    encoders = MomentumEncoders(Encoder(backbone, head), momentum=0.99, splits=4)
    step = UpReidStep(encoders, params, 0)
    views = Views(*torch.randn(3, 64, 3, 64, 32).unbind())

    def whole() -> None:
        output = step(views)
        output.loss.backward()
        step.queue.enqueue(output.keys)

    def pairs() -> None:
        """Forward and backward of f_q and forward of f_k for view, plain image and patches only."""
        patches = split_patches(views.first, 4, 2).flatten(0, 1)
        total = torch.zeros(())
        for images in (views.first, views.original, patches):
            total = total + encoders.online(images).sum()
            with torch.no_grad():
                encoders.target(images)
        total.backward()

    with limited_threads(1):
        taken = benchmark.pedantic(lambda: rotated({"step": whole, "pairs": pairs}, 10), rounds=1, iterations=1)
    figure("UP-ReID: a step against its three forward-backward pairs", ratio(taken, "step", "pairs"), "x", most=1.3)
