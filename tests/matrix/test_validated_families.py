"""Validation of tasks whose sources are all images of a set, or come one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reidbench.data import Dataset, Split, hold_out
from reidbench.errors import ConfigError
from reidbench.matrix.benchmark import Validation
from reidbench.matrix.needs import NotApplicable
from reidbench.matrix.plan import expand
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.matrix.validation import trial_tasks
from reidbench.registry.plugins import Registry

WORLDS = "{a: {use: synthetic, seed: 1}, b: {use: synthetic, seed: 2}, c: {use: synthetic, seed: 3}}"
Write = Callable[..., Path]


def trials(file: Path, registry: Registry, name: str) -> Plan:
    benchmark = reader.read(file, registry)
    (task,) = (task for task in benchmark.tasks if task.name == name)
    data, tasks = trial_tasks(benchmark, task, "source-val")
    return expand(replace(benchmark, data={**benchmark.data, **data}, tasks=tasks))


def used(plan: Plan) -> set[tuple[str, str, str]]:
    return {(stage.kind, given.data, given.part) for stage in plan.stages.values() for given in stage.data}


def test_a_part_of_all_images_is_held_out_of_all_images(matrix: Write, registry: Registry) -> None:
    tasks = "{t: {source: {use: a, images: all}, target: b, auxiliary: {use: a, images: all}}}"
    file = matrix(data=WORLDS, tasks=tasks, validate="{identities: 0.2}", methods="{bot: {finetune: bot}}")
    held = "a (20 % of identities held out of all images)"
    plan = trials(file, registry, "t")
    assert used(plan) == {("finetune", held, "train"), ("embed", held, "test")}
    (data,) = (stage for stage in plan.stages.values() if stage.kind == "data")
    assert data.held_out == {"identities": 0.2, "seed": 0, "images": "all"}
    mixed = matrix(data=WORLDS, tasks=tasks.replace("auxiliary: {use: a, images: all}", "auxiliary: a"),
                   validate="{identities: 0.2}", methods="{bot: {finetune: bot}}")  # fmt: skip
    with pytest.raises(NotApplicable, match="a is a source and has another role with different `images:`"):
        trials(mixed, registry, "t")


def test_persons_of_the_test_part_are_held_out_too() -> None:
    def split(first: int, *pids: int) -> Split:
        rows = [(pid, camera) for pid in pids for camera in (0, 1, 0, 1)]
        names = [f"{first + number}.png" for number in range(len(rows))]
        return Split.of_columns(Path("/"), names, *zip(*rows, strict=True))

    whole = Dataset("some", Path("/"), split(0, 1, 2, 3), split(100, 4, 5), split(200, 4, 5, 6), one_numbering=True)
    found = [hold_out(whole, {"identities": 3, "seed": seed, "images": "all"}) for seed in range(20)]
    for one in found:
        assert one.query is not None
        assert one.train.num_pids == one.query.num_pids == 3
        assert not set(one.train.pids) & set(one.query.pids)
    assert {int(pid) for one in found for pid in one.train.pids} == {1, 2, 3, 4, 5, 6}


def test_a_sequence_chooses_each_epoch_on_its_own_source(matrix: Write, registry: Registry) -> None:
    file = matrix(
        data=WORLDS,
        tasks="{s: {sequence: [a, b], validate: {identities: 0.2}}}",
        methods="{best: {finetune: {use: bot, choose_epoch: best}}}",
    )
    plan = expand(reader.read(file, registry))
    trained = [stage.data for stage in plan.stages.values() if stage.kind == "finetune"]
    held = [f"{name} (20 % of identities held out)" for name in "ab"]
    assert [[(given.role, given.data) for given in data] for data in trained] == [
        [("source", name), ("validation", name)] for name in held
    ]
    assert {row.reason for row in plan.rows} == {""}
    assert all("epoch chosen on held-out identities" in row.protocol for row in plan.rows)


def test_a_family_has_the_validation_that_stands_beside_it(matrix: Write, registry: Registry) -> None:
    file = matrix(data=WORLDS, tasks="{dg: {leave-one-out: [a, b, c], validate: {identities: 0.2}}}")
    benchmark = reader.read(file, registry)
    assert [task.validate for task in benchmark.tasks] == [Validation("identities", 0.2)] * 3
    _, tasks = trial_tasks(benchmark, benchmark.tasks[0], "source-val")
    assert [task.group for task in tasks] == ["dg", "dg"]
    wrong = matrix(data=WORLDS, tasks="{dg: {leave-one-out: [a, b, c], validate: {identities: 2.0}}}")
    with pytest.raises(ConfigError, match=r"matrix.yaml:4: tasks.dg.validate.identities: must be a fraction"):
        reader.read(wrong, registry)
