"""A row trained, exported as a folder and read back has the same features, bit for bit; its card says how it was made.

The programs run in separate processes, as a user would run them.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from reidbench.api.calls import load
from reidbench.cli import main
from reidbench.errors import ReidbenchError
from reidbench.export.lineage import lineage
from reidbench.export.recipe import recipe
from reidbench.files.networkfolder import CARD, CONFIG, WEIGHTS
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.report import Leaderboard
from reidbench.store.artifact import Artifact
from reidbench.store.artifacts import Store
from reidbench.testing import write_market_folder

pytestmark = pytest.mark.slow

SMALL = "epochs: 1, identities: 4, images: 2"
TRAINED = f"""
image_size: [32, 16]
seeds: [0, 1]
data: {{private: {{use: market-folder, root: market}}}}
tasks: {{t: {{source: private, target: private}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods:
  bot: {{finetune: {{use: bot, {SMALL}}}}}
  mgn: {{flip_test: true, finetune: {{use: mgn, dim: 8, {SMALL}}}}}
  colours: {{finetune: {{use: colour-histogram, bins: 2}}}}
"""
BACK = f"""
image_size: [32, 16]
seeds: [0]
data: {{private: {{use: market-folder, root: market}}}}
tasks: {{t: {{source: private, target: private}}}}
methods:
  bot: {{backbone: {{use: folder, path: bot}}, finetune: none}}
  mgn: {{backbone: {{use: folder, path: mgn}}, finetune: none, flip_test: true}}
  tuned: {{backbone: {{use: folder, path: bot}}, finetune: {{use: bot, {SMALL}}}}}
"""


def program(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program in a separate process."""
    command = [sys.executable, "-m", "reidbench", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


class Place:
    """Rows of two methods, their exported folders, and a store of rows read back from them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        write_market_folder(folder / "market", images=2, size=(32, 16))
        self.ran("run", self.file("trained.yaml", TRAINED), "--store", self.store)
        for method in ("bot", "mgn"):
            self.ran("export", *self.row(method), "--license", "cc-by-nc-4.0", "-o", folder / method)
        self.ran("run", self.file("back.yaml", BACK), "--store", folder / "second")

    def file(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.write_text(text)
        return file

    def ran(self, *arguments: object) -> str:
        done = program(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def row(self, method: str, seed: int = 1) -> list[object]:
        """The options that name a row, and the format."""
        words = ["--file", self.folder / "trained.yaml", "--store", self.store, "--row", method, "--seed", seed]
        return [*words, "--format", "folder"]

    def board(self, name: str, store: str) -> Leaderboard:
        board: Leaderboard = load(self.folder / name, store=self.folder / store).board
        return board


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Read only."""
    return Place(tmp_path_factory.mktemp("models"))


def features(board: Leaderboard, store: Path, method: str, seed: int | None) -> dict[str, np.ndarray]:
    """Features of a row."""
    (row,) = (one.row for one in board.results if (one.row.method, one.row.seed) == (method, seed))
    at = Store(store)
    ((_, key),) = at.manifest(row.key or "").need("stage", "parents")
    with np.load(at.read(key).path / "features.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name.endswith("features")}


@pytest.mark.parametrize("method", ["bot", "mgn"])
def test_a_row_read_back_has_the_features_and_metrics_of_the_exported_one(place: Place, method: str) -> None:
    trained, back = place.board("trained.yaml", "store"), place.board("back.yaml", "second")
    expected = features(trained, place.store, method, 1)
    found = features(back, place.folder / "second", method, None)
    assert len(expected) == 2
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert not np.array_equal(features(trained, place.store, method, 0)["query_features"], found["query_features"])
    (one,) = (result for result in trained.results if (result.row.method, result.row.seed) == (method, 1))
    (other,) = (result for result in back.results if result.row.method == method)
    assert other.metrics == one.metrics
    assert "private labels" in other.row.protocol


def test_a_fine_tuning_starts_from_the_weights_and_needs_the_folder_no_more(place: Place, tmp_path: Path) -> None:
    """Its first learning rate is small: the weights are near the folder's, and far from another seed's."""
    from safetensors.numpy import load_file

    store = Store(place.folder / "second")
    (row,) = (one.row for one in place.board("back.yaml", "second").results if one.row.method == "tuned")
    ((_, embed),) = store.manifest(row.key or "").need("stage", "parents")
    ((_, key),) = store.manifest(embed).need("stage", "parents")
    artifact = store.read(key)
    described = json.loads((artifact.path / "embedder.json").read_text())["spec"]["backbone"]["backbone"]
    assert described == {"use": "resnet-tiny", "params": {"width": 4, "last_stride": 1}, "image_size": [32, 16]}
    run("export", *place.row("bot", 0), "-o", tmp_path / "other")
    name = "backbone.stem.0.weight"
    tuned, own, other = (
        load_file(file)[name]
        for file in (
            artifact.path / "embedder.safetensors",
            place.folder / "bot" / WEIGHTS,
            tmp_path / "other" / WEIGHTS,
        )
    )
    assert 0 < np.abs(tuned - own).max() < np.abs(tuned - other).max() / 10


# ---------------------------------------------------------------------- card
def parts(file: Path) -> tuple[dict[str, Any], str]:
    """Front matter and text of a card."""
    _, front, text = file.read_text().split("---\n", 2)
    return yaml.safe_load(front), text


def test_the_hub_reads_the_card_with_its_metrics(place: Place) -> None:
    from huggingface_hub import ModelCard

    data = ModelCard.load(place.folder / "bot" / CARD).data
    assert (data.license, data.library_name, data.pipeline_tag) == (
        "cc-by-nc-4.0",
        "reidbench",
        "image-feature-extraction",
    )
    assert data.datasets == ["private"]
    found = {one.metric_type: one for one in data.eval_results or []}
    board = place.board("trained.yaml", "store")
    summary = board.summarised("bot", "t", "cosine")["mAP"]
    assert found["mAP"].metric_value == pytest.approx(100 * summary.mean, abs=1e-3)
    assert summary.ci95 is not None
    low, high = (f"{100 * end:.1f}" for end in summary.ci95)
    assert found["mAP"].metric_name == f"mAP (%) by cosine, mean of 2 seeds, 95% interval {low} to {high}"
    assert (found["mAP"].dataset_name, found["mAP"].dataset_type) == ("private", "market-folder")
    assert found["mAP"].dataset_args == {"protocol": "source labels, AP step"}


def test_the_front_matter_has_the_forms_of_the_hub(place: Place) -> None:
    """The fields of a model card as huggingface.co/docs/hub/model-cards and its model-index example give them."""
    front, _ = parts(place.folder / "bot" / CARD)
    assert set(front) == {
        "license", "library_name", "pipeline_tag", "tags", "datasets", "metrics", "model-index"
    }  # fmt: skip
    (model,) = front["model-index"]
    assert set(model) == {"name", "results"}
    for result in model["results"]:
        assert set(result) == {"task", "dataset", "metrics"}
        assert isinstance(result["task"]["type"], str)
        assert {"type", "name"} <= set(result["dataset"])
        assert all({"type", "name", "value"} == set(metric) for metric in result["metrics"])
        assert all(isinstance(metric["value"], float) for metric in result["metrics"])


def blocks(text: str) -> Iterator[Any]:
    for block in text.split("```yaml\n")[1:]:
        yield block.split("```")[0]


@pytest.mark.parametrize("method", ["bot", "mgn"])
def test_the_recipe_of_the_card_is_the_same_training(place: Place, tmp_path: Path, method: str) -> None:
    """Its plan has the key of the exported network, once the data is in its place."""
    _, text = parts(place.folder / method / CARD)
    usage, recipe = blocks(text)
    assert ("flip_test: true" in usage) == ("flip_test: true" in recipe) == (method == "mgn")
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe.replace("path/to/private", str(place.folder / "market")))
    stages = plan.expand(reader.read(file, plugins.load())).stages
    assert json.loads((place.folder / method / CONFIG).read_text())["stage"]["key"] in stages
    assert "path/to/private" in recipe


STEPS = f"""
  moco: {{pretrain: {{use: moco-v2, epochs: 1, batch: 8, splits: 2}}, finetune: {{use: bot, {SMALL}}}}}
  adapted:
    image_size: [48, 16]
    finetune: {{use: bot, image_size: [32, 16], {SMALL}}}
    adapt: [{{use: cluster-contrast, rounds: 2}}, {{use: cluster-contrast, rounds: 1, lr: 1.0e-3}}]
  few:
    backbone: {{use: vit-tiny, depth: 1}}
    finetune: {{use: distill, teacher: {{use: bot, keep_classifier: true, {SMALL}}}, {SMALL}}}
"""


def test_the_recipe_has_every_step(place: Place, tmp_path: Path, registry: plugins.Registry) -> None:
    """For recipes that are planned but not run: manifests are written as a run would, and the plan has their keys."""
    text = TRAINED.replace("root: market", f"root: {place.folder / 'market'}").replace(
        "{source: private, target: private}",
        "{source: {use: private, identities: 3, subset_seed: 2}, target: private, pool: private}",
    )
    file = tmp_path / "matrix.yaml"
    file.write_text(text.partition("methods:")[0].replace("seeds: [0, 1]", "seeds: [3]") + f"methods:{STEPS}")
    planned = plan.expand(reader.read(file, registry))
    settings = {"threads": 1, "precision": "32-true", "devices": 1}
    artifacts = {
        key: Artifact(key, tmp_path, {"stage": json.loads(json.dumps(asdict(stage))), "settings": settings})
        for key, stage in planned.stages.items()
    }
    for row in planned.rows:
        (embed,) = (planned.stages[key] for _, key in planned.stages[row.key or ""].parents)
        network = artifacts[embed.parents[-1][1]]
        found = lineage(SimpleNamespace(manifest=artifacts.__getitem__), network)  # type: ignore[arg-type]
        written, left_out = recipe(registry, found, row.method, {})
        assert left_out == ()
        again = tmp_path / f"{row.method}.yaml"
        again.write_text(written.replace("path/to/private", str(place.folder / "market")))
        assert network.key in plan.expand(reader.read(again, registry)).stages, written


def test_the_usage_of_the_card_is_a_method_that_can_be_pasted(place: Place, tmp_path: Path) -> None:
    usage, _ = blocks(parts(place.folder / "mgn" / CARD)[1])
    methods = yaml.safe_load(usage.replace("path/to/this/folder", str(place.folder / "mgn")))["methods"]
    file = tmp_path / "m.yaml"
    file.write_text(
        yaml.safe_dump({**yaml.safe_load(BACK), "methods": methods}).replace(
            "root: market", f"root: {place.folder / 'market'}"
        )
    )
    assert [one.method for one in plan.expand(reader.read(file, plugins.load())).rows] == ["theirs", "tuned"]


def test_the_card_says_what_is_known_and_what_is_not(place: Place, tmp_path: Path) -> None:
    _, text = parts(place.folder / "bot" / CARD)
    assert "Licence of these weights: `cc-by-nc-4.0`." in text
    assert "| private | market-folder | source with labels | not known to reidbench; ask those who released" in text
    assert "Labels behind the weights: private labels." in text
    assert "Protocol: source labels, AP step." in text
    assert "torch 2." in text
    out = tmp_path / "bare"
    key = json.loads((place.folder / "bot" / CONFIG).read_text())["stage"]["key"]
    run("export", key, "--store", place.store, "--format", "folder", "-o", out)
    front, text = parts(out / CARD)
    assert "Licence of these weights: not stated; ask the authors before you use the weights." in text
    assert "None: the network was exported by its key." in text
    assert not {"license", "metrics", "model-index"} & set(front)
    assert (out / WEIGHTS).read_bytes() == (place.folder / "bot" / WEIGHTS).read_bytes()


def test_a_key_of_a_result_gives_its_metrics(place: Place, tmp_path: Path) -> None:
    (result,) = (
        one for one in place.board("trained.yaml", "store").results if (one.row.method, one.row.seed) == ("bot", 0)
    )
    run("export", result.row.key, "--store", place.store, "--format", "folder", "-o", tmp_path / "net")
    front, _ = parts(tmp_path / "net" / CARD)
    (found,) = front["model-index"][0]["results"]
    values = {one["type"]: one["value"] for one in found["metrics"]}
    assert values["mAP"] == pytest.approx(100 * result.metrics["mAP"], abs=1e-3)
    assert "95%" not in str(front)


def test_no_path_and_no_user_of_this_machine_is_in_a_folder(place: Place) -> None:
    for method in ("bot", "mgn"):
        for name in (CARD, CONFIG):
            content = (place.folder / method / name).read_text()
            assert str(place.folder) not in content
            assert str(Path.home()) not in content
        assert os.listdir(place.folder / method) != []
    assert sorted(os.listdir(place.folder / "bot")) == [CARD, CONFIG, WEIGHTS]


def test_the_name_of_a_user_in_a_name_is_refused(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the user is called like the data set; nothing is left."""
    monkeypatch.setattr(getpass, "getuser", lambda: "private")
    with pytest.raises(ReidbenchError, match=r"the folder would contain the name 'private' of a user or host"):
        run("export", *place.row("bot"), "-o", tmp_path / "net")
    assert list(tmp_path.glob("*net*")) == []


# ---------------------------------------------------------------------- errors
def run(*arguments: object) -> str:
    """A command in this process; its errors are raised."""
    from typer.testing import CliRunner

    return CliRunner().invoke(main.app, [str(one) for one in arguments], catch_exceptions=False).output


@pytest.mark.parametrize(
    ("method", "more", "sentence"),
    [
        ("bot", ["--license", "my own!"], r"--license my own!: not an identifier of the hub's list; use one such as"),
        ("bot", ["--modality", "visible"], r"--modality requires --format onnx"),
        ("bot", ["--format", "safetensors", "--license", "mit"], r"--license requires --format folder"),
    ],
)
def test_wrong_options_are_one_sentence(
    place: Place, tmp_path: Path, method: str, more: list[str], sentence: str
) -> None:
    with pytest.raises(ReidbenchError, match=sentence):
        run("export", *place.row(method), "-o", tmp_path / "net", *more)
    assert list(tmp_path.glob("*net*")) == []


def test_a_network_without_a_backbone_is_not_exported(place: Place, tmp_path: Path) -> None:
    with pytest.raises(ReidbenchError, match=r"^ColourHistogram has no backbone, so it has no weights to export$"):
        run("export", *place.row("colours"), "-o", tmp_path / "net")


def test_an_existing_folder_is_kept(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "net"
    shutil.copytree(place.folder / "bot", out)
    with pytest.raises(ReidbenchError, match=r"net: already exists; remove it, or name a new folder$"):
        run("export", *place.row("mgn"), "-o", out)
    assert (out / WEIGHTS).read_bytes() == (place.folder / "bot" / WEIGHTS).read_bytes()
    with pytest.raises(ReidbenchError, match=r"no such folder .*missing$"):
        run("export", *place.row("mgn"), "-o", tmp_path / "missing" / "net")
