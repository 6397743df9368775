"""Data that a trial is judged on: the data sets of its stages never include the test part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reidbench.matrix.benchmark import Benchmark, DataSource, Task, Validation
from reidbench.matrix.keys import data_key
from reidbench.matrix.needs import NotApplicable
from reidbench.matrix.plan import expand
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.matrix.validation import same_data, trial_tasks, validation_of
from reidbench.registry.plugins import Registry
from reidbench.testing import write_market_folder

THREE = "{a: {use: synthetic, seed: 1}, b: {use: synthetic, seed: 2}, c: {use: synthetic, seed: 3}}"
BOT = "{bot: {finetune: {use: bot, epochs: 1}}}"
HELD = "a (20 % of identities held out)"
Write = Callable[..., Path]


def read(write: Write, registry: Registry, **parts: str) -> Benchmark:
    given = {"data": THREE, "methods": BOT, "validate": "{identities: 0.2}", **parts}
    return reader.read(write(**given), registry)


def planned(benchmark: Benchmark, select: str = "source-val") -> tuple[tuple[Task, ...], Plan]:
    data: dict[str, DataSource] = {}
    tasks: tuple[Task, ...] = ()
    for task in benchmark.tasks:
        more, own = trial_tasks(benchmark, task, select)
        data, tasks = data | more, (*tasks, *own)
    return tasks, expand(replace(benchmark, data={**benchmark.data, **data}, tasks=tasks))


def used(plan: Plan) -> set[tuple[str, str, str]]:
    """(kind, data set, part) of all images that the stages are given."""
    return {(stage.kind, given.data, given.part) for stage in plan.stages.values() for given in stage.data}


def test_a_trial_trains_on_the_rest_and_is_judged_on_what_is_held_out(matrix: Write, registry: Registry) -> None:
    benchmark = read(matrix, registry, tasks="{t: {source: a, target: b}}")
    tasks, plan = planned(benchmark)
    assert [task.tested.name for task in tasks] == [HELD]
    assert used(plan) == {("finetune", HELD, "train"), ("embed", HELD, "test")}
    (data,) = (stage for stage in plan.stages.values() if stage.kind == "data")
    assert data.held_out == {"identities": 0.2, "seed": 0}
    assert [row.reason for row in plan.rows] == [""]


def test_an_adapter_adapts_to_the_unlabelled_target_and_is_judged_on_the_source(
    matrix: Write, registry: Registry
) -> None:
    methods = "{m: {finetune: {use: bot, epochs: 1}, adapt: {use: cluster-contrast, rounds: 1}}}"
    for adapt_on in ("train", "test"):
        tasks = f"{{t: {{source: a, target: b, adapt_on: {adapt_on}}}}}"
        _, plan = planned(read(matrix, registry, tasks=tasks, methods=methods))
        found = {(kind, data, part) for kind, data, part in used(plan) if kind != "embed"}
        assert ("adapt", "b", "train") in found
        assert {part for _, _, part in found} == {"train"}
        assert {given.data for stage in plan.stages.values() if stage.kind == "embed" for given in stage.data} == {HELD}


def test_several_sources_are_judged_one_by_one_with_one_training(matrix: Write, registry: Registry) -> None:
    tasks, plan = planned(read(matrix, registry, tasks="{t: {source: [a, b], target: c}}"))
    assert [task.tested.name for task in tasks] == [HELD, HELD.replace("a", "b", 1)]
    assert len({task.name for task in tasks}) == 2
    kinds = [stage.kind for stage in plan.stages.values()]
    assert (kinds.count("finetune"), kinds.count("embed")) == (1, 2)


def test_no_labels_of_what_is_held_out_are_left(matrix: Write, registry: Registry) -> None:
    """The source is also the target and the auxiliary data; `alias` is the source under another name."""
    data = "{a: &a {use: synthetic, seed: 1}, alias: *a, b: {use: synthetic, seed: 2}}"
    tasks = "{t: {source: a, target: alias, auxiliary: [alias, b], pool: a}}"
    ((task,), plan) = planned(read(matrix, registry, data=data, tasks=tasks))
    assert [ref.name for ref in (task.target, *task.auxiliary)] == [HELD, HELD, "b"]
    assert task.pool[0].name == "a"  # without labels, and so its stages are shared
    assert {part for _, name, part in used(plan) if name != HELD} <= {"train"}


def test_few_labels_come_first_and_the_rest_of_other_roles_is_whole(matrix: Write, registry: Registry) -> None:
    benchmark = read(
        matrix, registry, tasks="{t: {source: {use: a, identities: 0.5, subset_seed: 4}, target: b, auxiliary: a}}"
    )
    data, (task,) = trial_tasks(benchmark, benchmark.tasks[0], "source-val")
    how = {"identities": 0.2, "seed": 0, "of": 0.5, "of_seed": 4}
    assert data[task.source[0].name].held_out == how
    assert data[task.auxiliary[0].name].held_out == {**how, "whole": True}
    assert task.source[0].identities is None


def test_a_held_out_domain_stands_in_the_place_of_the_target(matrix: Write, registry: Registry) -> None:
    methods = "{m: {finetune: {use: bot, epochs: 1}, adapt: {use: cluster-contrast, rounds: 1}}}"
    tasks = "{t: {source: a, target: b, validate: {data: c}}}"
    benchmark = read(matrix, registry, tasks=tasks, methods=methods)
    assert validation_of(benchmark, benchmark.tasks[0]) == Validation("data", data="c")
    _, plan = planned(benchmark, "held-out-domain")
    assert "b" not in {name for _, name, _ in used(plan)}
    assert {("adapt", "c", "train"), ("embed", "c", "test")} <= used(plan)


def test_the_oracle_is_the_task_itself(matrix: Write, registry: Registry) -> None:
    benchmark = read(matrix, registry, tasks="{t: {source: a, target: b}}")
    assert trial_tasks(benchmark, benchmark.tasks[0], "oracle") == ({}, benchmark.tasks)


def test_shipped_queries(matrix: Write, registry: Registry, tmp_path: Path) -> None:
    for train, reason in (("train", ""), ("trainval", "msmt ships no validation part, or trains on it")):
        data = f"{{msmt: {{use: msmt17-v1, root: {tmp_path}, train: {train}}}, b: {{use: synthetic}}}}"
        benchmark = read(
            matrix, registry, data=data, tasks="{t: {source: msmt, target: b}}", validate="{queries: validation}"
        )
        if reason:
            with pytest.raises(NotApplicable, match=reason):
                trial_tasks(benchmark, benchmark.tasks[0], "source-val")
        else:
            derived, (task,) = trial_tasks(benchmark, benchmark.tasks[0], "source-val")
            assert derived[task.tested.name].held_out == {"queries": "validation"}


def test_a_sequence_is_judged_at_its_end_on_what_each_source_held_out(matrix: Write, registry: Registry) -> None:
    tasks, plan = planned(read(matrix, registry, tasks="{t: {sequence: [a, b], unseen: [c]}}"))
    held = [HELD, HELD.replace("a", "b", 1)]
    assert [(task.name, task.tested.name) for task in tasks if task.name.startswith("t: a>b->c")] == [
        (f"t: a>b->c: {name}", name) for name in held
    ]
    assert {(data, part) for kind, data, part in used(plan) if kind == "finetune"} == {(name, "train") for name in held}
    assert sum(stage.kind == "finetune" for stage in plan.stages.values()) == 2
    assert "c" not in {name for _, name, _ in used(plan)}


def test_each_training_of_a_sequence_chooses_its_epoch_on_its_own_data(matrix: Write, registry: Registry) -> None:
    methods = "{bot: {finetune: {use: bot, epochs: 2, choose_epoch: best}}}"
    plan = expand(read(matrix, registry, tasks="{t: {sequence: [a, b], unseen: [c]}}", methods=methods))
    assert [row.reason for row in plan.rows] == ["", "", "", ""]
    trained = [stage for stage in plan.stages.values() if stage.kind == "finetune"]
    assert [{given.data for given in stage.data} for stage in trained] == [{HELD}, {HELD.replace("a", "b", 1)}]
    tested = {given.data for stage in plan.stages.values() if stage.kind == "embed" for given in stage.data}
    assert tested == {"a", "b", "c"}


NO_TRIALS: Mapping[str, tuple[str, str, str, str]] = {
    "none": ("", "{source: a, target: b}", "source-val", "needs `validate: {identities: 0.2}`.*the task has no"),
    "no source": ("{identities: 0.2}", "{target: b}", "source-val", "the task has none: validate on another"),
    "all images as auxiliary": (
        "{identities: 0.2}", "{source: a, target: b, auxiliary: {use: a, images: all}}", "source-val",
        "a is a source and has another role with different `images:`",
    ),
    "another kind": ("{data: c}", "{source: a, target: b}", "source-val", "the task's is `validate: {data: c}`"),
    "a part": ("{identities: 0.2}", "{source: a, target: b}", "held-out-domain", "needs `validate: {data: NAME}`"),
    "the target": ("{data: b}", "{source: a, target: b}", "held-out-domain", "b is the target of this task"),
    "a source": ("{data: c}", "{source: [a, c], target: b}", "held-out-domain", "c is the source of this task"),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_TRIALS)
def test_no_trials_is_one_sentence(case: str, matrix: Write, registry: Registry) -> None:
    validate, task, select, words = NO_TRIALS[case]
    benchmark = read(matrix, registry, tasks=f"{{t: {task}}}", validate=validate)
    with pytest.raises(NotApplicable, match=words) as caught:
        trial_tasks(benchmark, benchmark.tasks[0], select)
    assert "\n" not in str(caught.value)


def test_the_target_under_another_name_or_in_another_place_is_refused(
    matrix: Write, registry: Registry, market: Path, tmp_path: Path
) -> None:
    copy = write_market_folder(tmp_path / "copy")
    (tmp_path / "link").symlink_to(market)
    other = write_market_folder(tmp_path / "other", images=3)
    roots = {"tiny": market, "link": tmp_path / "link", "copy": copy, "other": other}
    data = ", ".join(f"{name}: {{use: market-folder, root: {root}}}" for name, root in roots.items())
    data += f", reread: {{use: market-folder, root: {market}, cameras: none}}, world: {{use: synthetic}}"
    benchmark = read(matrix, registry, data=f"{{{data}}}", tasks="{t: {source: world, target: tiny}}")
    known = benchmark.data
    assert {name for name in known if same_data(known["tiny"], known[name])} == {"tiny", "link", "copy", "reread"}
    for name in ("link", "copy", "reread"):
        one = replace(benchmark, validate=Validation("data", data=name))
        with pytest.raises(NotApplicable, match=f"tiny \\(the same as {name}\\) is the target of this task"):
            trial_tasks(one, one.tasks[0], "held-out-domain")


def test_a_copy_beside_a_source_would_train_on_what_is_held_out(
    matrix: Write, registry: Registry, market: Path, tmp_path: Path
) -> None:
    roots = {"tiny": market, "copy": write_market_folder(tmp_path / "copy")}
    data = ", ".join(f"{name}: {{use: market-folder, root: {root}}}" for name, root in roots.items())
    parts = {"data": f"{{{data}, world: {{use: synthetic}}}}", "validate": "{identities: 0.5}"}
    benchmark = read(matrix, registry, tasks="{t: {source: [tiny, copy], target: world}}", **parts)
    with pytest.raises(NotApplicable, match="tiny and copy are the same data set, and one would contain"):
        trial_tasks(benchmark, benchmark.tasks[0], "source-val")


def test_a_data_set_of_the_file_keeps_its_name(matrix: Write, registry: Registry) -> None:
    data = f"{{a: {{use: synthetic, seed: 1}}, b: {{use: synthetic}}, '{HELD}': {{use: synthetic, seed: 5}}}}"
    benchmark = read(matrix, registry, data=data, tasks="{t: {source: a, target: b}}")
    derived, (task,) = trial_tasks(benchmark, benchmark.tasks[0], "source-val")
    assert task.tested.name == f"{HELD}'"
    assert derived.keys().isdisjoint(benchmark.data)


def test_a_file_without_trials_has_the_keys_that_it_had(matrix: Write, registry: Registry) -> None:
    """`validate:` alone changes nothing: no stage but those of trials and of chosen epochs looks at it."""
    tasks = "{t: {source: a, target: b, pool: c}}"
    plain, validated = (
        expand(read(matrix, registry, tasks=tasks, validate=one)) for one in ("", "{identities: 0.2, seed: 3}")
    )
    assert plain.stages == validated.stages
    assert plain.rows == validated.rows


def test_the_key_of_a_part_is_that_of_the_whole_and_of_how_it_was_drawn(matrix: Write, registry: Registry) -> None:
    choice = read(matrix, registry, tasks="{t: {source: a, target: b}}").data["a"].choice
    whole = {"identities": 0.2, "seed": 0}
    parts: list[Mapping[str, Any]] = [
        {},
        whole,
        {**whole, "seed": 1},
        {**whole, "identities": 0.3},
        {**whole, "of": 0.5, "of_seed": 0},
        {**whole, "of": 0.5, "of_seed": 1},
        {**whole, "of": 0.5, "of_seed": 0, "whole": True},
        {"queries": "validation"},
    ]
    keys = [data_key(choice, "content", few, part) for few in (0, 12) for part in parts]
    assert len(set(keys)) == len(keys)
    assert data_key(choice, "content") == keys[0]
    assert data_key(choice, "content", 12) == keys[len(parts)]
    assert data_key(choice, "content", 0, {"seed": 0, "identities": 0.2}) == keys[1]  # the order of words is none of it
