"""mgn-luperson compared with its equations in float64, its schedule by hand, and the part frozen at first."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from reidbench import FinetuneContext
from reidbench.data import read_market_folder
from reidbench.registry import plugins
from reidbench.training import Backbone, Preprocess, Update
from reidbench.training.weights.artifacts import load_embedder, save_embedder
from reidbench_baseline.heads import CircleSoftmax
from reidbench_baseline.mgn_luperson import (
    MgnLupersonEmbedder,
    MgnLupersonLosses,
    cross_entropy,
    finetune,
    rate,
)
from reidbench_baseline.params import MgnLupersonParams, ResNetParams, TinyParams
from reidbench_baseline.resnet import resnet50, resnet_tiny
from tests.support.contexts import check_resumes, make_context, weights
from tests.support.golden import wave

pytestmark = pytest.mark.usefixtures("one_thread")
LABELS = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
EPS = 1e-5  # of a batch norm


def tiny(size: tuple[int, int] = (96, 32)) -> Backbone:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), size)
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": list(size)}
    return network


def formula(network: torch.nn.Module) -> Any:
    """Weights by a formula; norms and exponents keep their size."""
    with torch.no_grad():
        for number, (name, parameter) in enumerate(network.named_parameters()):
            waves = wave(number % 7, *parameter.shape)
            if parameter.ndim > 1:
                parameter.copy_(waves * math.sqrt(3 / parameter[0].numel()))
            elif "exponent" not in name:
                parameter.add_(0.1 * waves)
    return network


def softmax_loss(vectors: torch.Tensor, weight: torch.Tensor, scale: float, margin: float) -> torch.Tensor:
    """Image by image and class by class, the weights in brackets as plain numbers."""
    losses = []
    for vector, label in zip(vectors, LABELS.tolist(), strict=True):
        logits = []
        for number, row in enumerate(weight):
            cosine = (vector * row).sum() / (vector.norm() * row.norm())
            value = float(cosine.detach())
            if number == label:
                logits.append(scale * max(0.0, 1 + margin - value) * (cosine - (1 - margin)))
            else:
                logits.append(scale * max(0.0, value + margin) * (cosine - margin))
        logs = torch.stack(logits) - torch.stack(logits).exp().sum().log()
        target = [0.9 if number == label else 0.1 / (len(weight) - 1) for number in range(len(weight))]
        losses.append(-sum(share * log for share, log in zip(target, logs, strict=True)))
    return torch.stack(losses).mean()  # type: ignore[arg-type]


def triplet(x: torch.Tensor) -> torch.Tensor:
    rows = []
    for own, label in zip(x, LABELS, strict=True):
        distance = ((own - x) ** 2).sum(1).clamp_min(1e-12).sqrt()
        gap = distance[label == LABELS].max() - distance[label != LABELS].min()
        rows.append(torch.log1p(gap.exp()))
    return torch.stack(rows).mean()


def compare(name: str, ours: torch.Tensor, wanted: torch.Tensor, rounding: float = 1e-9) -> None:
    near = torch.allclose(ours.double(), wanted, rtol=rounding, atol=rounding)
    assert near, f"{name} differs by {(ours - wanted).abs().max():.3g}"


def test_vectors_loss_and_gradient() -> None:
    """Generalised means (exponent 3) of halves and thirds, norms by the batch; means of 8 and of 5 losses."""
    params = MgnLupersonParams(dim=6)
    embedder = formula(MgnLupersonEmbedder(tiny(), Preprocess((96, 32)), dim=6).double().train())
    losses = formula(MgnLupersonLosses(params, 4).double())
    images = wave(3, 8, 3, 96, 32)
    common = embedder.shared(images)
    maps = []
    for branch, norm in zip(embedder.branches, embedder.norms, strict=True):
        raw = branch(common)
        mean = raw.mean((0, 2, 3), keepdim=True)
        spread = ((raw - mean) ** 2).mean((0, 2, 3), keepdim=True)
        maps.append((raw - mean) / (spread + EPS).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None])
    one, two, three = maps
    assert one.shape[2:] == two.shape[2:] == three.shape[2:] == (12, 4)  # no branch has a last stride of 2
    parts = [one, two, three, two[:, :, :6], two[:, :, 6:], three[:, :, :4], three[:, :, 4:8], three[:, :, 8:]]
    wanted = []
    for part, head in zip(parts, embedder.heads, strict=True):
        pooled = (part.clamp_min(1e-6) ** 3).mean((2, 3)) ** (1 / 3)
        reduced = pooled @ head.convolution.weight.flatten(1).T
        mean, spread = reduced.mean(0), ((reduced - reduced.mean(0)) ** 2).mean(0)
        wanted.append((reduced - mean) / (spread + EPS).sqrt() * head.neck.norm.weight + head.neck.norm.bias)
    ours = embedder.vectors(images)
    for number, (mine, theirs) in enumerate(zip(ours, wanted, strict=True)):
        compare(f"vector {number}", mine, theirs)
    identity = sum(
        softmax_loss(vector, classifier.weight, 64, 0.35)
        for vector, classifier in zip(wanted, losses.classifiers, strict=True)
    )
    compared = [*wanted[:3], torch.cat(wanted[3:5], 1), torch.cat(wanted[5:], 1)]
    loss = torch.as_tensor(identity / 8 + sum(triplet(one) for one in compared) / 5)
    found = losses(ours, LABELS)["loss"]
    compare("loss", found, loss, 1e-5)  # triplets are computed in single precision
    first = next(iter(embedder.shared.parameters()))
    (mine,) = torch.autograd.grad(found, first, retain_graph=True)
    (theirs,) = torch.autograd.grad(loss, first)
    assert theirs.norm() > 1e-3
    compare("gradient norm of the first layer", mine.norm(), theirs.norm(), 1e-5)


def test_circle_softmax_by_hand() -> None:
    """Cosines 1 and .6 with s = 10, m = .25: own 10 x .25 x (1 - .75), other 10 x .85 x (.6 - .25)."""
    classifier = CircleSoftmax(torch.tensor([[2.0, 0.0], [0.6, 0.8]]), 10.0, 0.25)
    logits = classifier(torch.tensor([[5.0, 0.0]]), torch.tensor([0]))
    assert logits.detach().tolist()[0] == pytest.approx([0.625, 2.975])
    # The mirror image: the own cosine is .6, the other's 1.
    logits = classifier(torch.tensor([[5.0, 0.0]]), torch.tensor([1]))
    assert logits.detach().tolist()[0] == pytest.approx([10 * 1.25 * 0.75, 10 * 0.65 * (0.6 - 0.75)])


def test_smoothing_goes_to_the_other_classes_alone() -> None:
    """Of three classes the own has .9 and each other one .05."""
    logits = torch.tensor([[2.0, 0.5, -1.0]])
    logs = [value - math.log(math.exp(2) + math.exp(0.5) + math.exp(-1)) for value in (2.0, 0.5, -1.0)]
    found = cross_entropy(logits, torch.tensor([0]), 0.1).item()
    assert found == pytest.approx(-(0.9 * logs[0] + 0.05 * logs[1] + 0.05 * logs[2]))


def test_layers_start_as_published() -> None:
    """Convolutions fan-out sqrt(2 / 256), norms N(1, .02) with a bias of 0, exponents 3, classes uniform in +-1/16."""
    network = resnet50(ResNetParams(), (384, 128))
    network.spec = {}
    embedder = MgnLupersonEmbedder(network, Preprocess((384, 128)))
    for head in embedder.heads:
        assert float(head.convolution.weight.detach().std()) == pytest.approx(math.sqrt(2 / 256), rel=0.02)
        assert float(head.neck.norm.weight.detach().std()) == pytest.approx(0.02, rel=0.2)
        assert not head.neck.norm.bias.requires_grad
        assert head.pool.exponent.item() == 3
    classes = MgnLupersonLosses(MgnLupersonParams(), 751).classifiers[0].weight.detach()
    assert float(classes.abs().max()) == pytest.approx(1 / 16, rel=1e-3)
    assert float(classes.std()) == pytest.approx(1 / 16 / math.sqrt(3), rel=0.01)


def test_rates_are_the_published_ones() -> None:
    """60 epochs of 202 steps: from 3.5e-6 up to step 2020, 3.5e-4 up to 6060, half way down at 9090, then 7.7e-7."""
    params = MgnLupersonParams()
    steps = 60 * params.steps(12_936)
    assert steps == 12_120
    by_hand = {0: 3.5e-6, 1010: (3.5e-6 + 3.5e-4) / 2, 2020: 3.5e-4, 6060: 3.5e-4, 9090: (3.5e-4 + 7.7e-7) / 2}
    assert {step: rate(params, step, steps) for step in by_hand} == pytest.approx(by_hand)
    assert rate(params, steps, steps) == pytest.approx(7.7e-7)
    assert rate(params, 6061, steps) < 3.5e-4


def test_the_first_epochs_train_the_heads_alone(market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first 2 of 4 epochs weights and statistics of shared part and branches are bit-identical; heads change."""
    params = MgnLupersonParams(epochs=4, identities=2, images=2, dim=8, frozen=0.5, pad=1, warmup=0.0)
    source = read_market_folder(market).train
    states: list[dict[str, torch.Tensor]] = []
    rates: list[float] = []
    made: list[MgnLupersonEmbedder] = []
    build = MgnLupersonEmbedder.__init__
    monkeypatch.setattr(
        MgnLupersonEmbedder,
        "__init__",
        lambda self, *args, **kwargs: (build(self, *args, **kwargs), made.append(self))[0],
    )
    step = Update.step

    def counted(update: Update) -> None:
        rates.append(float(update.optimisers[0].param_groups[0]["lr"]))
        states.append(weights(made[0]))
        step(update)

    monkeypatch.setattr(Update, "step", counted)
    ctx, lines = make_context(FinetuneContext, tmp_path, params, image_size=(96, 32), source=source, backbone=tiny)
    finetune(ctx)
    assert len(states) == 16
    assert [line["steps"] for line in lines] == [4, 4, 4, 4]
    kept = [name for name in states[0] if name.startswith(("shared.", "branches."))]
    assert all(torch.equal(states[0][name], states[7][name]) for name in kept)  # as each step finds them
    changed = {name for name in states[0] if not torch.equal(states[0][name], states[7][name])}
    assert {name.split(".")[0] for name in changed} == {"heads", "norms"}
    assert any(not torch.equal(states[8][name], states[15][name]) for name in kept if name.endswith("weight"))
    assert any(not torch.equal(states[8][name], states[15][name]) for name in kept if name.endswith("running_mean"))
    assert rates == pytest.approx([rate(params, number, 16) for number in range(16)])


def test_an_embedder_is_rebuilt_from_disk(tmp_path: Path) -> None:
    embedder = MgnLupersonEmbedder(tiny((64, 32)), Preprocess((64, 32)), 8).eval()
    images = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        for parameter in embedder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_embedder(tmp_path, embedder)
    loaded = load_embedder(tmp_path, lambda spec: tiny((64, 32)), {"reidbench_baseline": ""})
    assert torch.equal(loaded.eval()(images), embedder(images))
    assert embedder(images).shape == (2, 64)


@pytest.mark.parametrize("after", [1, 2])
def test_killed_and_resumed_is_uninterrupted(
    after: int, tmp_path: Path, market: Path, registry: plugins.Registry
) -> None:
    """Killed while only the heads train, and later."""
    params = MgnLupersonParams(epochs=4, identities=2, images=2, dim=8, frozen=0.5, pad=1)
    source = read_market_folder(market).train

    def made(out: Path, die_after: int) -> Any:
        return make_context(
            FinetuneContext, out, params, die_after=die_after, image_size=(96, 32), source=source, backbone=tiny,
            workers=0 if out.name == "whole" else 2,
        )  # fmt: skip

    check_resumes(tmp_path, made, registry.get("finetuner", "mgn-luperson").load(), after)
