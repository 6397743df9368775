"""A training step of bot compared with plain loops: a batch in memory, the same losses, Adam.

Ours runs as in a stage: `fit` and `Loop`, Lightning Fabric, the log's means, deterministic kernels. The plain loops use
torch alone, without deterministic kernels: one with torchvision's network, one in channels-last layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.perf.rounds import ratio, rotated
from reidbench.stages import distributed
from reidbench.stages.worker import limited_threads, seed_torch
from reidbench.training import Backbone, BackboneEmbedder, Loop, Preprocess, fit
from reidbench.training.networks.torchvision_compat import torchvision_models
from reidbench_baseline import bot, resnet
from reidbench_baseline.params import BotParams, ResNetParams, TinyParams

IDENTITIES = 751  # of Market-1501
Size = tuple[int, int]


@contextmanager
def as_in_a_stage() -> Iterator[None]:
    """Enable deterministic kernels, as a stage does, and restore the setting afterwards."""
    strict, filled = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    seed_torch(0)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict)
        torch.utils.deterministic.fill_uninitialized_memory = filled


def batch(params: BotParams, size: Size) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [P x K, 3, H, W] of noise, and their labels."""
    count = params.identities * params.images
    images = torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(0))
    return images, torch.arange(params.identities).repeat_interleave(params.images)


class Ours:
    """`steps` steps of bot per call; `losses` has the mean loss of each call."""

    def __init__(self, backbone: Backbone, params: BotParams, size: Size, steps: int) -> None:
        backbone.spec = {}
        self.losses: list[float] = []
        self.embedder = BackboneEmbedder(backbone, Preprocess(size), neck=True)
        torch.manual_seed(0)
        self.heads = bot._Losses(params, IDENTITIES, backbone.dim)
        images, labels = batch(params, size)
        self.labels = np.asarray(labels)
        self.batches = [(images, torch.arange(len(images)))] * steps
        ctx: Any = SimpleNamespace(
            fabric=distributed.fabric(1, "32-true", "cpu"),
            checkpoint=SimpleNamespace(epochs=lambda total, **state: range(total)),
            log=lambda line: self.losses.append(line["loss"]),
        )
        networks = {"embedder": self.embedder, "losses": self.heads}
        self.loop = Loop(ctx, 1, networks, bot._optimisers(self.embedder, self.heads, params))

    def __call__(self) -> None:
        def loss(vectors: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": self.heads(vectors[0], self.embedder.neck(vectors[0]), labels)}

        with as_in_a_stage():
            fit(self.loop, self.batches, self.labels, lambda images, _: [self.embedder.backbone(images).vector], loss)


class Plain:
    """The same steps in plain code."""

    def __init__(self, network: nn.Module, like: Ours, params: BotParams, size: Size, steps: int) -> None:
        self.network, self.losses, self.steps = network.train(), list[float](), steps
        classifier = like.heads.classifiers[0].weight.detach().clone()
        self.neck = nn.BatchNorm1d(classifier.shape[1])
        self.classifier = nn.Linear(classifier.shape[1], IDENTITIES, bias=False)
        self.classifier.weight.data.copy_(classifier)
        weights = [*network.parameters(), self.neck.weight, *self.classifier.parameters()]
        self.optimiser = torch.optim.Adam(weights, lr=params.lr, weight_decay=params.weight_decay)
        self.images, self.labels = batch(params, size)

    def in_channels_last(self) -> Plain:
        """The same object, with its network and its images in that layout."""
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.images = self.images.contiguous(memory_format=torch.channels_last)
        return self

    def __call__(self) -> None:
        total = 0.0
        for _ in range(self.steps):
            feature = self.network(self.images)
            logits = self.classifier(self.neck(feature))
            loss = F.cross_entropy(logits, self.labels, label_smoothing=0.1) + triplet(feature, self.labels)
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            total += loss.item()
        self.losses.append(total / self.steps)


def triplet(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Batch-hard triplet loss with a margin of 0.3."""
    squares = features.square().sum(1)
    distances = (squares[:, None] + squares[None] - 2 * features @ features.t()).clamp(min=1e-12).sqrt()
    same = labels[:, None] == labels[None]
    farthest = distances.masked_fill(~same, -torch.inf).amax(1)
    nearest = distances.masked_fill(same, torch.inf).amin(1)
    return F.relu(farthest - nearest + 0.3).mean()


def torchvisions(ours: Backbone) -> nn.Module:
    """torchvision's ResNet-50 with a last stride of 1 and our weights, to pooled vectors."""
    network = torchvision_models().resnet50(weights=None)
    network.layer4[0].conv2.stride = network.layer4[0].downsample[0].stride = (1, 1)
    network.fc = nn.Identity()
    network.load_state_dict(ours.state_dict())
    return network  # type: ignore[no-any-return]


class Vectors(nn.Module):
    """The pooled vectors of a backbone."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images [B, 3, H, W] to [B, C]."""
        return self.backbone(images).vector  # type: ignore[no-any-return]


def compared(runs: dict[str, Ours | Plain], rounds: int, benchmark: Any) -> dict[str, list[float]]:
    """CPU seconds in rotation, with one thread. The first losses agree, which shows that all do the same work."""
    with limited_threads(1):
        taken = rotated(runs, rounds)
        benchmark.pedantic(runs["ours"], rounds=1)
    first = {name: run.losses[0] for name, run in runs.items()}
    assert first == pytest.approx(dict.fromkeys(first, first["ours"]), rel=1e-3)
    return taken


def test_step_of_resnet50(benchmark: Any, figure: Callable[..., None]) -> None:
    size, params = (256, 128), BotParams(identities=4, images=2)
    torch.manual_seed(0)
    backbone = resnet.resnet50(ResNetParams(), size)
    start = [torchvisions(backbone) for _ in range(2)]
    ours = Ours(backbone, params, size, steps=1)
    plain, last = (Plain(network, ours, params, size, steps=1) for network in start)
    runs: dict[str, Ours | Plain] = {"ours": ours, "plain": plain, "last": last.in_channels_last()}
    taken = compared(runs, 5, benchmark)
    step = "a step of bot, ResNet-50, 256x128, CPU seconds of"
    figure(f"{step} a plain channels-last loop", ratio(taken, "ours", "last"), "times", most=1.05)
    figure(f"{step} a plain loop", ratio(taken, "ours", "plain"), "times", most=1.0)


def test_step_of_resnet_tiny(benchmark: Any, figure: Callable[..., None]) -> None:
    size, params = (64, 32), BotParams()
    torch.manual_seed(0)
    backbone = resnet.resnet_tiny(TinyParams(), size)
    other = resnet.resnet_tiny(TinyParams(), size)
    other.load_state_dict(backbone.state_dict())
    ours = Ours(backbone, params, size, steps=4)
    last = Plain(Vectors(other), ours, params, size, steps=4).in_channels_last()
    taken = compared({"ours": ours, "last": last}, 9, benchmark)
    step = "a step of bot, resnet-tiny, 64x32, CPU seconds of a plain channels-last loop"
    figure(step, ratio(taken, "ours", "last"), "times", most=1.05)
