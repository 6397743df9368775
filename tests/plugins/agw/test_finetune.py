"""Training of agw: its loss by formula, steps and resume, the official recipe, and a run from a file to a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reidbench import Amount, FinetuneContext
from reidbench.components import load_attribute
from reidbench.data import read_market_folder
from reidbench.errors import ReidbenchError
from reidbench.registry import plugins
from reidbench.testing import run_matrix
from reidbench.training import Backbone, Preprocess, Update, warmup_multistep
from reidbench_agw import finetune as training
from reidbench_agw.finetune import AgwLosses, finetune
from reidbench_agw.network import AgwEmbedder
from reidbench_agw.params import AgwParams
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from tests.support.contexts import NEVER, Lines, check_resumes, make_context, same, with_workers_where_cut
from tests.support.golden import weighted_triplet
from tests.support.presets import settings_of

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {"epochs": 3, "identities": 4, "images": 2}


def backbone() -> Backbone:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), (32, 16))
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}
    return network


def context(market: Path, out: Path, die_after: int = NEVER, **params: Any) -> tuple[FinetuneContext[AgwParams], Lines]:
    source = read_market_folder(market).train
    chosen = AgwParams(**{**SMALL, **params})
    return make_context(FinetuneContext, out, chosen, die_after=die_after, source=source, backbone=backbone)


# ---------------------------------------------------------------------- the loss
@pytest.mark.parametrize("triplet", ["weighted", "weighted-code", "hard"])
@pytest.mark.parametrize("center_weight", [0.0, 0.25])
def test_the_loss_is_the_sum_of_three(triplet: str, center_weight: float) -> None:
    """Cross-entropy after the neck, w times the triplet and c times the mean squared distance to centres before it."""
    torch.manual_seed(0)
    losses = AgwLosses(AgwParams(triplet=triplet, triplet_weight=2.5, center_weight=center_weight), 5, 6)
    before, after, labels = torch.randn(6, 6), torch.randn(6, 6), torch.tensor([0, 0, 1, 1, 4, 4])
    found = losses(before, after, labels)
    logs = (after @ losses.classifiers[0].weight.t()).log_softmax(1)  # no bias
    target = torch.full_like(logs, 0.1 / 5)
    target[torch.arange(6), labels] += 0.9
    identity = -(target * logs).sum(1).mean().item()
    distances = torch.cdist(before, before)
    equal = labels[:, None] == labels[None]
    hard = (0.3 + (distances * equal).amax(1) - distances.masked_fill(equal, torch.inf).amin(1)).clamp_min(0).mean()
    soft = weighted_triplet(before, labels.tolist(), 1e-6 if triplet == "weighted-code" else 0.0)
    across = hard.item() if triplet == "hard" else soft
    centre = 0.0
    if losses.center is not None:
        centre = (before - losses.center.centers[labels]).pow(2).sum(1).mean().item()
    assert found["identity"].item() == pytest.approx(identity, abs=1e-5)
    assert found["triplet"].item() == pytest.approx(across, rel=1e-4)
    assert found["loss"].item() == pytest.approx(identity + 2.5 * across + center_weight * centre, rel=1e-4)
    assert (losses.center is None) == (center_weight == 0)


def test_centres_have_a_rate_that_does_not_depend_on_their_weight() -> None:
    moved = []
    for weight in (5e-4, 5e-2):
        torch.manual_seed(0)
        embedder = AgwEmbedder(backbone(), Preprocess((32, 16)))
        losses = AgwLosses(AgwParams(center_weight=weight), 4, embedder.backbone.dim)
        optimisers = training._optimisers(embedder, losses)
        assert losses.center is not None
        before = losses.center.centers.detach().clone()
        vectors = torch.randn(8, embedder.backbone.dim)
        losses(vectors, vectors, torch.arange(8) // 2)["loss"].backward()
        losses.scale_centres()
        optimisers["center_optimiser"].step()
        moved.append(losses.center.centers.detach() - before)
    assert moved[0].abs().max() > 0.1
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-3, atol=1e-4)


# ---------------------------------------------------------------------- the training
@pytest.mark.parametrize("accumulate", [1, 2])
def test_killed_and_resumed_is_uninterrupted(accumulate: int, tmp_path: Path, market: Path) -> None:
    def made(out: Path, die_after: int) -> Any:
        return with_workers_where_cut(context(market, out, die_after, accumulate=accumulate), out)

    trained, lines = check_resumes(tmp_path, made, finetune, 1)
    assert {"loss", "identity", "triplet", "lr", "steps"} <= lines[0].keys()
    scales = [float(block.norm.weight.detach().abs().max()) for stage in trained.attention.blocks for block in stage]
    assert len(scales) == 2
    assert min(scales) > 0  # they begin at 0
    assert trained.gem.exponent.item() != 3
    names = {type(module).__name__ for module in trained.modules() if "BatchNorm" in type(module).__name__}
    assert names == {"BatchNorm1d", "BatchNorm2d"}


def test_each_option_makes_another_network(tmp_path: Path, market: Path) -> None:
    first = finetune(context(market, tmp_path / "first", epochs=1)[0])
    assert same(first, finetune(context(market, tmp_path / "again", epochs=1)[0]))
    options: dict[str, dict[str, Any]] = {
        "blocks": {"non_local": (0, 0, 1, 0)}, "inner": {"inner": None}, "pool": {"pool": "avg"},
        "triplet": {"triplet": "hard"}, "center": {"center_weight": 0.0},
    }  # fmt: skip
    for name, params in options.items():
        assert not same(first, finetune(context(market, tmp_path / name, epochs=1, **params)[0])), name


def test_blocks_that_do_not_fit_are_one_sentence(tmp_path: Path, market: Path) -> None:
    with pytest.raises(ReidbenchError, match="non_local has 2 numbers, but the backbone has 4 stages"):
        finetune(context(market, tmp_path, non_local=(0, 2))[0])


@pytest.mark.parametrize("small", [{"identities": 4, "images": 2}, {"identities": 16, "images": 4, "accumulate": 2}])
def test_it_takes_the_steps_that_it_says(
    small: dict[str, Any], registry: plugins.Registry, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    component = registry.get("finetuner", "agw")
    steps: list[int] = []
    step = Update.step
    monkeypatch.setattr(Update, "step", lambda update: (steps.append(1), step(update)))
    ctx, _ = context(market, tmp_path, **{**small, "epochs": 2})
    component.load()(ctx)
    assert ctx.source is not None
    told = load_attribute(component.workload)(ctx.params, {"source": Amount(len(ctx.source), ctx.source.num_pids)})
    assert (told.steps, told.images) == (len(steps), 4 * small["images"])


def test_the_preset_is_the_official_recipe(registry: plugins.Registry) -> None:
    """lr rises from 3.5e-6 to 3.5e-4 in 10 of 120 epochs, and falls tenfold at 40 and 70; batches of 16 x 4."""
    component = registry.get("finetuner", "agw")
    params, settings = settings_of(component, "paper")
    assert settings == {"image_size": (256, 128), "resize": "bilinear"}
    values = {
        "epochs": 120, "identities": 16, "images": 4, "lr": 0.00035, "weight_decay": 0.0005, "label_smoothing": 0.1,
        "non_local": (0, 2, 3, 0), "inner": 1, "pool": "gem", "triplet": "weighted-code", "center_weight": 0.0005,
        "center_lr": 0.5, "flip": 0.5, "pad": 10, "erase": 0.5,
    }  # fmt: skip
    assert {name: getattr(params, name) for name in values} == values
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=params.lr)
    schedule = warmup_multistep(
        optimiser, params.epochs, warmup=params.warmup, warmup_factor=params.warmup_factor,
        milestones=params.milestones, gamma=params.gamma,
    )  # fmt: skip
    rates = []
    for _ in range(params.epochs):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    rising = [3.5e-4 * (0.01 * (1 - epoch / 10) + epoch / 10) for epoch in range(10)]
    np.testing.assert_allclose(rates, [*rising, *[3.5e-4] * 30, *[3.5e-5] * 30, *[3.5e-6] * 50], rtol=1e-6)
    few = component.params(**{**params.model_dump(exclude_unset=True), **component.rehearsal})
    told = load_attribute(component.workload)(few, {"source": Amount(32, 8)})
    assert 0 < told.steps <= 8
    assert told.images == 4


@pytest.mark.slow
def test_it_learns_stripes(tmp_path: Path, market: Path) -> None:
    """Trained on coloured stripes of four identities, it finds four unseen ones better than untrained features do."""
    board = run_matrix(
        f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 8}}
methods:
  untrained: {{finetune: none}}
  agw: {{finetune: {{use: agw, epochs: 40, identities: 4, images: 2, lr: 3.0e-3}}}}
  continued: {{finetune: {{use: agw, epochs: 1, identities: 4, images: 2}}, adapt: {{use: adabn, batch: 4}}}}
""",
        tmp_path,
    )
    protocols = {result.row.method: result.row.protocol for result in board.results}
    assert protocols["agw"] == "source labels, AP step"
    assert {result.status for result in board.results} == {"ok"}
    mean = {summary.method: summary.mean for summary in board.summary if summary.metric == "mAP"}
    assert mean["agw"] > 0.5
    assert mean["agw"] >= mean["untrained"]
