"""BoT compared with its equations in float64: three steps of the loss, the BNNeck, Adam and the centres."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from reidbench import FinetuneContext
from reidbench.data import read_market_folder
from reidbench.testing import write_market_folder
from reidbench.training import BackboneEmbedder, Loop
from reidbench_baseline import bot
from reidbench_baseline.params import BotParams
from tests.support.contexts import make_context
from tests.support.golden import Matrix, close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE, CHANNELS, CLASSES = (8, 4), 6, 4
PIXELS = 3 * 8 * 4
LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 3, 3])
RATE, DECAY, CENTRE_WEIGHT, CENTRE_RATE = 3.5e-4, 5e-4, 5e-4, 0.5
SINGLE = 1e-5  # the losses are computed in single precision
Tensors = dict[str, torch.Tensor]


class Training(NamedTuple):
    """Arguments of `finetune`'s loop over batches."""

    loop: Loop
    vectors: Callable[..., list[torch.Tensor]]
    losses: Callable[..., Tensors]
    before_step: Callable[[], None]


def finetune(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[Training], None], **params: Any
) -> tuple[BackboneEmbedder, list[dict[str, float]]]:
    """Runs the stage with `run` instead of the loop over its batches; returns its log lines."""

    def fit(loop: Loop, batches: Any, labels: Any, vectors: Any, losses: Any, **others: Any) -> None:
        run(Training(loop, vectors, losses, others["before_step"]))

    monkeypatch.setattr(bot, "fit", fit)
    source = read_market_folder(write_market_folder(tmp_path / "source", identities=CLASSES)).train
    assert source.num_pids == CLASSES
    ctx, lines = make_context(
        FinetuneContext, tmp_path / "out", BotParams(**params), image_size=SIZE, source=source,
        backbone=lambda: Matrix(CHANNELS, PIXELS),
    )  # fmt: skip
    return bot.finetune(ctx), lines


def cross_entropy(logits: torch.Tensor) -> torch.Tensor:
    """With target .9 for the image's class and .1 spread over all classes."""
    shares = logits.exp() / logits.exp().sum(1, keepdim=True)
    target = torch.full_like(shares, 0.1 / CLASSES)
    target[range(len(LABELS)), LABELS] += 0.9
    return -(target * shares.log()).sum(1).mean()


def triplet(before: torch.Tensor) -> torch.Tensor:
    """Over all pairs of a positive and a negative, the largest .3 + d(a, p) - d(a, n) of each anchor, not below 0."""
    hinges = []
    for a, label in enumerate(LABELS):
        to = [(before[a] - other).square().sum().clamp_min(1e-12).sqrt() for other in before]
        own, others = (torch.nonzero(which).flatten().tolist() for which in (label == LABELS, label != LABELS))
        hinges.append(torch.stack([0.3 + to[p] - to[n] for p in own for n in others]).max().clamp_min(0))
    assert sum(hinge.item() > 0 for hinge in hinges) >= 3
    return torch.stack(hinges).mean()


def terms(images: torch.Tensor, known: Tensors) -> Tensors:
    """Features, losses and their sum, as functions of the weights."""
    before = images.flatten(1) @ known["backbone.weight"].t()
    variance = (before - before.mean(0)).square().mean(0)
    after = (before - before.mean(0)) / (variance + 1e-5).sqrt() * known["neck.norm.weight"]
    centre = (before - known["center.centers"][LABELS]).square().sum(1).mean()
    found = {"before": before, "after": after, "centre": centre, "triplet": triplet(before)}
    found["identity"] = cross_entropy(after @ known["classifiers.0.weight"].t())
    return found | {"loss": found["identity"] + found["triplet"] + CENTRE_WEIGHT * centre}


def adam(known: Tensors, moments: dict[str, Tensors], step: int, rate: float) -> Tensors:
    """Kingma and Ba's Adam with weight decay in the gradient for the network, plain descent for the centres."""
    after = {}
    for name, weight in known.items():
        assert weight.grad is not None
        if name == "center.centers":
            after[name] = weight.detach() - CENTRE_RATE * weight.grad / CENTRE_WEIGHT
            continue
        gradient = weight.grad + DECAY * weight.detach()
        mean, square = (moments[kind].get(name, torch.zeros_like(gradient)) for kind in ("mean", "square"))
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient.square()
        moments["mean"][name], moments["square"][name] = mean, square
        mean, square = mean / (1 - 0.9**step), square / (1 - 0.999**step)
        after[name] = weight.detach() - rate * mean / (square.sqrt() + 1e-8)
    return after


def by_formula(training: Training) -> Tensors:
    """All trained weights in float64, with numbers from a formula."""
    networks = [training.loop.networks[name].double() for name in ("embedder", "losses")]
    weights = {name: weight for network in networks for name, weight in network.named_parameters()}
    weights.pop("neck.norm.bias")  # held at 0
    with torch.no_grad():
        for number, (name, weight) in enumerate(weights.items()):
            weight.copy_(wave(number + 2, *weight.shape))
            weight.mul_(0.1 if name == "backbone.weight" else 1).add_(1.5 if name == "neck.norm.weight" else 0)
    return weights


def compare(training: Training, weights: Tensors, epoch: int, moments: dict[str, Tensors]) -> None:
    """One step: features on both sides of the neck, loss, gradients of features and weights, weights after it."""
    known = {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
    images = wave(20 + epoch, len(LABELS), 3, *SIZE)
    expected = terms(images, known)
    expected["before"].retain_grad()
    expected["loss"].backward()
    (before,) = training.vectors(images, torch.arange(len(LABELS)))
    before.retain_grad()
    embedder = training.loop.networks["embedder"]
    seen: list[torch.Tensor] = []
    with embedder.get_submodule("neck").register_forward_hook(lambda neck, given, after: seen.append(after)):
        loss = training.losses([before], LABELS)["loss"]
    close("features before the neck", before, expected["before"], 1e-9)
    close("features after the neck", seen[0], expected["after"], 1e-9)
    close("loss", loss, expected["loss"], SINGLE)
    training.loop.update.backward(loss)
    close("gradient of the features", before.grad, expected["before"].grad, SINGLE)
    for name, weight in weights.items():
        close(f"gradient norm of {name}", weight.grad.norm(), known[name].grad.norm(), SINGLE)  # type: ignore[union-attr]
    training.before_step()
    training.loop.update.step()
    for name, moved in adam(known, moments, epoch + 1, RATE * (0.01 + 0.99 * epoch / 10)).items():
        close(f"step of {name}", weights[name] - known[name], moved - known[name], 1e-4)


def test_three_steps_are_the_papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step in each of the first three epochs of the warm-up, and the neck's running statistics after them."""
    moments: dict[str, Tensors] = {"mean": {}, "square": {}}
    mean, variance = torch.zeros(CHANNELS), torch.ones(CHANNELS, dtype=torch.float64)

    def run(training: Training) -> None:
        nonlocal mean, variance
        weights = by_formula(training)
        for epoch in itertools.islice(training.loop.epochs(), 3):
            vectors = wave(20 + epoch, len(LABELS), PIXELS) @ weights["backbone.weight"].detach().t()
            mean, variance = 0.9 * mean + 0.1 * vectors.mean(0), 0.9 * variance + 0.1 * vectors.var(0)
            compare(training, weights, epoch, moments)

    embedder, _ = finetune(tmp_path, monkeypatch, run, center_weight=CENTRE_WEIGHT)
    close("running mean of the neck", embedder.get_buffer("neck.norm.running_mean"), mean, 1e-9)
    close("running variance of the neck", embedder.get_buffer("neck.norm.running_var"), variance, 1e-9)
    images = wave(30, 2, 3, *SIZE)
    weight, scale = embedder.get_parameter("backbone.weight"), embedder.get_parameter("neck.norm.weight")
    feature = (images.flatten(1) @ weight.t() - mean) / (variance + 1e-5).sqrt() * scale
    close("feature at test", embedder.eval()(images), feature, 1e-9)


def test_the_learning_rates_are_the_papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten epochs from a hundredth to 3.5e-4, which falls to a tenth at epochs 40 and 70 of 120 (Luo et al., eq. 2)."""

    def run(training: Training) -> None:
        for _ in training.loop.epochs():
            training.loop.update.step()

    _, lines = finetune(tmp_path, monkeypatch, run)
    table = (
        [RATE * (0.01 + 0.99 * epoch / 10) for epoch in range(10)] + [RATE] * 30 + [RATE / 10] * 30 + [RATE / 100] * 50
    )
    assert len(lines) == 120
    for epoch, (line, rate) in enumerate(zip(lines, table, strict=True)):
        close(f"learning rate of epoch {epoch}", line["lr"], rate, 1e-9)
