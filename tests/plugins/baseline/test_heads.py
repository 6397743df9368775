"""Heads with a margin: equations in float64, angles by hand, extreme cosines, and training through bot."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from reidbench.matrix.benchmark import Choice
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from reidbench_baseline import bot
from reidbench_baseline.heads import ArcFace, CircleSoftmax, CosFace, CosineHead, cosine_head
from reidbench_baseline.params import BotParams
from tests.support.golden import close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
EXACT = 1e-9


def arc(cosine: torch.Tensor, margin: float) -> torch.Tensor:
    """cos(t + m) while t + m does not exceed pi, then the line c - m sin m."""
    angle = torch.acos(cosine)
    return torch.cos(angle + margin) if angle.item() + margin < math.pi else cosine - margin * math.sin(margin)


def circle(cosine: torch.Tensor, margin: float) -> torch.Tensor:
    return max(0.0, 1 + margin - cosine.item()) * (cosine - (1 - margin))


def circle_of_others(cosine: torch.Tensor, margin: float) -> torch.Tensor:
    return max(0.0, cosine.item() + margin) * (cosine - margin)


Rule = Callable[[torch.Tensor, float], torch.Tensor]
RULES: dict[str, tuple[type[CosineHead], Rule, Rule]] = {
    "arcface": (ArcFace, arc, lambda cosine, margin: cosine),
    "cosface": (CosFace, lambda cosine, margin: cosine - margin, lambda cosine, margin: cosine),
    "circle": (CircleSoftmax, circle, circle_of_others),
}


def smoothed(logits: torch.Tensor, label: int, smoothing: float) -> torch.Tensor:
    """Cross-entropy with a share of the target spread over all classes."""
    logs = logits - logits.exp().sum().log()
    return -((1 - smoothing) * logs[label] + smoothing * logs.mean())


@pytest.mark.parametrize("margin", [0.0, 0.35, 0.5])
@pytest.mark.parametrize("name", RULES)
def test_logits_and_gradients_are_the_papers(name: str, margin: float) -> None:
    """Class by class; true angles from 20 to 170 degrees, of which the last exceeds pi - m."""
    head_type, own, other = RULES[name]
    weight = wave(2, 4, 5)
    vectors = wave(3, 6, 5)
    with torch.no_grad():
        vectors[0] = weight[0] + 0.3 * vectors[0]
        vectors[4] = -weight[0] + 0.1 * vectors[4]
    head = head_type(weight.clone(), 30.0, margin)
    vectors.requires_grad_()
    known = weight.clone().requires_grad_()
    losses = []
    for vector, label in zip(vectors, LABELS.tolist(), strict=True):
        cosines = [(vector * row).sum() / (vector.norm() * row.norm()) for row in known]
        logits = [30 * (own if k == label else other)(cosine, margin) for k, cosine in enumerate(cosines)]
        losses.append(smoothed(torch.stack(logits), label, 0.1))
    wanted = torch.stack(losses).mean()
    found = torch.nn.functional.cross_entropy(head(vectors, LABELS), LABELS, label_smoothing=0.1)
    close("loss", found, wanted, EXACT)
    mine = torch.autograd.grad(found, [vectors, head.weight])
    theirs = torch.autograd.grad(wanted, [vectors, known])
    for what, one, two in zip(("vectors", "classes"), mine, theirs, strict=True):
        assert two.norm() > 1e-3
        close(f"gradient of the {what}", one, two, 1e-7)


def test_arcface_by_hand() -> None:
    """Angles of 0, 60 and 180 degrees with m = pi/6, scale 2: cos 30, cos 90 and -1 - pi/12; others are unchanged."""
    head = ArcFace(torch.tensor([[3.0, 0.0], [0.5, 0.5 * 3**0.5], [-1.0, 0.0]]), 2.0, math.pi / 6)
    vectors = torch.tensor([[5.0, 0.0]]).repeat(3, 1)
    logits = head(vectors, torch.tensor([0, 1, 2])).detach()
    own = [2 * math.cos(math.pi / 6), 0.0, 2 * (-1 - math.pi / 12)]
    assert logits.diagonal().tolist() == pytest.approx(own, abs=1e-5)
    assert logits[0, 1:].tolist() == pytest.approx([1.0, -2.0], abs=1e-5)


def test_arcface_never_rewards_a_larger_angle() -> None:
    """The logit falls with the angle from 0 to pi; cos(t + m) alone would rise beyond pi - m."""
    angles = torch.linspace(0, math.pi, 1001, dtype=torch.float64)
    values = ArcFace(torch.eye(2), 1.0, 0.5).own(torch.cos(angles))
    assert (values.diff() < 0).all()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("cosine", [1.0, -1.0, 1.0 + 1e-6, -1.0 - 1e-6])
def test_values_and_gradients_are_finite_for_extreme_cosines(name: str, cosine: float) -> None:
    """Rounding in single precision gives cosines slightly outside [-1, 1]."""
    given = torch.tensor([cosine], requires_grad=True)
    value = RULES[name][0](torch.eye(2), 64.0, 0.5).own(given)
    value.backward()
    assert value.isfinite().all()
    assert given.grad is not None
    assert given.grad.isfinite().all()


@pytest.mark.parametrize("name", RULES)
def test_a_vector_on_its_class_weight_trains_on(name: str) -> None:
    """In single precision, with all vectors at cosines of +-1 and of 0."""
    head = RULES[name][0](torch.eye(3), 64.0, 0.5)
    vectors = torch.cat([torch.eye(3), -torch.eye(3)]).mul(7).requires_grad_()
    loss = torch.nn.functional.cross_entropy(head(vectors, torch.arange(6) % 3), torch.arange(6) % 3)
    loss.backward()
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()
    assert head.weight.grad is not None
    assert head.weight.grad.isfinite().all()


def test_heads_start_with_small_weights_and_their_papers_margins() -> None:
    for name, margin in (("arcface", 0.5), ("cosface", 0.4), ("circle", 0.35)):
        head = cosine_head(BotParams(head=name), 512, 751)
        assert (head.scale, head.margin) == (64, margin)
        assert head.weight.detach().std().item() == pytest.approx(0.01, rel=0.02)
    head = cosine_head(BotParams(head="circle", head_scale=30, head_margin=0.0), 8, 4)
    assert (head.scale, head.margin) == (30, 0)


@pytest.mark.parametrize("name", RULES)
def test_bot_classifies_by_the_head_after_the_neck(name: str) -> None:
    torch.manual_seed(0)
    losses = bot._Losses(BotParams(head=name), 4, 5)
    (head,) = losses.classifiers
    assert isinstance(head, RULES[name][0])
    before, after, labels = torch.randn(4, 5), torch.randn(4, 5), torch.tensor([0, 0, 1, 1])
    expected = losses.cross_entropy(head(after, labels), labels) + losses.triplet(before, labels)
    assert losses(before, after, labels).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_margin_without_its_head_is_an_error() -> None:
    for name in ("head_scale", "head_margin"):
        with pytest.raises(ValidationError, match="require `head: arcface`, `cosface` or `circle`"):
            BotParams(**{name: 0.5})
    with pytest.raises(ValidationError, match="head_margin"):
        BotParams(head="cosface", head_margin=1.0)


def test_the_linear_head_is_no_part_of_the_key() -> None:
    """Results from before these parameters keep their keys."""
    component = plugins.load().get("finetuner", "bot")
    added = {"head", "head_scale", "head_margin", "circle_weight", "circle_scale", "circle_margin"}
    assert not added & Choice("finetuner", component, BotParams()).identity["params"].keys()
    chosen = Choice("finetuner", component, BotParams(head="arcface", head_margin=0.3)).identity["params"]
    assert {name: chosen[name] for name in added & chosen.keys()} == {"head": "arcface", "head_margin": 0.3}


@pytest.mark.slow
def test_heads_learn_stripes(tmp_path: Path, market: Path) -> None:
    """Trained on coloured stripes of four identities, each finds four unseen ones better than an untrained network."""
    rows = "\n".join(
        f"  {name}: {{finetune: {{use: bot, {values}, epochs: 30, images: 2, identities: 4, lr: 3e-3}}}}"
        for name, values in (
            *((name, f"head: {name}, head_scale: 16") for name in RULES),
            ("pairs", "circle_weight: 0.1, circle_scale: 32, triplet_weight: 0"),
        )
    )
    board = run_matrix(
        f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 8}}
methods:
  untrained: {{finetune: none}}
{rows}
""",
        tmp_path,
    )
    mean = {summary.method: summary.mean for summary in board.summary if summary.metric == "mAP"}
    assert len(mean) == 5
    assert all(mean[name] >= max(0.5, mean["untrained"]) for name in mean if name != "untrained"), mean
    store = Store(tmp_path / "store")
    logs = [store.path(key) / "log.jsonl" for key in store.keys() if (store.path(key) / "log.jsonl").exists()]  # noqa: SIM118
    assert len(logs) == 4
