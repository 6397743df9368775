"""Rows whose features come from files, run: the same numbers as the network's own row, and a reason for each fault."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reidbench.data import Split
from reidbench.errors import DataError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry
from reidbench.report import Leaderboard
from reidbench.stages.run import run_stage
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix

OWN = "own: {finetune: none}"
HEAD = """
image_size: [32, 16]
seeds: [0, 1]
data: {noise: {use: market-folder, root: noise}}
tasks: {t: {source: noise, target: noise}}
backbone: {use: resnet-tiny, width: 4}
evaluate: [cosine, euclidean, k-reciprocal]
methods:
"""


@dataclass(frozen=True)
class World:
    """A folder with pictures of noise, so that no network is right, and the features of a plugin's row on them."""

    folder: Path
    own: Mapping[int, Mapping[str, np.ndarray]]  # features.npz by seed
    query: tuple[str, ...]
    gallery: tuple[str, ...]

    @property
    def names(self) -> np.ndarray:
        return np.array([*self.query, *self.gallery])

    def features(self, seed: int = 0) -> np.ndarray:
        return np.concatenate([self.own[seed][f"{part}_features"] for part in ("query", "gallery")])

    def run(self, *methods: str, jobs: int = 0, store: str = "store", head: str = HEAD) -> Leaderboard:
        lines = "".join(f"  {method}\n" for method in methods)
        board: Leaderboard = run_matrix(head + lines, self.folder, jobs=jobs, store=self.folder / store)
        return board

    def npz(self, name: str, names: Any, features: Any) -> None:
        np.savez(self.folder / name, features=features, names=names)


def embedded(store: Store, kind: str = "embed") -> list[tuple[Mapping[str, Any], Mapping[str, np.ndarray]]]:
    """The stage and the arrays of each embed artifact."""
    found = []
    for key in sorted(store.keys()):
        stage = store.manifest(key).manifest["stage"]
        if stage["kind"] == kind:
            with np.load(store.path(key) / "features.npz") as arrays:
                found.append((stage, {name: arrays[name] for name in arrays.files}))
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(0)
    for part, people in (("bounding_box_train", (1, 2)), ("query", (3, 4, 5)), ("bounding_box_test", (3, 4, 5, 6))):
        (folder / "noise" / part).mkdir(parents=True)
        for pid in people:
            for camera in (1, 2):
                for shot in range(1 if part == "query" else 2):
                    pixels = rng.integers(0, 256, (32, 16, 3), dtype=np.uint8)
                    name = f"{pid:04}_c{camera}s1_00000{shot}_0{part == 'query':d}.png"
                    Image.fromarray(pixels).save(folder / "noise" / part / name)
    run_matrix(f"{HEAD}  {OWN}\n", folder)
    store = Store(folder / "store")
    (data,) = (key for key in store.keys() if store.manifest(key).manifest["stage"]["kind"] == "data")  # noqa: SIM118
    query, gallery = (Split.load(store.path(data) / f"{part}.json", folder).paths for part in ("query", "gallery"))
    evaluations = [store.manifest(key).manifest for key in store.keys()]  # noqa: SIM118
    labels = {m["stage"]["parents"][0][1]: m["stage"]["label"] for m in evaluations if m["stage"]["kind"] == "evaluate"}
    own = {int("seed 1" in labels[stage["key"]]): arrays for stage, arrays in embedded(store)}
    assert sorted(own) == [0, 1]
    return World(folder, own, query, gallery)


def numbers(board: Leaderboard, method: str, task: str = "t") -> dict[tuple[str, int | None], float]:
    """mAP by evaluator and seed; all must be there."""
    rows = [result for result in board.results if result.row.method == method and result.row.task == task]
    assert [result.error for result in rows] == [""] * len(rows)
    return {(result.row.evaluator, result.row.seed): result.metrics["mAP"] for result in rows}


def only(board: Leaderboard, method: str) -> Any:
    """The result of a method by the first evaluator."""
    return next(result for result in board.results if result.row.method == method)


@pytest.mark.slow
def test_every_layout_gives_the_numbers_of_the_networks_own_row(world: World) -> None:
    """Names shuffled, a folder, a table, the arrays of score, a file for each part: with all evaluators."""
    order = np.random.default_rng(1).permutation(len(world.names))
    world.npz("names.npz", world.names[order], world.features()[order])
    np.savez(world.folder / "score.npz", **world.own[0])
    for name, feature in zip(world.names, world.features(), strict=True):
        file = world.folder / "npys" / f"{Path(name).with_suffix('')}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, feature)
    for part, names in (("query", world.query), ("gallery", world.gallery)):
        world.npz(f"t-{part}.npz", [Path(name).name for name in names], world.own[0][f"{part}_features"])
    rows = {"names": "names.npz", "score": "score.npz", "npys": "npys", "parts": "'{task}-{part}.npz'"}
    if importlib.util.find_spec("pyarrow"):
        arrow, writer = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
        table = {"name": world.names[order].tolist(), "features": world.features()[order].tolist()}
        writer.write_table(arrow.table(table), world.folder / "table.parquet")
        rows["table"] = "table.parquet"
    board = world.run(OWN, *(f"{name}: {{features: {file}}}" for name, file in rows.items()), store="layouts")
    own = numbers(board, "own")
    assert 0.1 < own["cosine", 0] < 0.9
    assert len({own[name, 0] for name in ("cosine", "euclidean", "k-reciprocal")}) == 3
    for name in rows:
        for (evaluator, _), value in numbers(board, name).items():
            assert value == pytest.approx(own[evaluator, 0], abs=1e-6), (name, evaluator)
    keys = {result.row.method: result.row.key or "" for result in reversed(board.results)}  # by cosine, of seed 0
    per_query = {name: board.queries(key)["ap"] for name, key in keys.items()}
    assert len(per_query["own"]) == len(world.query)
    for name in rows:
        np.testing.assert_allclose(per_query[name], per_query["own"], atol=1e-6)
    arrays = [found for stage, found in embedded(Store(world.folder / "layouts")) if stage["use"] == "features"]
    assert len(arrays) == len(rows)
    for found in arrays:  # exactly what the network gave; the table's are of 64 bits
        assert found.keys() == world.own[0].keys()
        assert all(np.array_equal(found[name], values) for name, values in world.own[0].items())


@pytest.mark.slow
def test_each_seed_has_its_file_and_an_ensemble_joins_it(world: World) -> None:
    """Twice the same unit features have the same cosine as once; another seed's have not."""
    for seed in (0, 1):
        world.npz(f"run-{seed}.npz", world.names, world.features(seed))
    methods = "theirs: {features: 'run-{seed}.npz', uses: []}", "both: {ensemble: [own, theirs]}"
    board = world.run(OWN, *methods)
    own, theirs, both = (numbers(board, name) for name in ("own", "theirs", "both"))
    assert theirs == pytest.approx(own, abs=1e-6)
    assert own["cosine", 0] != pytest.approx(own["cosine", 1], abs=1e-3)
    assert {seed: both["cosine", seed] for seed in (0, 1)} == pytest.approx(
        {seed: own["cosine", seed] for seed in (0, 1)}, abs=1e-6
    )


@pytest.mark.slow
def test_workers_give_the_same_bytes(world: World) -> None:
    world.npz("names.npz", world.names[::-1], world.features()[::-1])
    kept = []
    head = HEAD.replace("evaluate: [cosine, euclidean, k-reciprocal]", "evaluate: cosine")
    for jobs in (0, 2):
        board = world.run("theirs: {features: names.npz}", jobs=jobs, store=f"jobs-{jobs}", head=head)
        arrays = {stage["key"]: found for stage, found in embedded(Store(world.folder / f"jobs-{jobs}"))}
        kept.append((arrays, [result.metrics for result in board.results]))
    assert kept[0][0].keys() == kept[1][0].keys()
    for key, found in kept[0][0].items():
        assert {name: values.tobytes() for name, values in found.items()} == {
            name: values.tobytes() for name, values in kept[1][0][key].items()
        }
    assert kept[0][1] == kept[1][1]


@pytest.mark.slow
def test_the_pictures_of_another_data_set_match_by_content(world: World) -> None:
    """A rendered set has no published hashes; its pictures are hashed for the names."""
    head = HEAD.replace("{use: market-folder, root: noise}", "{use: synthetic, size: tiny}").replace("[0, 1]", "[0]")
    world.run(OWN, store="rendered", head=head)
    store = Store(world.folder / "rendered")
    own = next(found for stage, found in embedded(store))
    (data,) = (key for key in store.keys() if store.manifest(key).manifest["stage"]["kind"] == "data")  # noqa: SIM118
    root = Path(store.manifest(data).manifest["root"])
    names, features = [], []
    for part in ("query", "gallery"):
        for path, feature in zip(
            Split.load(store.path(data) / f"{part}.json", root).paths, own[f"{part}_features"], strict=True
        ):
            names.append(hashlib.sha256((root / path).read_bytes()).hexdigest())
            features.append(feature)
    world.npz("hashes.npz", names, features)
    board = world.run(OWN, "theirs: {features: hashes.npz}", store="rendered", head=head)
    values = {result.metrics["mAP"] for result in board.results if result.row.evaluator == "cosine"}
    (theirs,) = {value for (name, _), value in numbers(board, "theirs").items() if name == "cosine"}
    assert theirs in values
    assert 0 < theirs < 1


# ------------------------------------------------------------------ faults
def without_one(world: World) -> Any:
    return world.names[1:], world.features()[1:]


def with_nan(world: World) -> Any:
    features = world.features().copy()
    features[2, 1] = np.nan
    return world.names, features


def with_zero(world: World) -> Any:
    features = world.features().copy()
    features[1] = 0
    return world.names, features


def twice(world: World) -> Any:
    return [*world.names, world.names[0]], np.concatenate([world.features(), world.features()[:1] + 1])


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (
            without_one,
            r"embed theirs -> noise \[no seed, from a file\]: f\.npz: no features for 1 image \(query/0003_c1",
        ),
        (with_nan, r"features that are not numbers, first for query/0004_c1s1_000000_01\.png"),
        (with_zero, r"query_features row 1 is a zero vector, which has no cosine distance"),
        (twice, r"f\.npz: contains query/0003_c1s1_000000_01\.png twice, with different features"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_fault_is_the_rows_reason_and_the_others_go_on(world: World, made: Callable[..., Any], reason: str) -> None:
    world.npz("f.npz", *made(world))
    board = world.run(OWN, "theirs: {features: f.npz}")
    found = only(board, "theirs")
    assert found.status in ("failed", "blocked")
    assert re.search(reason, found.error), found.error
    assert numbers(board, "own")


def test_what_is_left_out_is_noted(world: World) -> None:
    names = [*world.names, "query/9999_c1s1_000000_00.png", world.names[0]]
    world.npz(
        "more.npz", names, np.concatenate([world.features(), np.ones_like(world.features()[:1]), world.features()[:1]])
    )
    board = world.run(OWN, "theirs: {features: more.npz}")
    found = only(board, "theirs")
    assert numbers(board, "theirs")["cosine", None] == numbers(board, "own")["cosine", 0]
    assert found.notes == (
        "embed theirs -> noise [no seed, from a file]: more.npz: skipped, since noise has no such test image: 1 image "
        "(query/9999_c1s1_000000_00.png)",
        "embed theirs -> noise [no seed, from a file]: more.npz: contained more than once, with equal features: "
        f"1 image ({world.names[0]})",
    )


def test_a_file_that_changes_after_the_plan_is_not_published(world: World, registry: Registry) -> None:
    """Its result would be kept under the key of the file as it was."""
    world.npz("late.npz", world.names, world.features())
    file = world.folder / "late.yaml"
    file.write_text(f"{HEAD}  theirs: {{features: late.npz}}\n")
    found = plan.expand(reader.read(file, registry))
    (stage,) = (one for one in found.stages.values() if one.kind == "embed")
    store = Store(world.folder / "late")
    (data,) = (one for one in found.stages.values() if one.kind == "data")
    run_stage(StageSpec.of(found, data, store), lambda event: None)
    world.npz("late.npz", world.names, world.features() + 1)
    with pytest.raises(
        DataError, match=r"embed theirs -> noise .*: its files changed during the run; this result is discarded"
    ):
        run_stage(StageSpec.of(found, stage, store), lambda event: None)
    assert not store.has(stage.key)
    again = plan.expand(reader.read(file, registry))
    (stage,) = (one for one in again.stages.values() if one.kind == "embed")
    run_stage(StageSpec.of(again, replace(stage), store), lambda event: None)
    assert store.has(stage.key)
