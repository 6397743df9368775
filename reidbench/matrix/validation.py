"""Held-out data that selects parameters and epochs in place of the test part, as ordinary data sets."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from reidbench.data.standin import is_stand_in
from reidbench.errors import DataError
from reidbench.words import VALIDATION

from .benchmark import ALL_IMAGES, Benchmark, Choice, DataRef, DataSource, Task
from .benchmark import Validation as Validation
from .keys import content_of
from .needs import NotApplicable
from .protocol import said_content

SOURCE_VAL, HELD_OUT_DOMAIN, ORACLE = "source-val", "held-out-domain", "oracle"  # values of `select:`
ON_THE_SOURCE = "`validate: {identities: 0.2}` (or `{queries: validation}`)"


def validation_of(benchmark: Benchmark, task: Task) -> Validation | None:
    """Return the validation of a task: its own, or the file's."""
    return task.validate or benchmark.validate


def trial_tasks(benchmark: Benchmark, task: Task, select: str) -> tuple[dict[str, DataSource], tuple[Task, ...]]:
    """Return the additional data sets and the tasks that a trial of this task is scored on, by their mean.

    `select` is "source-val" (one task for each source, all with the same training), "held-out-domain", or "oracle" for
    the task itself. With the first two, no stage receives the task's test part. Raises NotApplicable if the task's
    validation is of a different kind or impossible.
    """
    if select == ORACLE:
        return {}, (task,)
    validation = validation_of(benchmark, task)
    if select == HELD_OUT_DOMAIN:
        if validation is None or validation.kind != "data":
            raise NotApplicable(f"`select: {select}` needs `validate: {{data: NAME}}`{_instead(validation)}")
        _check_apart(benchmark, task, validation.data)
        return {}, (replace(task, target=DataRef(validation.data)),)
    if select != SOURCE_VAL:
        raise ValueError(f"trials cannot be selected by {select}")
    if validation is None or validation.kind == "data":
        raise NotApplicable(f"`select: {select}` needs {ON_THE_SOURCE}{_instead(validation)}")
    derived, held_out = held_out_task(benchmark.data, task, validation)
    several = len(held_out.source) > 1
    return derived, tuple(
        replace(held_out, name=f"{task.name}: {ref.name}" if several else task.name, test=ref)
        for ref in held_out.source
    )


def _instead(validation: Validation | None) -> str:
    return ", and the task has no `validate`" if validation is None else f", and the task's is `{said(validation)}`"


def said(validation: Validation) -> str:
    """Return a validation as written in a matrix file."""
    seed = f", seed: {validation.seed}" if validation.seed else ""
    value = {"identities": f"{validation.identities}{seed}", "data": validation.data, "queries": "validation"}
    return f"validate: {{{validation.kind}: {value[validation.kind]}}}"


# ---------------------------------------------------------------------- another data set
def _check_apart(benchmark: Benchmark, task: Task, name: str) -> None:
    """Raise NotApplicable if the validation data set is also trained or tested on by the task."""
    for role, refs in (("target", (task.target,)), ("source", task.source), ("auxiliary", task.auxiliary)):
        for ref in refs:
            if same_data(benchmark.data[name], benchmark.data[ref.name]):
                also = "" if ref.name == name else f" (the same as {name})"
                raise NotApplicable(
                    f"`validate: {{data: {name}}}`: {ref.name}{also} is the {role} of this task; name a data set that "
                    "the task does not use"
                )


def same_data(one: DataSource, other: DataSource) -> bool:
    """Return whether two entries are the same data set: same root, or identical contents."""
    if one.name == other.name or said_content(one) == said_content(other):
        return True
    if one.root is None or other.root is None:
        return False
    return one.root.resolve() == other.root.resolve() or (
        said_content(replace(one, root=None)) == said_content(replace(other, root=None))
        and is_stand_in(one.root) == is_stand_in(other.root)
        and _content(one) == _content(other) != ""
    )


def _content(source: DataSource) -> str:
    """Return the hash of a data set's files; "" if they are unreadable, which the plan reports."""
    try:
        return content_of(source.choice.component, source.choice.params, source.root)
    except DataError:
        return ""


# ---------------------------------------------------------------------- a part of the source
def held_out_task(
    data: Mapping[str, DataSource], task: Task, validation: Validation
) -> tuple[dict[str, DataSource], Task]:
    """Return a task whose sources have a part held out, and the additional data sets.

    No labels of the held-out part remain: a target or auxiliary set that is also a source loses the part too.
    Unlabelled images in a pool stay, so that all share their stages. A task that adapts to test images adapts to the
    target's train images instead. Raises NotApplicable if the task has no source, or one without such a part.
    """
    if not task.source:
        raise NotApplicable(
            f"{said(validation)} is a part of the source, and the task has none: validate on another data set, "
            "`validate: {data: NAME}`"
        )
    for ref in task.source:
        source = data[ref.name]
        offered = source.choice.component.capabilities_with(source.choice.params)
        if validation.kind == "queries" and VALIDATION not in offered:
            raise NotApplicable(
                f"{ref.name} ships no validation part, or trains on it: hold out identities, "
                "`validate: {identities: 0.2}`"
            )
    _refuse_twice(data, task, validation)
    derived: dict[str, DataSource] = {}
    rest = partial(_rest, data, task, validation, derived)
    sources = tuple(DataRef(_add(derived, data, _part(data[ref.name], ref, validation))) for ref in task.source)
    target, auxiliary = rest(task.target), tuple(map(rest, task.auxiliary))
    return derived, replace(task, source=sources, target=target, auxiliary=auxiliary, adapt_on="train")


def _refuse_twice(data: Mapping[str, DataSource], task: Task, validation: Validation) -> None:
    """Raise NotApplicable if two sources are the same data set: one would train on the held-out part of the other."""
    for one, other in itertools.combinations(task.source, 2) if validation.kind == "identities" else ():
        if same_data(data[one.name], data[other.name]):
            raise NotApplicable(
                f"{one.name} and {other.name} are the same data set, and one would contain what is held out of the "
                "other: name it once"
            )


def _rest(
    data: Mapping[str, DataSource], task: Task, validation: Validation, derived: dict[str, DataSource], ref: DataRef
) -> DataRef:
    """Return a data set without the part held out of it as a source; unchanged if it is not a source."""
    for source in task.source if validation.kind == "identities" else ():  # train contains no shipped queries
        if same_data(data[ref.name], data[source.name]):
            if ref.images != source.images:
                raise NotApplicable(
                    f"{ref.name} is a source and has another role with different `images:`, which would contain what "
                    "is held out: use the same `images:` for both"
                )
            part = _part(data[source.name], source, validation, whole=source.identities is not None)
            return DataRef(_add(derived, data, part), ref.identities, ref.subset_seed)
    return ref


def _part(source: DataSource, ref: DataRef, validation: Validation, whole: bool = False) -> DataSource:
    """Return a data set with a part held out of the task's subset; `whole`: together with the remaining identities."""
    queries = validation.kind == "queries"
    how: dict[str, Any] = (
        {"queries": "validation"} if queries else {"identities": validation.identities, "seed": validation.seed}
    )
    how |= {"images": ALL_IMAGES} if ref.images == ALL_IMAGES else {}
    words = "its validation part as queries" if queries else f"{_amount(validation.identities)} held out"
    words += f" of {ALL_IMAGES} images" if ref.images == ALL_IMAGES else ""
    words += f" by seed {validation.seed}" if validation.seed else ""
    if ref.identities is not None:
        how |= {"of": ref.identities, "of_seed": ref.subset_seed, **({"whole": True} if whole else {})}
        subset = f"{_amount(ref.identities)}, subset seed {ref.subset_seed}"
        words = f"all but the {words} of {subset}" if whole else f"{subset}, with {words}"
    return replace(source, name=f"{source.name} ({words})", held_out=how, origin=source.name)


def _amount(identities: int | float | None) -> str:
    return f"{100 * identities:g} % of identities" if isinstance(identities, float) else f"{identities} identities"


def _add(derived: dict[str, DataSource], data: Mapping[str, DataSource], part: DataSource) -> str:
    """Return the name of a held-out data set; never the name of another data set of the file."""
    name = part.name
    while {**data, **derived}.get(name, part).held_out != part.held_out:
        name += "'"
    derived[name] = replace(part, name=name)
    return name


# ---------------------------------------------------------------------- epochs
def chooses_epoch(choice: Choice) -> bool:
    """Return whether a training uses validation data while it runs."""
    return VALIDATION in choice.component.protocol_with(choice.params)


def for_epochs(benchmark: Benchmark, task: Task) -> tuple[dict[str, DataSource], Task]:
    """Return the task as seen by a training that chooses its epoch, and the additional data sets.

    Sources of a trial already have a part held out. Raises NotApplicable if the task has no such validation.
    """
    if task.source and all(benchmark.data[ref.name].held_out for ref in task.source):
        return {}, task
    validation = validation_of(benchmark, task)
    if validation is None or validation.kind == "data":
        raise NotApplicable(
            f"an epoch is chosen on a part of the source: it needs {ON_THE_SOURCE}{_instead(validation)}"
        )
    return held_out_task(benchmark.data, task, validation)


def epoch_words(benchmark: Benchmark, task: Task) -> str:
    """Return the protocol word for the data on which the epoch was chosen."""
    made = [benchmark.data[ref.name].held_out for ref in task.source]
    validation = validation_of(benchmark, task)
    queries = "queries" in made[0] if made and all(made) else validation is not None and validation.kind == "queries"
    return f"epoch chosen on {'validation images' if queries else 'held-out identities'}"


def with_held_out(benchmark: Benchmark) -> Benchmark:
    """Return the benchmark with the additional data sets of trainings that choose their epochs."""
    if not any(chooses_epoch(one) for choice in _steps(benchmark) for one in choice.parts()):
        return benchmark
    data = dict(benchmark.data)
    for task in benchmark.tasks:
        try:
            data |= for_epochs(benchmark, task)[0]
        except NotApplicable:
            continue  # the cells of this task report the reason
    return replace(benchmark, data=data)


def _steps(benchmark: Benchmark) -> Iterable[Choice]:
    """Yield the steps of all rows, with the values chosen by searches."""
    return (choice for recipe in benchmark.methods for row in (recipe, *recipe.variants) for _, choice in row.steps)
