"""Circle loss of pairs and losses with a memory: their equations in float64, pairs by hand, and resumed training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from reidbench import FinetuneContext
from reidbench.data import read_market_folder
from reidbench.matrix.benchmark import Choice
from reidbench.registry import plugins
from reidbench.training import Backbone
from reidbench_baseline import bot
from reidbench_baseline.pairs import CrossBatchMemory, MemoryLoss, circle_pairs, contrastive_pairs, triplet_pairs
from reidbench_baseline.params import BotParams, TinyParams
from reidbench_baseline.resnet import resnet_tiny
from tests.support.contexts import check_resumes, make_context
from tests.support.golden import close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2])


def by_pairs(features: torch.Tensor, scale: float, margin: float) -> torch.Tensor:
    """log(1 + sum over all pairs of a negative and a positive), image by image; weights as plain numbers."""
    losses = []
    for a, label in enumerate(LABELS.tolist()):
        to = [(features[a] * other).sum() / (features[a].norm() * other.norm()) for other in features]
        total = torch.ones((), dtype=features.dtype)
        for n in (at for at, one in enumerate(LABELS.tolist()) if one != label):
            for p in (at for at, one in enumerate(LABELS.tolist()) if one == label and at != a):
                push = max(0.0, to[n].item() + margin) * (to[n] - margin)
                pull = max(0.0, 1 + margin - to[p].item()) * (to[p] - (1 - margin))
                total = total + (scale * (push - pull)).exp()
        losses.append(total.log())
    return torch.stack(losses).mean()


@pytest.mark.parametrize(("scale", "margin"), [(16.0, 0.25), (128.0, 0.25), (32.0, 0.4)])
def test_the_circle_loss_of_pairs_is_the_papers(scale: float, margin: float) -> None:
    features = wave(4, 7, 5).requires_grad_()
    found, wanted = circle_pairs(features, LABELS, scale, margin), by_pairs(features, scale, margin)
    close("loss", found, wanted, 1e-9)
    (mine,), (theirs,) = torch.autograd.grad(found, features), torch.autograd.grad(wanted, features)
    assert theirs.norm() > 1e-3
    close("gradient", mine, theirs, 1e-7)


def test_a_batch_of_three_by_hand() -> None:
    """Cosines .6 (positive), 0 and .8, scale 2, m = .25; the third image has no positive and a loss of 0."""
    features = torch.tensor([[2.0, 0.0], [0.6, 0.8], [0.0, 3.0]])
    pull = -2 * (1.25 - 0.6) * (0.6 - 0.75)
    pushes = [2 * 0.25 * (0 - 0.25), 2 * 1.05 * (0.8 - 0.25)]
    wanted = sum(math.log1p(math.exp(pull + push)) for push in pushes) / 3
    assert circle_pairs(features, torch.tensor([0, 0, 1]), 2.0, 0.25).item() == pytest.approx(wanted, rel=1e-5)


def test_bot_adds_it_on_the_feature_before_the_neck() -> None:
    torch.manual_seed(0)
    plain, both = (bot._Losses(BotParams(circle_weight=weight), 3, 5) for weight in (0.0, 0.5))
    both.load_state_dict(plain.state_dict())
    before, after = torch.randn(7, 5), torch.randn(7, 5)
    more = (both(before, after, LABELS) - plain(before, after, LABELS)).item()
    assert more == pytest.approx(0.5 * circle_pairs(before, LABELS, 128, 0.25).item(), rel=1e-5)


# ---------------------------------------------------------------------- memory
def tiny() -> Backbone:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), (32, 16))
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}
    return network


def official(rule: str, unit: torch.Tensor, labels: torch.Tensor, held: torch.Tensor, of_held: list[int]) -> Any:
    """The paper's losses, image by image and pair by pair."""
    total = torch.zeros((), dtype=unit.dtype)
    for feature, label in zip(unit, labels.tolist(), strict=True):
        cosines = [(feature * other).sum() for other in held]
        own = [c for c, one in zip(cosines, of_held, strict=True) if one == label and c.item() < 1 - 1e-5]
        others = [c for c, one in zip(cosines, of_held, strict=True) if one != label]
        if rule == "contrastive":
            pulled, pushed = own, [c for c in others if c.item() > 0.5]
        elif own:
            pulled = [c for c in own if c.item() < max(c.item() for c in others) + 0.1]
            pushed = [c for c in others if c.item() > max(0.6, max(c.item() for c in own)) - 0.1]
        else:
            pulled, pushed = [], []
        total = total + sum(1 - c for c in pulled) + sum(pushed)
    return total / len(unit)


def batch(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Six images of three identities, whose cosines with earlier batches are often above .5."""
    labels = torch.tensor([0, 0, 1, 1, 2, 2]) + number % 2
    return wave(50, 4, 3)[labels] + 0.6 * wave(number, 6, 3), labels


@pytest.mark.parametrize("rule", ["contrastive", "triplet"])
def test_batches_are_compared_with_the_last_images(rule: MemoryLoss) -> None:
    """Five batches of 6 and a queue of 14: the third one wraps around."""
    memory = CrossBatchMemory(14, 3, rule).double()
    held: list[torch.Tensor] = []
    of_held: list[int] = []
    for number in range(5):
        features, labels = batch(number)
        features.requires_grad_()
        unit = features / features.norm(dim=1, keepdim=True)
        held, of_held = [*held, *unit.detach()][-14:], [*of_held, *labels.tolist()][-14:]
        wanted = official(rule, unit, labels, torch.stack(held), of_held)
        found = memory(features, labels)
        close(f"loss of batch {number}", found, wanted, 1e-9)
        (mine,), (theirs,) = torch.autograd.grad(found, features), torch.autograd.grad(wanted, features)
        assert theirs.norm() > 1e-2
        close(f"gradient of batch {number}", mine, theirs, 1e-9)
    assert sorted(memory.labels.tolist()) == sorted(of_held)
    assert memory.entered.item() == 30


def test_contrastive_by_hand() -> None:
    """One image with cosines .8 and 1 to its identity, of which 1 is itself, and .6, .5 and -1 to others: .2 + .6."""
    cosines = torch.tensor([[0.8, 1.0, 0.6, 0.5, -1.0]])
    same = torch.tensor([[True, True, False, False, False]])
    assert contrastive_pairs(cosines, same).item() == pytest.approx(0.2 + 0.6)


def test_triplet_by_hand() -> None:
    """Positives .65 and .9: only .65 is below .7 + .1. Negatives .7 and .85 against max(.6, .9) - .1 = .8."""
    same = torch.tensor([[True, True, False, False]])
    assert triplet_pairs(torch.tensor([[0.65, 0.9, 0.7, 0.3]]), same).item() == pytest.approx(0.35)
    assert triplet_pairs(torch.tensor([[0.65, 0.9, 0.85, 0.7]]), same).item() == pytest.approx(0.35 + 0.1 + 0.85)
    alone = triplet_pairs(torch.tensor([[1.0, 0.9, 0.95]]), torch.tensor([[True, False, False]]))
    assert alone.item() == 0


def test_bot_remembers_the_feature_after_the_neck_from_its_epoch_on() -> None:
    """Of 12 epochs with a start of 1/4 the first three neither fill nor use the memory."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {"identities": 3, "images": 3, "epochs": 12}
    plain, both = (
        bot._Losses(BotParams(memory=memory, memory_start=0.25, memory_weight=2.0, **settings), 3, 5)
        for memory in (0, 9)
    )
    both.load_state_dict(plain.state_dict(), strict=False)
    before, after = torch.randn(7, 5), torch.randn(7, 5)
    for epoch in range(12):
        both.begin(epoch)
        assert both.memory is not None
        assert both.memory.entered.item() == 7 * max(0, epoch - 3)
        more = (both(before, after, LABELS) - plain(before, after, LABELS)).item()
        if epoch < 3:
            assert more == 0
        elif epoch == 3:
            unit = torch.nn.functional.normalize(after, dim=1)
            alone = contrastive_pairs(unit @ unit.t(), LABELS[:, None] == LABELS[None]).item()
            assert more == pytest.approx(2 * alone, rel=1e-4)


def test_a_memory_smaller_than_a_batch_is_an_error() -> None:
    with pytest.raises(ValidationError, match="memory must be 0, or at least a batch of identities x images: 64"):
        BotParams(memory=63)
    assert BotParams(memory=64).memory == 64


def test_the_memory_is_no_part_of_the_key_unless_it_is_used() -> None:
    component = plugins.load().get("finetuner", "bot")
    chosen = Choice("finetuner", component, BotParams()).identity["params"]
    assert not {name for name in chosen if name.startswith("memory")}
    assert Choice("finetuner", component, BotParams(memory=64)).identity["params"]["memory"] == 64


def test_a_killed_training_with_a_memory_resumes(tmp_path: Path, market: Path) -> None:
    """The queue is part of the checkpoint: killed after three of five epochs, the result is equal to the last bit."""
    source = read_market_folder(market).train
    params = BotParams(
        epochs=5, identities=4, images=2, lr=3e-3, memory=24, memory_start=0.2, memory_loss="triplet", head="arcface"
    )

    def made(out: Path, die_after: int) -> Any:
        return make_context(FinetuneContext, out, params, die_after=die_after, source=source, backbone=tiny)

    check_resumes(tmp_path, made, bot.finetune, 3)
