"""Data sets of which a part is held out: what is published of them, and what stages are given."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench import report
from reidbench.api.display import Silent
from reidbench.components import load_attribute
from reidbench.execution import executors, runner
from reidbench.matrix.plan import expand
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.matrix.validation import trial_tasks
from reidbench.registry import plugins
from reidbench.report import Leaderboard
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix, write_market_folder

HEAD = "image_size: [32, 16]\nseeds: [3]\nbackbone: {use: resnet-tiny, width: 4}\n"
Facts = list[Mapping[str, Any]]


def run(plan: Plan, store: Store) -> Leaderboard:
    runner.Runner(plan, store, executors.make("inline", None), Silent(), frozenset(), 0).run()
    return report.collect(plan, store)


def trials(folder: Path, text: str) -> Plan:
    """The plan of the first task's trials."""
    file = folder / "matrix.yaml"
    file.write_text(HEAD + text)
    benchmark = reader.read(file, plugins.load())
    data, tasks = trial_tasks(benchmark, benchmark.tasks[0], "source-val")
    return expand(replace(benchmark, data={**benchmark.data, **data}, tasks=tasks))


def folder_of(plan: Plan, store: Store) -> Path:
    """Of the one data stage."""
    (key,) = (key for key, stage in plan.stages.items() if stage.kind == "data")
    return store.path(key)


def facts(folder: Path) -> Facts:
    return [json.loads(file.read_text()) for file in sorted(folder.glob("store/objects/*/facts.json"))]


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Ten identities to train on and ten others for the test, in three cameras."""
    return write_market_folder(tmp_path / "people", identities=10, cameras=3)


@pytest.mark.slow
def test_nothing_of_the_test_part_is_published(tmp_path: Path, people: Path, site: Path) -> None:
    text = f"""validate: {{identities: 0.3}}
data: {{m: {{use: market-folder, root: {people}}}}}
tasks: {{t: {{source: m, target: m}}}}
methods: {{toy: {{finetune: toy}}}}
"""
    plan, store = trials(tmp_path, text), Store(tmp_path / "store")
    board = run(plan, store)
    assert [result.status for result in board.results] == ["ok"]
    folder = folder_of(plan, store)
    columns = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("train", "query", "gallery")}
    hidden = {name: json.loads((folder / f"{name}-hidden.json").read_text()) for name in ("train", "test")}
    everything = [path for one in columns.values() for path in one["paths"]]
    assert len(everything) == len(set(everything)) == 60
    assert all(path.startswith("bounding_box_train/") for path in everything)
    assert sorted(hidden["train"]["files"]) == sorted(columns["train"]["paths"])
    assert sorted(hidden["test"]["files"]) == sorted(columns["query"]["paths"] + columns["gallery"]["paths"])
    assert {name: len(one["paths"]) for name, one in columns.items()} == {"train": 42, "query": 9, "gallery": 9}
    with np.load(folder / "images.npz") as numbers:
        assert {name: len(numbers[name]) for name in numbers.files} == {"train": 42, "query": 9, "gallery": 9}
    (note,) = store.manifest(folder.name).notes
    assert note == "held out for validation: 3 of 10 identities, 18 of 60 images; 9 are queries and 9 gallery"
    assert f"data m (30 % of identities held out): {note}" in board.results[0].notes


def test_too_few_queries_fail_the_row_in_one_sentence(tmp_path: Path, site: Path) -> None:
    lone = write_market_folder(tmp_path / "lone", identities=6, cameras=1)
    text = f"""validate: {{identities: 2}}
data: {{m: {{use: market-folder, root: {lone}}}}}
tasks: {{t: {{source: m, target: m}}}}
methods: {{looking: {{finetune: looking}}}}
"""
    board = run_matrix(HEAD + text, tmp_path)
    (looking,) = board.results
    assert "0 of the 4 held-out images can be queries" in looking.error
    assert "\n" not in looking.error


@pytest.mark.slow
def test_truth_is_known_of_what_is_left(tmp_path: Path, site: Path) -> None:
    """And a rendered set has the cameras that an adapter requires; one that names none has not."""
    text = """validate: {identities: 0.25}
data: {a: {use: synthetic, world: plaza, size: tiny}}
tasks: {t: {source: a, target: a}}
methods: {seeing: {adapt: seeing}}
"""
    board = run(trials(tmp_path, text), Store(tmp_path / "store"))
    assert {(result.status, result.error) for result in board.results} == {("ok", "")}
    (found,) = facts(tmp_path)
    assert len(found["seen"]) == 72 - 18
    assert "truth" in board.results[0].row.protocol


def test_what_a_component_requires_is_asked_of_the_data_as_ever(tmp_path: Path, people: Path, site: Path) -> None:
    text = f"""validate: {{identities: 0.3}}
data: {{m: {{use: market-folder, root: {people}, cameras: none}}, w: {{use: synthetic}}}}
tasks: {{t: {{source: w, target: m}}}}
methods: {{seeing: {{adapt: seeing}}, sie: {{finetune: transreid-sie, backbone: vit-tiny}}}}
"""
    plan = trials(tmp_path, text)
    assert [row.reason for row in plan.rows if row.method == "seeing"] == [
        "seeing needs the truth about its images, which m does not have"
    ]
    own = trials(tmp_path, text.replace("source: w, target: m", "source: m, target: w"))
    assert [row.reason for row in own.rows if row.method == "sie"] == [
        "transreid-sie needs two or more cameras, which m (30 % of identities held out) does not have"
    ]


@pytest.mark.slow
def test_a_fine_tuner_is_given_what_it_may_choose_by(tmp_path: Path, people: Path, site: Path) -> None:
    other = write_market_folder(tmp_path / "other", identities=6, seed=1)
    text = f"""validate: {{identities: 3, seed: 2}}
data:
  m: {{use: market-folder, root: {people}}}
  n: {{use: market-folder, root: {other}}}
  o: {{use: synthetic}}
tasks:
  one: {{source: m, target: n}}
  two: {{source: [m, n], target: n}}
  none: {{source: m, target: n, validate: {{data: o}}}}
  bare: {{target: n}}
methods: {{looking: {{finetune: looking}}, toy: {{finetune: toy}}}}
"""
    board = run_matrix(HEAD + text, tmp_path)
    rows = {(result.row.method, result.row.task): result for result in board.results}
    for task, words in (("none", "the task's is `validate: {data: o}`"), ("bare", "needs a source")):
        assert words in rows["looking", task].row.reason
    assert rows["toy", "one"].row.protocol == "source labels, AP step"
    for task in ("one", "two"):
        assert rows["looking", task].row.protocol == "source labels, epoch chosen on held-out identities, AP step"
        assert any("held out for validation: 3 of 10" in note for note in rows["looking", task].notes)
    single, both = sorted(facts(tmp_path), key=lambda found: len(found["validation"]))
    ((query, gallery),) = single["validation"]
    assert query == gallery
    assert len(query) == 3
    assert sorted({*query, *single["source"]}) == list(range(1, 11))
    assert [len(query) for query, _ in both["validation"]] == [3, 3]
    assert len(both["source"]) == 7 + 3


@pytest.mark.slow
def test_the_validation_part_that_a_set_ships(tmp_path: Path, site: Path, registry: plugins.Registry) -> None:
    msmt = registry.get("dataset", "msmt17-v1")
    folder = load_attribute(msmt.stand_in)(msmt.params(), tmp_path / "msmt")
    text = f"""validate: {{queries: validation}}
data: {{m: {{use: msmt17-v1, root: {folder}}}, whole: {{use: msmt17-v1, root: {folder}, train: trainval}}}}
tasks: {{t: {{source: m, target: m}}, u: {{source: whole, target: m}}}}
methods: {{looking: {{finetune: looking}}}}
"""
    board = run_matrix(HEAD + text, tmp_path)
    rows = {result.row.task: result for result in board.results}
    assert rows["t"].status == "ok"
    assert "epoch chosen on validation images" in rows["t"].row.protocol
    assert rows["u"].row.reason.startswith("whole ships no validation part, or trains on it")
    (found,) = facts(tmp_path)
    ((query, gallery),) = found["validation"]
    assert set(query) <= set(gallery) == set(found["source"])
    assert not [note for note in rows["t"].notes if "in train too" in note]


@pytest.mark.slow
def test_test_persons_in_train_are_found_behind_a_chosen_epoch(tmp_path: Path, people: Path, site: Path) -> None:
    """The part of train that is learnt from is another data stage than the one that is tested on."""
    file = next((people / "query").glob("*.png"))
    for camera in (1, 2):
        (people / "bounding_box_train" / f"{file.name[:4]}_c{camera}s1_000099_00.png").write_bytes(file.read_bytes())
    text = f"""validate: {{identities: VALUE}}
data: {{m: {{use: market-folder, root: {people}}}}}
tasks: {{t: {{source: m, target: m}}}}
methods: {{looking: {{finetune: looking}}}}
"""
    words: dict[bool, set[bool]] = {}
    for seed in range(6):
        value = f"3, seed: {seed}"
        board = run_matrix(HEAD + text.replace("VALUE", value), tmp_path, store=tmp_path / str(seed))
        (found,) = (json.loads(one.read_text()) for one in tmp_path.glob(f"{seed}/objects/*/facts.json"))
        trained = int(file.name[:4]) in found["source"]
        words.setdefault(trained, set()).add("test persons in train" in board.results[0].row.protocol)
    assert words == {True: {True}, False: {False}}


@pytest.fixture
def planned(tmp_path: Path) -> Callable[[str], Plan]:
    """A plan of three identities of each data set with a root, as in a rehearsal."""

    def expanded(text: str) -> Plan:
        file = tmp_path / "few.yaml"
        file.write_text(HEAD + text)
        return expand(replace(reader.read(file, plugins.load()), few=6))

    return expanded


@pytest.mark.slow
def test_few_identities_come_first(tmp_path: Path, people: Path, site: Path, planned: Callable[[str], Plan]) -> None:
    """In a rehearsal: of ten identities six are kept, and of these two are held out."""
    plan = planned(f"""validate: {{identities: 2}}
data: {{m: {{use: market-folder, root: {people}}}}}
tasks: {{t: {{source: m, target: m}}}}
methods: {{looking: {{finetune: looking}}}}
""")
    run(plan, Store(tmp_path / "store"))
    (found,) = facts(tmp_path)
    ((query, _),) = found["validation"]
    assert sorted([*query, *found["source"]]) == [1, 2, 3, 4, 5, 6]


def test_a_nested_training_chooses_on_the_source_alone(tmp_path: Path, people: Path, site: Path) -> None:
    """One on the target, or on auxiliary data, has no part of the source that it could leave out."""
    text = f"""validate: {{identities: 3}}
data: {{m: {{use: market-folder, root: {people}}}}}
tasks: {{t: {{source: m, target: m, pool: m}}}}
methods:
  nested: {{select: {{use: proxied, proxy: ones, tuned: looking}}, pretrain: ones, finetune: none}}
"""
    (row,) = run_matrix(HEAD + text, tmp_path).results
    assert row.row.reason == "looking chooses its epoch on a part of the source, but learns from the target"
