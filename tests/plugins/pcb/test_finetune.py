"""Training of pcb: loss, rates, phases and resume, the papers' recipe, and a run from a file to a table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from reidbench import Amount, FinetuneContext
from reidbench.components import load_attribute
from reidbench.data import read_market_folder
from reidbench.registry import plugins
from reidbench.testing import run_matrix
from reidbench.training import Backbone, Preprocess, Update
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_pcb import finetune as training
from reidbench_pcb.finetune import PcbLosses, Phases, finetune
from reidbench_pcb.network import PcbEmbedder
from reidbench_pcb.params import PcbParams
from tests.support.contexts import NEVER, Lines, check_resumes, make_context, same, with_workers_where_cut
from tests.support.presets import settings_of

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (64, 32)  # a map of 8x4
SMALL: dict[str, Any] = {"epochs": 2, "batch": 6, "lr": 0.05, "network_rate": 1.0, "parts": 4, "dim": 8}


def backbone() -> Backbone:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), SIZE)
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": list(SIZE)}
    return network


def context(market: Path, out: Path, die_after: int = NEVER, **params: Any) -> tuple[FinetuneContext[PcbParams], Lines]:
    source = read_market_folder(market).train
    chosen = PcbParams(**{**SMALL, **params})
    return make_context(
        FinetuneContext, out, chosen, die_after=die_after, source=source, backbone=backbone, image_size=SIZE
    )


# ---------------------------------------------------------------------- loss and rates
def test_the_loss_is_the_sum_over_parts() -> None:
    """It starts at parts x log C, from classifiers of N(0, .001) with a bias of 0."""
    torch.manual_seed(0)
    losses = PcbLosses(PcbParams(parts=3, dim=8), 10)
    vectors, labels = [torch.randn(6, 8) for _ in range(3)], torch.tensor([0, 0, 1, 5, 9, 9])
    expected = torch.zeros(())
    for head, vector in zip(losses.classifiers, vectors, strict=True):
        assert head.bias.abs().max() == 0
        assert head.weight.std().item() == pytest.approx(0.001, rel=0.2)
        logits = vector @ head.weight.T + head.bias
        expected += (logits.exp().sum(1).log() - logits[torch.arange(6), labels]).mean()
    found = losses(vectors, labels)["loss"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert found.item() == pytest.approx(3 * math.log(10), abs=0.05)


def test_rates_fall_and_are_those_of_the_refinement_afterwards() -> None:
    """60 epochs at .1, from 40 on .01; then .01 again; the backbone has a tenth, and every weight is in one group."""
    params = PcbParams(refine_epochs=15, induce_epochs=5)
    embedder = PcbEmbedder(backbone(), Preprocess(SIZE), refined=True)
    losses = PcbLosses(params, 4)
    optimiser = training._optimiser(params, embedder, losses)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, Phases(params, embedder, losses).rate)
    rates = []
    for _ in range(params.passes):
        rates.append([group["lr"] for group in optimiser.param_groups])
        optimiser.step()
        schedule.step()
    new = [0.1] * 40 + [0.01] * 35
    np.testing.assert_allclose(rates, [(rate, rate / 10) for rate in new])
    assert (optimiser.defaults["momentum"], optimiser.defaults["nesterov"]) == (0.9, True)
    counts = [sum(weight.numel() for weight in group["params"]) for group in optimiser.param_groups]
    assert counts[1] == sum(weight.numel() for weight in embedder.backbone.parameters())
    assert sum(counts) == sum(weight.numel() for module in (embedder, losses) for weight in module.parameters())


# ---------------------------------------------------------------------- the phases
def test_the_part_classifier_is_trained_alone_then_all_layers(
    tmp_path: Path, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each epoch: which parts differ from before it? Statistics of batch norms count as parts."""
    changed: list[set[str]] = []
    pooling: list[bool] = []
    last: dict[str, torch.Tensor] = {}

    def watch(phases: Phases, epoch: int, begin: Any = Phases.begin) -> None:
        note(phases)
        begin(phases, epoch)
        pooling.append(phases.embedder.refined)

    def note(phases: Phases) -> None:
        state = {name: tensor.clone() for name, tensor in phases.embedder.state_dict().items()}
        state |= {f"losses.{name}": tensor.clone() for name, tensor in phases.fixed[2].state_dict().items()}
        if last:
            changed.append({name.split(".")[0] for name in state if not torch.equal(state[name], last[name])})
        last.update(state)

    monkeypatch.setattr(Phases, "begin", watch)
    monkeypatch.setattr(Phases, "end", lambda phases, end=Phases.end: (note(phases), end(phases)))
    embedder = finetune(context(market, tmp_path, refine_epochs=3, induce_epochs=2)[0])
    stripes, alone = {"backbone", "reductions", "losses"}, {"classifier"}
    assert changed == [stripes, stripes, alone, alone, stripes | alone]
    assert pooling == [False, False, True, True, True]
    assert embedder.refined
    assert embedder.spec["refined"]
    assert all(weight.requires_grad for weight in embedder.parameters())


@pytest.mark.parametrize("after", [1, 3, 4])
def test_killed_and_resumed_is_uninterrupted_in_every_phase(after: int, tmp_path: Path, market: Path) -> None:
    def made(out: Path, die_after: int) -> Any:
        given = context(market, out, die_after, refine_epochs=3, induce_epochs=2, erase=0.5)
        return with_workers_where_cut(given, out)

    trained, lines = check_resumes(tmp_path, made, finetune, after)
    assert len(lines) == 5
    assert trained.refined


def test_a_finished_training_that_is_called_again_is_the_same(tmp_path: Path, market: Path) -> None:
    """No epoch is left, and the network has refined parts all the same."""
    ctx, _ = context(market, tmp_path, refine_epochs=1)
    first = finetune(ctx)
    again = finetune(context(market, tmp_path, refine_epochs=1)[0])
    assert again.refined
    assert same(first, again)


def test_only_epochs_with_refined_parts_are_looked_at(tmp_path: Path, market: Path) -> None:
    """Of three epochs the first two have stripes, which the network of the third could not be restored to."""
    lines, notes = [], []
    for name, refine in (("stripes", 0), ("refined", 1)):
        data = read_market_folder(market)
        ctx, logged = context(market, tmp_path / name, refine_epochs=refine, choose_epoch="best")
        ctx = type(ctx)(**{**vars(ctx), "validation": ((data.query, data.gallery),), "note": notes.append})
        assert finetune(ctx).refined == bool(refine)
        lines.append(["validation_mAP" in line for line in logged])
    assert lines == [[True, True], [False, False, True]]
    assert "of 1 that it saw" in notes[1]


def test_each_option_makes_another_network(tmp_path: Path, market: Path) -> None:
    first = finetune(context(market, tmp_path / "first", epochs=1)[0])
    assert same(first, finetune(context(market, tmp_path / "again", epochs=1)[0]))
    options: dict[str, dict[str, Any]] = {
        "reduction": {"reduction": "separate"}, "dropout": {"dropout": 0.0}, "erase": {"erase": 1.0},
        "rate": {"network_rate": 0.1}, "refined": {"refine_epochs": 1},
    }  # fmt: skip
    for name, params in options.items():
        assert not same(first, finetune(context(market, tmp_path / name, epochs=1, **params)[0])), name


def test_more_epochs_alone_than_there_are_is_one_sentence() -> None:
    with pytest.raises(ValidationError, match="induce_epochs 3 is a part of refine_epochs 2: increase refine_epochs"):
        PcbParams(refine_epochs=2, induce_epochs=3)


# ---------------------------------------------------------------------- steps and presets
@pytest.mark.parametrize("small", [{"batch": 6, "refine_epochs": 1}, {"batch": 64}])
def test_it_takes_the_steps_that_it_says(
    small: dict[str, Any], registry: plugins.Registry, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 images are two batches of 6 with 4 left over, or one of 16."""
    component = registry.get("finetuner", "pcb")
    steps: list[int] = []
    step = Update.step
    monkeypatch.setattr(Update, "step", lambda update: (steps.append(1), step(update)))
    ctx, _ = context(market, tmp_path, **small)
    component.load()(ctx)
    assert ctx.source is not None
    told = load_attribute(component.workload)(ctx.params, {"source": Amount(len(ctx.source), ctx.source.num_pids)})
    assert (told.steps, told.images) == (len(steps), min(small["batch"], 16))


@pytest.mark.parametrize(("preset", "steps"), [("paper", 60 * 202), ("rpp", 75 * 202)])
def test_the_presets_are_the_published_recipes(preset: str, steps: int, registry: plugins.Registry) -> None:
    """12,936 images of Market-1501 are 202 batches of 64."""
    component = registry.get("finetuner", "pcb")
    params, settings = settings_of(component, preset)
    assert settings == {"image_size": (384, 128), "resize": "bilinear"}
    values = {
        "epochs": 60, "batch": 64, "lr": 0.1, "network_rate": 0.1, "momentum": 0.9, "weight_decay": 0.0005, "parts": 6,
        "dim": 256, "dropout": 0.5, "flip": 0.5, "erase": 0.0, "reduction": "shared", "feature": "pooled",
    }  # fmt: skip
    assert {name: getattr(params, name) for name in values} == values
    assert [round(milestone * params.epochs) for milestone in params.milestones] == [40]
    refinement = (params.refine_epochs, params.induce_epochs, params.refine_lr)
    assert refinement == ((15, 5, 0.01) if preset == "rpp" else (0, 0, 0.01))
    workload = load_attribute(component.workload)
    told = workload(params, {"source": Amount(12_936, 751, 6)})
    assert (told.steps, told.images) == (steps, 64)
    few = component.params(**{**params.model_dump(exclude_unset=True), **component.rehearsal})
    rehearsed = workload(few, {"source": Amount(32, 8)})
    assert (rehearsed.steps, rehearsed.images) == (4, 8)


# ---------------------------------------------------------------------- from a matrix file to a table
@pytest.mark.slow
def test_it_learns_stripes(tmp_path: Path, market: Path) -> None:
    """Trained on coloured stripes of four identities, it finds four unseen ones better than chance, also refined."""
    pcb = "use: pcb, epochs: 30, batch: 8, lr: 0.05, network_rate: 1, parts: 4, dim: 16"
    board = run_matrix(
        f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 8}}
methods:
  untrained: {{finetune: none}}
  pcb: {{finetune: {{{pcb}}}}}
  refined: {{finetune: {{{pcb}, refine_epochs: 6, induce_epochs: 3, feature: reduced}}}}
  continued: {{finetune: {{{pcb.replace("30", "1")}}}, adapt: {{use: adabn, batch: 4}}}}
  too many: {{finetune: {{{pcb.replace("parts: 4", "parts: 5")}}}}}
""",
        tmp_path,
    )
    status = {result.row.method: result.status for result in board.results}
    assert status == dict.fromkeys(("untrained", "pcb", "refined", "continued"), "ok") | {"too many": "blocked"}
    (error,) = [result.error for result in board.results if result.status == "blocked"]
    assert "pcb cannot cut 5 stripes from a map of 4 rows" in error
    assert {result.row.protocol for result in board.results if result.row.method == "pcb"} == {"source labels, AP step"}
    mean = {summary.method: summary.mean for summary in board.summary if summary.metric == "mAP"}
    assert mean["pcb"] > 0.5
    assert mean["refined"] > 0.5
