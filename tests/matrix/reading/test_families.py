"""Entries of `tasks:` that stand for several: which tasks they give, and what they refuse in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.errors import ConfigError
from reidbench.matrix.benchmark import DataRef, Task, Validation
from reidbench.matrix.families.generalisation import PROTOCOLS
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry

WORLDS = "{a: {use: synthetic, size: tiny}, b: {use: synthetic, world: station, size: tiny}, c: {use: synthetic}}"


@pytest.fixture
def read(matrix: Callable[..., Path], registry: Registry) -> Callable[[str], tuple[Task, ...]]:
    """The tasks of a file whose `tasks:` are this text, over the data sets a, b and c."""
    return lambda tasks, data=WORLDS: reader.read(matrix(tasks=tasks, data=data), registry).tasks


@pytest.fixture
def problems(matrix: Callable[..., Path], registry: Registry) -> Callable[[str], list[str]]:
    def found(tasks: str, data: str = WORLDS) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            reader.read(matrix(tasks=tasks, data=data), registry)
        return [line.partition(": ")[2] for line in caught.value.problems]

    return found


def seen(tasks: tuple[Task, ...]) -> list[tuple[str, list[str], str]]:
    """Name, sources and target of each task."""
    return [(task.name, [ref.name for ref in task.source], task.target.name) for task in tasks]


def test_leave_one_out(read: Callable[..., tuple[Task, ...]]) -> None:
    tasks = read("{dg: {leave-one-out: [a, b, c], pool: a, adapt_on: test}, own: {source: a, target: a}}")
    assert seen(tasks) == [
        ("dg: b+c->a", ["b", "c"], "a"),
        ("dg: a+c->b", ["a", "c"], "b"),
        ("dg: a+b->c", ["a", "b"], "c"),
        ("own", ["a"], "a"),
    ]
    assert [(task.group, task.adapt_on, len(task.pool)) for task in tasks] == [("dg", "test", 1)] * 3 + [
        ("", "train", 0)
    ]
    assert {task.validate for task in read("{dg: {leave-one-out: [a, b], validate: {data: c}}}")} == {
        Validation("data", data="c")
    }


def test_all_pairs_are_ordered(read: Callable[..., tuple[Task, ...]]) -> None:
    names = [task.name for task in read("{p: {all-pairs: [a, b, c]}}")]
    assert names == ["p: a->b", "p: a->c", "p: b->a", "p: b->c", "p: c->a", "p: c->b"]


def test_sources_are_together_for_each_target(read: Callable[..., tuple[Task, ...]]) -> None:
    assert seen(read("{t: {sources: [a, b], targets: [c]}}")) == [("t: a+b->c", ["a", "b"], "c")]
    joint = read("{t: {sources: [a, b], targets: [a, b]}}")  # trained on all, tested on each
    assert seen(joint) == [("t: a+b->a", ["a", "b"], "a"), ("t: a+b->b", ["a", "b"], "b")]


def test_a_part_of_a_data_set_is_for_training_only(read: Callable[..., tuple[Task, ...]]) -> None:
    tasks = read("{dg: {leave-one-out: [{use: a, identities: 0.5}, {use: b, images: all}]}}")
    assert [(task.source, task.target) for task in tasks] == [
        ((DataRef("b", images="all"),), DataRef("a")),
        ((DataRef("a", 0.5),), DataRef("b")),
    ]


def test_a_sequence_is_tested_after_each_step(read: Callable[..., tuple[Task, ...]]) -> None:
    tasks = read("{life: {sequence: [a, b], unseen: [c]}}")
    assert seen(tasks) == [
        ("life: a->a", ["a"], "a"),
        ("life: a>b->a", ["a", "b"], "a"),
        ("life: a>b->b", ["a", "b"], "b"),
        ("life: a>b->c", ["a", "b"], "c"),
    ]
    assert all(task.in_order for task in tasks)


def test_protocol_2_leaves_out_each_large_set_but_the_one_without_cameras(
    read: Callable[..., tuple[Task, ...]],
) -> None:
    """As train.sh of yoonkicho/BAU has it: M+MS+CS->C3, M+CS+C3->MS, MS+C3+CS->M."""
    data = "{M: {use: synthetic}, MS: {use: synthetic, seed: 1}, C3: {use: synthetic, seed: 2}, " + (
        "CS: {use: synthetic, seed: 3}}"
    )
    names = "data: {market1501: M, msmt17: MS, cuhk03: C3, cuhk-sysu: CS}"
    tests = {
        (frozenset(sources), target) for _, sources, target in seen(read(f"{{p: {{protocol: dg-2, {names}}}}}", data))
    }
    assert tests == {
        (frozenset({"M", "MS", "CS"}), "C3"),
        (frozenset({"M", "CS", "C3"}), "MS"),
        (frozenset({"MS", "C3", "CS"}), "M"),
    }
    third = read(f"{{p: {{protocol: dg-3, {names}}}}}", data)
    assert {ref.images for task in third for ref in task.source} == {"all"}
    assert {(frozenset(sources), target) for _, sources, target in seen(third)} == tests


def test_protocol_1_takes_a_list_of_splits(
    read: Callable[..., tuple[Task, ...]], problems: Callable[..., list[str]]
) -> None:
    """M+C2+C3+CS -> PRID, GRID, VIPeR, iLIDs, all images of the sources; data sets with the field's own names."""
    names = [*PROTOCOLS["dg-1"].roles, "viper-1", "grid-1", "prid-1", "ilids-1"]
    data = "{" + ", ".join(f"{name}: {{use: synthetic, seed: {seed}}}" for seed, name in enumerate(names)) + "}"
    tasks = read("{p: {protocol: dg-1}}", data)
    assert [task.target.name for task in tasks] == ["prid", "grid", "viper", "ilids"]
    assert {task.source for task in tasks} == {
        tuple(DataRef(name, images="all") for name in ("market1501", "cuhk02", "cuhk03", "cuhk-sysu"))
    }
    lists = ", ".join(f"{name}: [{name}, {name}-1]" for name in ("prid", "grid", "viper", "ilids"))
    assert len(read(f"{{p: {{protocol: dg-1, data: {{{lists}}}}}}}", data)) == 8
    (wrong,) = problems("{p: {protocol: dg-1, data: {viper: [viper, viper-1]}}}", data)
    assert "the same number of splits for each target (prid 1, grid 1, viper 2, ilids 1)" in wrong


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        ("{leave-one-out: [a, b, again]}", ".leave-one-out: 'a' and 'again' are the same data set: name it once"),
        ("{all-pairs: [a, again]}", ".all-pairs: 'a' and 'again' are the same data set: name it once"),
        ("{source: [a, again], target: b}", ".source: 'a' and 'again' are the same data set: name it once"),
        ("{sequence: [a, b], unseen: [again]}", ".unseen: 'again' is in the sequence and therefore seen"),
        ("{sources: [a], targets: [again, b]}", ".targets: 'again' is a source and 'b' is not: a mean over seen"),
    ],
)
def test_two_names_of_one_data_set_are_one(task: str, sentence: str, problems: Callable[..., list[str]]) -> None:
    """Entries that read the same files in the same way; parameters with their default value change nothing."""
    data = "{a: {use: synthetic}, b: {use: synthetic, seed: 1}, again: {use: synthetic, seed: 0}}"
    (found,) = problems(f"{{t: {task}}}", data)
    assert f"tasks.t{sentence}" in found


def test_two_names_of_one_data_set_may_be_source_and_target(read: Callable[..., tuple[Task, ...]]) -> None:
    (task,) = read("{t: {source: a, target: again}}", "{a: {use: synthetic}, again: {use: synthetic}}")
    assert (task.source[0].name, task.target.name) == ("a", "again")


@pytest.mark.parametrize(
    ("tasks", "sentence"),
    [
        ("{t: {leave-one-out: [a]}}", "tasks.t.leave-one-out: needs at least 2 data sets, not 1"),
        ("{t: {leave-one-out: a}}", "tasks.t.leave-one-out: must be a list of data sets, not text"),
        ("{t: {all-pairs: [a, a]}}", "tasks.t.all-pairs: a data set appears twice"),
        ("{t: {all-pairs: [a, d]}}", "tasks.t.all-pairs.1: unknown data set 'd' (known, under `data`: a, b, c)"),
        ("{t: {sources: [a, b], targets: [a, c]}}",
         "tasks.t.targets: 'a' is a source and 'c' is not: a mean over seen and unseen is meaningless; make them "
         "two families"),
        ("{t: {sources: [a]}}", "tasks.t: needs `targets:`"),
        ("{t: {sources: [a], targets: [{use: c, identities: 0.5}]}}",
         "tasks.t.targets: `identities` selects by labels: use it for source and auxiliary only"),
        ("{t: {sources: [{use: a, images: all}], targets: [a]}}",
         "tasks.t: `images: all` of 'a' includes the test images of the target 'a'"),
        ("{t: {source: {use: a, images: all}, target: a}}",
         "tasks.t: `images: all` of 'a' includes the test images of the target 'a'"),
        ("{t: {source: b, auxiliary: {use: a, images: all}, target: a}}",
         "tasks.t: `images: all` of 'a' includes the test images of the target 'a'"),
        ("{t: {source: {use: a, images: everything}, target: b}}",
         "tasks.t.source.images: must be train or all, not 'everything'"),
        ("{t: {source: a, target: b, pool: {use: c, images: all}}}",
         "tasks.t.pool: `images` adds labelled images: use it for source and auxiliary only"),
        ("{t: {sequence: [a]}}", "tasks.t.sequence: needs at least 2 data sets, not 1"),
        ("{t: {sequence: [a, b, a]}}", "tasks.t.sequence: a data set appears twice"),
        ("{t: {sequence: [a, b], unseen: [b]}}", "tasks.t.unseen: 'b' is in the sequence and therefore seen"),
        ("{t: {sequence: [a, b], adapt_on: test}}",
         "tasks.t.adapt_on: must be train: a sequence trains on the train images of each data set"),
        ("{t: {sequence: [{use: a, images: all}, b]}}",
         "tasks.t: `images: all` of 'a' includes the test images of the target 'a'"),
        ("{t: {leave-one-out: [a, b], sequence: [a, b]}}",
         "tasks.t: combines 2 families, `leave-one-out` and `sequence`: write one entry for each"),
        ("{t: {leave-one-out: [a, b], target: c}}",
         "tasks.t.target: unknown key (known: leave-one-out, pool, auxiliary, adapt_on, validate, evaluate)"),
        ("{t: {leave-one-out: [a, b], validate: {data: b}}}",
         "tasks.t.validate.data: 'b' is already used in a task of this family; name a data set that no task uses"),
        ("{t: {protocol: dg-4}}",
         "tasks.t.protocol: unknown protocol 'dg-4'; did you mean 'dg-3'? (known: dg-1, dg-2, dg-3; `reidbench "
         "show protocol NAME` describes each)"),
        ("{t: {protocol: dg-2, data: {market1501: a, msmt17: b, cuhk03: c}}}",
         "tasks.t.data: dg-2 needs cuhk-sysu: give `data: {cuhk-sysu: NAME}` with names of `data`"),
        ("{t: {protocol: dg-2, data: {market1501: a, msmt17: b, cuhk03: c, cuhk-sysu: a}}}",
         "tasks.t.data: 'a' is used for two data sets of the protocol"),
        ("{t: {protocol: dg-2, data: {market1501: {use: a, identities: 2}, msmt17: b, cuhk03: c, cuhk-sysu: [a, b]}}}",
         "tasks.t.data.market1501: must be the name of a data set: the protocol determines the images"),
        ("{t: {protocol: dg-2, data: {market1501: a, msmt17: b, cuhk03: c, cuhk-sysu: [a, b]}}}",
         "tasks.t.data.cuhk-sysu: must be one data set"),
        ("{t: {protocol: dg-2, data: {market1501: a, msmt17: b, cuhk03: c, cuhk-sysu: a, duke: b}}}",
         "tasks.t.data.duke: unknown key (known: market1501, msmt17, cuhk03, cuhk-sysu)"),
        ("{t: {all-pairs: [a, b]}, 't: a->b': {source: a, target: b}}",
         "tasks.t: a->b: the task 't: a->b' already exists; rename one"),
        ("{t: {all-pairs: [a, b]}, 't: mean': {source: a, target: b}}",
         "tasks.t: mean: is the name of a summary of the family 't'; rename the task"),
        ("{t: {leave_one_out: [a, b]}}", "tasks.t.leave_one_out: unknown key; did you mean 'leave-one-out'? (known: "
         "source, target, pool, auxiliary, adapt_on, validate, evaluate, leave-one-out, all-pairs, sources, sequence, "
         "protocol)"),
    ],
)  # fmt: skip
def test_refused_in_a_sentence(tasks: str, sentence: str, problems: Callable[..., list[str]]) -> None:
    assert sentence in problems(tasks)


def test_a_sentence_has_file_and_line(matrix: Callable[..., Path], registry: Registry) -> None:
    file = matrix(data=WORLDS, tasks="\n  t:\n    sequence: [a, b]\n    unseen: [a]")
    with pytest.raises(ConfigError) as caught:
        reader.read(file, registry)
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "unseen" in text)
    assert caught.value.problems[0].startswith(f"{file}:{line}: tasks.t.unseen: 'a' is in the sequence")


def test_a_list_that_stands_for_too_many_tasks(problems: Callable[..., list[str]]) -> None:
    names = [f"s{number}" for number in range(101)]
    data = "{" + ", ".join(f"{name}: {{use: synthetic}}" for name in names) + "}"
    found = problems(f"{{t: {{all-pairs: [{', '.join(names)}]}}}}", data)
    assert found == ["tasks.t.all-pairs: lists 101 data sets, more than 100; split them into several files"]
