"""Pretrainers as stages: streams, resume, monitor, stored files; also supervised and weights."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from reidbench import PretrainContext
from reidbench.data import HiddenSplit, read_market_folder
from reidbench.errors import DataError, ReidbenchError
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix, write_market_folder
from reidbench.training import Backbone, write_weights
from reidbench.training.contrastive.heldout import hold_out, rank_1
from reidbench.training.contrastive.params import ContrastiveParams
from reidbench.training.contrastive.pretraining import _Run
from reidbench.training.devices import Share
from reidbench.training.weights.artifacts import load_backbone, save_backbone
from reidbench_baseline import moco
from reidbench_baseline.params import MocoParams, TinyParams, WeightsParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_upreid import pretrain as upreid
from reidbench_upreid.params import UpReidParams
from tests.support.contexts import NEVER, Lines, check_resumes, make_context, same, weights

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {
    "epochs": 4, "batch": 8, "splits": 2, "queue": 24, "dim": 16, "key_momentum": 0.9, "lr": 0.05, "held_out": 0.2,
    "monitor_every": 2, "clean_batches": 2, "head_norm": True,
}  # fmt: skip
MOCO_LIKE = {"global_weight": 1.0, "patch_weight": 0.0, "consistency_weight": 0.0}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> HiddenSplit:
    """32 unlabelled images of 32x16: 8 identities, 2 cameras."""
    folder = write_market_folder(tmp_path_factory.mktemp("pool") / "tiny", identities=8)
    return read_market_folder(folder, name="tiny").train.hide()


def backbone() -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = resnet_tiny(TinyParams(width=4), (32, 16))
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}
    return network


def context(
    pool: HiddenSplit | None, params: ContrastiveParams, out: Path, *, seed: int = 0, die_after: int = NEVER
) -> tuple[PretrainContext, Lines]:
    return make_context(PretrainContext, out, params, die_after=die_after, seed=seed, pool=pool, backbone=backbone)


@pytest.mark.slow
def test_upreid_without_its_parts_is_moco_to_the_last_bit(pool: HiddenSplit, tmp_path: Path) -> None:
    """Whole stages: every logged loss and the exported backbone are equal."""
    ours, our_lines = context(pool, UpReidParams(**SMALL, **MOCO_LIKE), tmp_path / "a")
    theirs, their_lines = context(pool, MocoParams(**SMALL), tmp_path / "b")
    assert same(weights(upreid.pretrain(ours)), weights(moco.pretrain(theirs)))
    assert [line["loss"] for line in our_lines] == [line["loss"] for line in their_lines]
    assert len(our_lines) == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["moco", "up-reid"])
def test_killed_and_resumed_is_uninterrupted(name: str, pool: HiddenSplit, tmp_path: Path) -> None:
    """Queues, pointer, both encoders, optimiser, schedule and every stream come back."""
    kind, run = (MocoParams, moco.pretrain) if name == "moco" else (UpReidParams, upreid.pretrain)
    params = kind(**SMALL, keep_state=True)
    check_resumes(tmp_path, lambda out, die_after: context(pool, params, out, die_after=die_after), run, 2)
    state = load_file(tmp_path / "cut" / "moco.safetensors")
    assert state["module.queue"].shape == (16, 24)
    assert ("module.queue_patch" in state) == (name == "up-reid")
    assert "module.encoder_q.stem.0.weight" in state


def test_seeds_matter_and_global_generators_do_not(pool: HiddenSplit, tmp_path: Path) -> None:
    results = []
    for number, seed in enumerate((0, 0, 1)):
        torch.manual_seed(number)
        ctx, _ = context(pool, MocoParams(**{**SMALL, "epochs": 1}), tmp_path / str(number), seed=seed)
        results.append(weights(moco.pretrain(ctx)))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


@pytest.mark.slow
def test_workers_change_nothing(pool: HiddenSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read ahead from the disk, by several threads: the same weights."""
    held = weights(upreid.pretrain(context(pool, UpReidParams(**SMALL), tmp_path / "held")[0]))
    monkeypatch.setattr("reidbench.training.batches.reading.memory_limit", lambda: 0)
    ctx, _ = context(pool, UpReidParams(**SMALL), tmp_path / "read")
    assert same(weights(upreid.pretrain(dataclasses.replace(ctx, workers=3))), held)


def test_originals_are_the_same_at_every_read_and_views_are_not(pool: HiddenSplit, tmp_path: Path) -> None:
    """x_r is resized and normalised only; x_q is a new draw each time."""
    ctx, _ = context(pool, MocoParams(**SMALL), tmp_path / "a")
    run = _Run(ctx, moco._step)
    order = run.streams["order"].get_state()
    first = [views for views, _ in run._batches()]
    run.streams["order"].set_state(order)
    second = [views for views, _ in run._batches()]
    assert len(first) == 26 // 8  # 32 less 6 held out; the incomplete last batch is dropped
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.original, other.original)
        assert not torch.equal(one.first, other.first)
        assert not torch.equal(one.first, one.second)


@pytest.mark.slow
def test_logs_what_a_reader_needs(pool: HiddenSplit, tmp_path: Path) -> None:
    """Row overlap is logged with the loss; the monitor runs every second epoch and before the first."""
    ctx, lines = context(pool, UpReidParams(**SMALL, crop="rect"), tmp_path / "a")
    upreid.pretrain(ctx)
    assert 0.6 < lines[0]["row_overlap"] < 0.95
    assert {"loss", "global_loss", "patch_loss", "consistency", "lr", "steps"} <= lines[0].keys()
    assert "retrieval_at_start" in lines[0]
    assert ["retrieval" in line for line in lines] == [False, True, False, True]
    assert lines[3]["held_out_images"] == 6
    assert lines[0]["lr"] == 0.05
    assert lines[2]["lr"] == pytest.approx(0.025)


def test_held_out_images_are_never_learnt_from() -> None:
    seen, held = hold_out(1000, 0.05, 0)
    assert len(held) == 50
    assert sorted([*seen, *held]) == list(range(1000))
    assert len(hold_out(100_000, 0.05, 0)[1]) == 1000
    vectors = torch.eye(4)
    assert rank_1(vectors, vectors) == 1.0
    assert rank_1(vectors, vectors[[1, 0, 2, 3]]) == 0.5


def test_a_pool_smaller_than_a_batch_says_so(pool: HiddenSplit, tmp_path: Path) -> None:
    ctx, _ = context(pool, MocoParams(**{**SMALL, "batch": 64}), tmp_path / "a")
    with pytest.raises(DataError, match="26 pool images to train on, fewer than one batch of 64"):
        moco.pretrain(ctx)
    ctx, _ = context(None, MocoParams(**SMALL), tmp_path / "b")
    with pytest.raises(DataError, match="needs a pool"):
        moco.pretrain(ctx)


def test_pixel_statistics_travel_with_the_backbone(pool: HiddenSplit, tmp_path: Path) -> None:
    """Normalising with numbers other than the pre-training's changes what every filter sees."""
    ctx, _ = context(pool, MocoParams(**{**SMALL, "epochs": 1}), tmp_path / "a")
    kept = moco.pretrain(ctx)
    save_backbone(tmp_path / "a", kept)
    loaded = load_backbone(tmp_path / "a", lambda described: backbone())
    assert loaded.mean == kept.mean == (0.3525, 0.3106, 0.3140)
    assert json.loads((tmp_path / "a" / "backbone.json").read_text())["preset"] == "lup"
    assert same(weights(kept), weights(loaded))
    assert type(kept.stem[1]).__name__ == "BatchNorm2d"


MATRIX = """
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks:
  with:    {{source: tiny, target: tiny, pool: tiny, auxiliary: {{use: tiny, identities: 2}}}}
  without: {{source: tiny, target: tiny}}
backbone: {{use: resnet-tiny, width: 4}}
methods:
  m: {{pretrain: {pretrain}, finetune: none}}
"""


def rows(tmp_path: Path, market: Path, pretrain: str) -> dict[str, Any]:
    board = run_matrix(MATRIX.format(market=market, pretrain=pretrain), tmp_path)
    return {result.row.task: result for result in board.results}


@pytest.mark.slow
def test_supervised_uses_auxiliary_labels_and_no_pool(tmp_path: Path, market: Path) -> None:
    found = rows(tmp_path, market, "{use: supervised, epochs: 2, identities: 2, images: 2}")
    assert found["with"].status == "ok"
    assert found["with"].row.protocol == "auxiliary, target-labels, AP step"  # the target is among them
    assert "needs auxiliary data" in found["without"].row.reason


@pytest.mark.slow
def test_moco_runs_in_a_matrix_and_needs_a_pool(tmp_path: Path, market: Path) -> None:
    found = rows(tmp_path, market, "{use: moco-v2, epochs: 1, batch: 8, splits: 2, queue: 16, dim: 8}")
    assert found["with"].status == "ok"
    assert found["with"].row.protocol == "pool, AP step"
    assert "needs a pool" in found["without"].row.reason


@pytest.mark.slow
def test_weights_of_a_file_come_into_a_matrix(tmp_path: Path, market: Path) -> None:
    network = backbone()
    network.mean = (0.1, 0.2, 0.3)
    write_weights(tmp_path / "mine.safetensors", network)
    found = rows(tmp_path, market, f"{{use: weights, file: {tmp_path / 'mine.safetensors'}}}")
    assert {result.status for result in found.values()} == {"ok"}
    assert found["with"].row.protocol == "unknown pre-training, AP step"
    assert found["with"].notes == ()
    store = Store(tmp_path / "store")
    (report,) = (store.path(key) for key in store.keys() if (store.path(key) / "weights-report.json").exists())  # noqa: SIM118
    assert json.loads((report / "weights-report.json").read_text())["missing"] == []
    assert json.loads((report / "backbone.json").read_text())["mean"] == [0.1, 0.2, 0.3]
    assert torch.equal(load_file(report / "backbone.safetensors")["stem.0.weight"], network.stem[0].weight)


@pytest.mark.slow
def test_weights_loaded_in_part_are_noted_in_every_later_run(tmp_path: Path, market: Path) -> None:
    state = backbone().state_dict()
    del state["stages.1.norm2.bias"]
    torch.save({"state_dict": state, "state_dict_ema": weights(backbone()), "map": np.float64(0.5)}, tmp_path / "a.pth")
    for _ in range(2):  # the second time nothing is run
        found = rows(tmp_path, market, f"{{use: weights, file: {tmp_path / 'a.pth'}, labels: MSMT17 labels}}")
        assert found["without"].row.protocol == "MSMT17 labels, AP step"
        part, aside = found["without"].notes
        assert part.endswith(
            "a.pth was loaded in part: 1 of the network's 60 tensors keep their initial values (stages.1.norm2.bias)"
        )
        assert aside.endswith("a.pth contains other networks too, which were left aside: state_dict_ema")


def test_the_sidecar_is_read_when_planning_so_that_it_is_in_the_key(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"")
    assert WeightsParams(file=file).mean == (0.485, 0.456, 0.406)
    (tmp_path / "mine.json").write_text('{"mean": [0.1, 0.2, 0.3], "use": "resnet-tiny"}')
    params = WeightsParams(file=file)
    assert (params.mean, params.std) == ((0.1, 0.2, 0.3), (0.229, 0.224, 0.225))
    assert WeightsParams(file=file, mean=(0, 0, 0)).mean == (0, 0, 0)
    for content, message in (("[1]", "must be an object"), ("{", "is not valid JSON"), ('{"std": [1]}', "std")):
        (tmp_path / "mine.json").write_text(content)
        with pytest.raises(ValueError, match=message):
            WeightsParams(file=file)


def test_weights_that_do_not_fit_are_a_row_with_its_reason(tmp_path: Path, market: Path) -> None:
    torch.save({"head.weight": torch.zeros(3)}, tmp_path / "other.pth")
    found = rows(tmp_path, market, f"{{use: weights, file: {tmp_path / 'other.pth'}}}")
    assert {result.status for result in found.values()} == {"blocked"}
    assert "too few of its tensors fit the backbone" in found["with"].error


def test_components_say_what_they_need(registry: plugins.Registry) -> None:
    for name in ("moco-v2", "up-reid"):
        assert registry.get("pretrainer", name).requires == {"bn"}
    assert registry.get("pretrainer", "up-reid").paper is not None
    from reidbench.training.contrastive.params import LUP_STD

    assert MocoParams().std == LUP_STD


def test_a_batch_for_other_devices_is_refused(
    pool: HiddenSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx, _ = context(pool, MocoParams(**SMALL), tmp_path / "a")
    monkeypatch.setattr("reidbench.training.contrastive.pool.this_share", lambda: Share(1, 3))
    with pytest.raises(ReidbenchError, match="a batch of 8 cannot be divided among 3 devices"):
        moco.pretrain(ctx)


def test_mixed_precision_trains_and_keeps_float32(pool: HiddenSplit, tmp_path: Path) -> None:
    """Under autocast the loss, the queue and the exported weights are float32, and the run is finite."""
    from lightning_fabric import Fabric

    ctx, lines = context(pool, UpReidParams(**{**SMALL, "epochs": 1}), tmp_path / "a")
    mixed = replace(ctx, make_fabric=lambda: Fabric(accelerator="cpu", devices=1, precision="bf16-mixed"))
    kept = upreid.pretrain(mixed)
    floats = [tensor for tensor in kept.state_dict().values() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in floats} == {torch.float32}
    assert all(bool(torch.isfinite(tensor).all()) for tensor in floats)
    assert 0 < lines[0]["loss"] < 10


@pytest.mark.slow
def test_weights_of_a_transformer_come_in_strictly_and_at_another_size(tmp_path: Path, market: Path) -> None:
    """A 4 x 2 grid of positions is resized for 64x16 images; the grid comes from the sidecar or from the user."""
    from reidbench.training.weights.transformers import write_transformer
    from reidbench_baseline.transformer_params import ViTTinyParams
    from reidbench_baseline.vit import vit_tiny

    small = {"dim": 12, "depth": 1, "heads": 3}
    network = vit_tiny(ViTTinyParams.model_validate(small), (32, 16))
    network.spec = {"use": "vit-tiny", "params": small, "image_size": [32, 16]}
    file = tmp_path / "vit.safetensors"
    write_transformer(file, network, epochs=1)
    tiny = "backbone: {use: resnet-tiny, width: 4}"
    text = MATRIX.format(market=market, pretrain=f"{{use: weights, file: {file}}}")
    text = text.replace(tiny, "backbone: {use: vit-tiny, dim: 12, depth: 1, heads: 3}")
    board = run_matrix(text.replace("[32, 16]", "[64, 16]"), tmp_path)
    assert {result.status for result in board.results} == {"ok"}
    (saved,) = (tmp_path / "store").rglob("backbone.safetensors")
    state = load_file(saved)
    assert state["pos_embed"].shape == (1, 1 + 8 * 2, 12)
    assert torch.equal(state["pos_embed"][:, :1], network.pos_embed[:, :1])
    assert torch.equal(state["blocks.0.attn.qkv.weight"], network.blocks[0].attn.qkv.weight)
    file.with_suffix(".json").unlink()
    (tmp_path / "again").mkdir()
    refused = run_matrix(text.replace("[32, 16]", "[64, 16]"), tmp_path / "again")
    assert "source_grid" in next(iter(refused.results)).error


@pytest.mark.parametrize(
    ("backbone_line", "option", "message"),
    [
        ("{use: vit-tiny, dim: 12, depth: 1, heads: 3}", "layout: moco", "layout moco has no transformers"),
        ("{use: resnet-tiny, width: 4}", "source_grid: [4, 2]", "needs a backbone with position embeddings"),
    ],
)
def test_options_of_the_other_kind_are_refused(
    backbone_line: str, option: str, message: str, tmp_path: Path, market: Path
) -> None:
    torch.save({"head.weight": torch.zeros(3)}, tmp_path / "other.pth")
    text = MATRIX.format(market=market, pretrain=f"{{use: weights, file: {tmp_path / 'other.pth'}, {option}}}")
    board = run_matrix(text.replace("{use: resnet-tiny, width: 4}", backbone_line), tmp_path)
    assert message in next(iter(board.results)).error
