"""The competition system compared with its equations in float64: loss, margins, steps, joined pseudo labels.

.1 x cross-entropy with label smoothing behind the neck and .9 x batch-hard triplet on cosine distances before it, under
Adam. No augmentation takes part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from reidbench import AdaptContext, FinetuneContext
from reidbench.data import Split, read_market_folder
from reidbench.testing import write_market_folder
from reidbench.training import Embedder, Loop, Preprocess
from reidbench_competition import finetune, joint
from reidbench_competition.params import CompetitionParams, JointParams
from tests.support.contexts import make_context
from tests.support.golden import Matrix, close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE, CHANNELS = (32, 16), 6
PIXELS = 3 * 32 * 16
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PLAIN: dict[str, Any] = {
    "epochs": 4, "images": 2, "double_below": 0, "flip": 0, "pad": 0, "jitter": 0, "affine": 0, "random_patch": 0,
    "random_shift": 0, "erase": 0,
}  # fmt: skip
MARGINS, RATES = (0.1, 0.1, 0.3, 0.3), (3.5e-4, 3.5e-5, 3.5e-6, 3.5e-6)  # of four epochs
DECAY = 5e-4
SINGLE = 1e-5  # the losses are computed in single precision
ANGLES = (0, 10, 17, 90, 95, 101, 200, 130)  # degrees, of the target's features
PSEUDO = [0, 0, -1, -1, 1, 1, -1, 1]
Tensors = dict[str, torch.Tensor]


class Training(NamedTuple):
    """Arguments of the recipe's loop over batches."""

    loop: Loop
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]]
    labels: torch.Tensor
    vectors: Callable[..., list[torch.Tensor]]
    losses: Callable[..., Tensors]
    before_epoch: Callable[[int], None]


class Listed(Embedder):
    """Features by hand, in the order of the images."""

    def __init__(self) -> None:
        super().__init__(preprocess=Preprocess(SIZE))
        radians = torch.tensor(ANGLES).double().deg2rad()
        self.rows = torch.stack([radians.cos(), radians.sin()], 1).float()

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        assert len(images) == len(self.rows)
        return self.rows


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """With target .9 for the image's class and .1 spread over all classes."""
    shares = logits.exp() / logits.exp().sum(1, keepdim=True)
    target = torch.full_like(shares, 0.1 / shares.shape[1])
    target[range(len(labels)), labels] += 0.9
    return -(target * shares.log()).sum(1).mean()


def triplet(vector: torch.Tensor, labels: torch.Tensor, margin: float) -> torch.Tensor:
    """Over anchors, the mean of max(0, margin + farthest positive - nearest negative) in 1 - cosine."""
    hinges = []
    for own, label in zip(vector, labels, strict=True):
        distance = torch.stack([1 - own @ other / (own.norm() * other.norm()) for other in vector])
        gap = distance[labels == label].max() - distance[labels != label].min()
        hinges.append((margin + gap).clamp_min(0))
    return torch.stack(hinges).mean()


def loss(images: torch.Tensor, labels: torch.Tensor, known: Tensors, margin: float) -> torch.Tensor:
    vector = images.flatten(1) @ known["whole.weight"].t()
    after = (vector - vector.mean(0)) / (vector.var(0, unbiased=False) + 1e-5).sqrt() * known["necks.0.norm.weight"]
    identity = cross_entropy(after @ known["classifiers.0.weight"].t(), labels)
    return 0.1 * identity + 0.9 * triplet(vector, labels, margin)


def by_formula(training: Training) -> Tensors:
    """All trained weights in float64, with numbers from a formula."""
    networks = [training.loop.networks[name].double() for name in ("embedder", "losses")]
    weights = {name: weight for network in networks for name, weight in network.named_parameters()}
    weights.pop("necks.0.norm.bias")  # held at 0
    with torch.no_grad():
        for number, (name, weight) in enumerate(weights.items()):
            spread = 1 / math.sqrt(PIXELS) if name == "whole.weight" else 1
            shift = {"whole.weight": spread, "necks.0.norm.weight": 1.5}.get(name, 0)
            weight.copy_(spread * wave(number + 2, *weight.shape) + shift)
    return weights


class Adam:
    """Kingma and Ba's equations with weight decay in the gradient."""

    def __init__(self) -> None:
        self.moments: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def way(self, name: str, weight: torch.Tensor, gradient: torch.Tensor, step: int) -> torch.Tensor:
        """Result of the rate 1 at `step`, counted from 1."""
        gradient = gradient + DECAY * weight
        mean, square = self.moments.get(name, (torch.zeros_like(gradient), torch.zeros_like(gradient)))
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient.square()
        self.moments[name] = mean, square
        return -mean / (1 - 0.9**step) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)


def four_steps(training: Training, pictures: list[np.ndarray]) -> None:
    """The first batch of each epoch: its images, loss, gradients and step."""
    weights, adam = by_formula(training), Adam()
    mean, std = (torch.tensor(values).double().view(3, 1, 1) for values in (MEAN, STD))
    for epoch in training.loop.epochs():
        training.before_epoch(epoch)
        images, rows = next(iter(training.batches))
        plain = torch.stack([torch.from_numpy(pictures[row]).permute(2, 0, 1).double() / 255 for row in rows.tolist()])
        plain = (plain - mean) / std
        close(f"pictures of step {epoch}", images, plain, 1e-5)
        labels = training.labels[rows]
        assert triplet(plain.flatten(1) @ weights["whole.weight"].detach().t(), labels, MARGINS[epoch]) > 0
        known = {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
        expected = loss(plain, labels, known, MARGINS[epoch])
        expected.backward()
        found = training.losses(training.vectors(plain, rows), labels)["loss"]
        close(f"loss of step {epoch}", found, expected, SINGLE)
        training.loop.update.backward(found)
        training.loop.update.step()
        for name, start in known.items():
            gradient, wanted = weights[name].grad, start.grad
            assert gradient is not None
            assert wanted is not None
            close(f"gradient norm of {name}, step {epoch}", gradient.norm(), wanted.norm(), 10 * SINGLE)
            way = adam.way(name, start.detach(), gradient, epoch + 1)
            close(f"step {epoch} of {name}", weights[name] - start, RATES[epoch] * way, 1e-6)


def in_place_of_fit(monkeypatch: pytest.MonkeyPatch, run: Callable[[Training], None]) -> None:
    def fit(loop: Loop, batches: Any, labels: np.ndarray, vectors: Any, losses: Any, **others: Any) -> None:
        run(Training(loop, batches, torch.from_numpy(labels), vectors, losses, others["before_epoch"]))

    monkeypatch.setattr(finetune, "fit", fit)


def people(folder: Path, identities: int) -> Split:
    """Four images of each identity."""
    return read_market_folder(write_market_folder(folder, identities=identities, seed=identities)).train


def pictures_of(split: Any) -> list[np.ndarray]:
    return [split.image(index).copy() for index in range(len(split))]


def test_four_steps_are_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images without augmentation; the margin grows in the middle; the rate falls after a third and seven twelfths."""
    source = people(tmp_path / "source", 4)
    in_place_of_fit(monkeypatch, lambda training: four_steps(training, pictures_of(source)))
    ctx, lines = make_context(
        FinetuneContext, tmp_path / "out", CompetitionParams(**PLAIN, identities=4), image_size=SIZE, source=source,
        backbone=lambda: Matrix(CHANNELS, PIXELS),
    )  # fmt: skip
    finetune.finetune(ctx)
    for epoch, (line, rate, margin) in enumerate(zip(lines, RATES, MARGINS, strict=True)):
        close(f"learning rate of epoch {epoch}", line["lr"], rate, 1e-9)
        close(f"margin of epoch {epoch}", line["margin"], margin, 1e-9)


def test_the_loss_of_branches() -> None:
    """The mean cross-entropy of all vectors and the mean triplet of the global ones, which come first."""
    losses = finetune.Losses(CompetitionParams(), 3, [CHANNELS] * 3, 2).double()
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    before, after = ([wave(number + shift, 6, CHANNELS) for number in range(3)] for shift in (3, 6))
    for number, classifier in enumerate(losses.classifiers):
        classifier.weight.data = wave(number + 9, 3, CHANNELS)
    heads = [classifier.weight.detach() for classifier in losses.classifiers]
    identity = sum(cross_entropy(vector @ head.t(), labels) for vector, head in zip(after, heads, strict=True)) / 3
    hinge = sum(triplet(vector, labels, 0.1) for vector in before[:2]) / 2
    close("loss", losses(before, after, labels), 0.1 * identity + 0.9 * hinge, SINGLE)


def test_pseudo_labels_join_the_labelled_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Circular search by hand, then four steps of the same loss on both sets.

    Each image selects its nearest within 60 degrees: 0 -> 1, 1 <-> 2, 3 <-> 4, 5 -> 4, 7 -> 5, and 6 none. Two that
    select each other are dropped, which leaves {0, 1} and {4, 5, 7}.
    """
    source, target = people(tmp_path / "source", 4), people(tmp_path / "target", 2).hide()
    clusters: list[list[int]] = []
    ran = []

    def run(training: Training) -> None:
        assert clusters == [PSEUDO], "pseudo labels"
        assert training.labels.tolist() == [*source.labels().tolist(), 4, 4, 5, 5, 5], "classes of both sets"
        inside = [picture for picture, label in zip(pictures_of(target), PSEUDO, strict=True) if label >= 0]
        four_steps(training, [*pictures_of(source), *inside])
        ran.append(True)

    in_place_of_fit(monkeypatch, run)
    ctx, _ = make_context(
        AdaptContext, tmp_path / "out", JointParams(**PLAIN, identities=6), image_size=SIZE, source=source,
        target=target, backbone=lambda: Matrix(CHANNELS, PIXELS), start=Listed(), truth=None,
        record_clusters=lambda epoch, found: clusters.append(found.tolist()),
    )  # fmt: skip
    joint.adapt(ctx)
    assert ran == [True]
