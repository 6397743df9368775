"""Sequences and whole data sets are run: from which weights a step starts, and which images it is given."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from reidbench.report import Leaderboard
from reidbench.store.artifacts import Store
from reidbench.testing import make_plugin, run_matrix, write_market_folder

pytestmark = pytest.mark.slow

PLUGIN = """
import json
from reidbench import Component, hookimpl

@hookimpl
def reidbench_finetuners():
    yield Component("teller", "teller_plugin:finetune")

@hookimpl
def reidbench_adapters():
    yield Component("doubler", "teller_plugin:adapt")

def finetune(ctx):
    '''Adds the number of images, over 1024, to each weight, and says what it was given.'''
    from reidbench.training import BackboneEmbedder, Preprocess
    backbone = ctx.backbone()
    for parameter in backbone.parameters():
        parameter.data += len(ctx.source) / 1024
    facts = {"images": len(ctx.source), "pids": ctx.source.num_pids, "cameras": ctx.source.num_cameras}
    (ctx.out / "facts.json").write_text(json.dumps(facts))
    return BackboneEmbedder(backbone, Preprocess(ctx.image_size))

def adapt(ctx):
    '''Doubles each weight of the embedder before.'''
    for parameter in ctx.start.backbone.parameters():
        parameter.data *= 2
    (ctx.out / "facts.json").write_text(json.dumps({"target": len(ctx.target)}))
    return ctx.start
"""


@pytest.fixture
def teller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "site"
    make_plugin(folder, "teller_plugin", PLUGIN)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "teller_plugin", raising=False)
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-teller-plugin")


def run(tmp_path: Path, tasks: str, methods: str) -> Leaderboard:
    """Sets of 3 and of 5 identities in each part, 2 cameras, 2 images by each; and one more."""
    counts = {"a": 3, "b": 5, "c": 2}
    sets = {name: write_market_folder(tmp_path / name, identities=n, seed=n) for name, n in counts.items()}
    data = ", ".join(f"{name}: {{use: market-folder, root: {root}}}" for name, root in sets.items())
    return run_matrix(
        f"image_size: [32, 16]\nseeds: [0]\ndata: {{{data}}}\ntasks: {tasks}\n"
        f"backbone: {{use: resnet-tiny, width: 4}}\nmethods: {methods}\n",
        tmp_path,
    )


def stages(tmp_path: Path, kind: str) -> dict[str, Path]:
    """The folders of the stages of a kind, by label."""
    store = Store(tmp_path / "store")
    manifests = [store.manifest(key).manifest | {"key": key} for key in store.keys()]  # noqa: SIM118 - a method
    return {one["stage"]["label"]: store.path(one["key"]) for one in manifests if one["stage"]["kind"] == kind}


def weight(folder: Path) -> torch.Tensor:
    return load_file(folder / "embedder.safetensors")["backbone.stem.0.weight"]


def facts(folder: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((folder / "facts.json").read_text())
    return found


def test_each_step_goes_on_from_the_weights_of_the_last_step_before(teller: None, tmp_path: Path) -> None:
    board = run(tmp_path, "{life: {sequence: [a, b], unseen: [c]}}", "{m: {finetune: teller, adapt: doubler}}")
    assert {result.status for result in board.results} == {"ok"}
    tuned, adapted = stages(tmp_path, "finetune"), stages(tmp_path, "adapt")
    assert tuned.keys() == {"finetune teller [a, seed 0]", "finetune teller [a>b, seed 0]"}
    first, second = (tuned[f"finetune teller [{place}, seed 0]"] for place in ("a", "a>b"))
    assert (facts(first)["images"], facts(second)["images"]) == (12, 20)  # each its own set alone
    doubled = adapted["adapt doubler [a, seed 0]"]
    assert torch.equal(weight(doubled), 2 * weight(first))
    assert torch.equal(weight(second), weight(doubled) + 20 / 1024)
    assert facts(adapted["adapt doubler [a>b, seed 0]"])["target"] == 20


def test_all_images_are_train_query_and_gallery_together(teller: None, tmp_path: Path) -> None:
    tasks = "{train: {source: a, target: c}, all: {source: {use: a, images: all}, target: c}}"
    board = run(tmp_path, tasks, "{m: {finetune: teller}}")
    assert {result.status for result in board.results} == {"ok"}
    found = [facts(folder) for folder in stages(tmp_path, "finetune").values()]
    counts = {one["pids"]: (one["images"], one["cameras"]) for one in found}
    test = sum(len(list((tmp_path / "a" / part).iterdir())) for part in ("query", "bounding_box_test"))
    assert counts == {3: (12, 2), 6: (12 + test, 2)}
    words = {result.row.task: result.row.protocol.split(", ") for result in board.results}
    assert "train and test images of the source" in words["all"]
    assert "train and test images of the source" not in words["train"]


def test_what_a_fine_tuning_does_not_carry_over_is_noted(tmp_path: Path) -> None:
    """BoT's neck has a weight and a bias for each channel; what trains nothing carries everything."""
    methods = "{bot: {finetune: {use: bot, epochs: 1, identities: 2, images: 2}}, none: {finetune: none}}"
    board = run(tmp_path, "{life: {sequence: [a, b]}}", methods)
    assert {result.status for result in board.results} == {"ok"}
    notes = {(result.row.method, result.row.task): result.notes for result in board.results}
    (noted,) = notes["bot", "life: a>b->a"]
    carried, whole = map(int, re.findall(r"(\d+) of its (\d+) parameters", noted.replace(",", ""))[0])
    network = load_file(stages(tmp_path, "finetune")["finetune bot [a, seed 0]"] / "embedder.safetensors")
    neck = [tensor.numel() for name, tensor in network.items() if name in ("neck.norm.weight", "neck.norm.bias")]
    assert whole - carried == sum(neck) > 0
    assert notes["bot", "life: a->a"] == notes["none", "life: a>b->a"] == ()
