"""Read `expect:`, the published rows that cells are compared with; each must have the cell's method and data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reidbench.components import Component, Published, SameContent
from reidbench.matrix.benchmark import ALL_IMAGES, Choice, DataRef, DataSource, Expected, Recipe, Task, marker
from reidbench.matrix.protocol import protocol_words

from .checker import Checker, guess, kind_word
from .yamlfile import Path_, shown

MOST_ROWS = 8  # named in an error message
KEYS = ("row", "source", "component")
PARAMETERS = re.compile(r"\([^()]*\)")  # of a data set, in the task of a published number


class Miss(Exception):
    """Raised when no published row, or more than one, matches; the message lists the candidates."""


@dataclass(frozen=True)
class Offer:
    """Row of a published table on one task; `use` is the kind and name of its component."""

    use: tuple[str, str]
    numbers: tuple[Published, ...]

    @property
    def place(self) -> dict[str, str]:
        """Fields that identify the row."""
        first = self.numbers[0]
        return {"task": first.task, "row": first.row, "source": first.source, "component": self.use[1]}


class ExpectReader:
    """Read `expect: {METHOD: {TASK: ROW}}` of a file whose data, tasks and methods have been read."""

    def __init__(
        self, checker: Checker, data: Mapping[str, DataSource], tasks: Sequence[Task], methods: Sequence[Recipe]
    ) -> None:
        self.check = checker
        self.data = data
        self.tasks = {task.name: task for task in tasks}
        self.methods = {recipe.name: recipe for recipe in methods}

    def read(self, value: Any) -> tuple[Expected, ...]:
        """Return all cells that are compared with a published row."""
        found: list[Expected] = []
        for method, rows in self.check.map(value, ("expect",)).items():
            if self.known(method, list(self.methods), "method", ("expect", method)):
                for task, row in self.check.map(rows, ("expect", method)).items():
                    if self.known(task, list(self.tasks), "task", ("expect", method, task)):
                        found += self.cell(method, task, row)
        return tuple(found)

    def known(self, name: str, names: list[str], what: str, path: Path_) -> bool:
        """Return whether the file has a method or task of that name; report an unknown one."""
        if name not in names:
            self.check.wrong(
                path, f"unknown {what} {shown(name)}{guess(name, names)} (known: {', '.join(names) or 'none'})"
            )
        return name in names

    def cell(self, method: str, task: str, value: Any) -> list[Expected]:
        """Return one cell with its published numbers; report errors."""
        path: Path_ = ("expect", method, task)
        wanted = self.wanted(value, path)
        if wanted is None:
            return []
        parts = parts_of(self.methods[method], self.methods)
        here, sets = (published_task(self.data, parts, self.tasks[task], name) for name in (data_set, _plain))
        try:
            found = choose(list(_offers(parts)), wanted, here, sets)
        except Miss as miss:
            self.check.wrong(path, str(miss))
            return []
        return [Expected(method, task, found.use[1], found.numbers)]

    def wanted(self, value: Any, path: Path_) -> dict[str, str] | None:
        """Return `row`, with `source` and `component` if given; report an invalid value and return None."""
        if not isinstance(value, str | dict):
            typed = kind_word(value) if value is None or isinstance(value, list) else self.check.text(path, value)
            quotes = self.check.quotes(value)
            self.check.wrong(path, f"must be a published row, or a map with `row: ROW`, not {typed}{quotes}")
            return None
        given = self.check.map({"row": value} if isinstance(value, str) else value, path, KEYS)
        wanted = {key: given[key] for key in KEYS if isinstance(given.get(key), str)}
        for key in given.keys() & set(KEYS) - wanted.keys():
            text = self.check.text((*path, key), given[key])
            self.check.wrong((*path, key), f"must be text, not {text}{self.check.quotes(given[key])}")
        if "row" not in given:
            self.check.wrong(path, "needs `row:`, the name of the row in the paper")
        return wanted if wanted.keys() == given.keys() and "row" in wanted else None


def parts_of(recipe: Recipe, methods: Mapping[str, Recipe]) -> list[Recipe]:
    """Return the recipe itself, or the members of an ensemble."""
    return [methods[name] for name in recipe.ensemble] or [recipe]


# ---------------------------------------------------------------------- published rows
def _components(parts: Sequence[Recipe]) -> dict[tuple[str, str], Component]:
    """Return the components of recipes by kind and name: last steps first, then nested ones, backbones last."""
    steps = [choice for part in parts for _, choice in reversed(part.steps)]
    choices = [*_with_nested(steps), *(part.backbone for part in parts if part.backbone)]
    return {(choice.kind, choice.name): choice.component for choice in choices}


def _with_nested(choices: Sequence[Choice]) -> Iterator[Choice]:
    for choice in choices:
        yield choice
        yield from _with_nested([inner for inner, _ in choice.nested.values()])
        yield from [choice.backbone] if choice.backbone else []


def _offers(parts: Sequence[Recipe]) -> Iterator[Offer]:
    """Yield the published rows of all components; equal rows of several components only once, from the first."""
    said = set()
    for use, component in _components(parts).items():
        rows: dict[tuple[str, str, str], list[Published]] = {}
        for number in component.paper.published if component.paper else ():
            rows.setdefault((number.task, number.row, number.source), []).append(number)
        for place, numbers in rows.items():
            content = place, frozenset((number.metric, number.value) for number in numbers)
            if content not in said:
                said.add(content)
                yield Offer(use, tuple(numbers))


def choose(offers: Sequence[Offer], wanted: Mapping[str, str], here: str, sets: str) -> Offer:
    """Return the published row that matches on the data of this cell, `here`.

    Rows are named as in the paper, or by the part after the last comma. If no row has exactly this data, one with the
    same `sets` and other parameters matches: `msmt17-v1(train=trainval)` for `msmt17-v1`. Raises Miss for no match or
    several.
    """
    row = wanted["row"]
    named = [one for one in offers if one.place["row"] == row]
    named = named or [one for one in offers if one.place["row"].endswith(f", {row}")]
    if not named:
        raise Miss(_unknown(offers, row, sets))
    fitting = [one for one in named if one.place["task"] == here]
    fitting = fitting or [one for one in named if _sets(one.place["task"]) == sets]
    if not fitting:
        tasks = ", ".join(dict.fromkeys(one.place["task"] for one in named))
        raise Miss(f"{shown(row)} is published for {tasks}; this cell is {here}")
    left = [one for one in fitting if wanted.items() - {("row", row)} <= one.place.items()]
    if len(left) == 1:
        return left[0]
    which = "; ".join(_described(one) for one in left or fitting)
    choose_one = "several rows match; choose by `source` or `component`, as in {row: ..., source: ...}"
    problem = choose_one if left else "no row matches; available"
    raise Miss(f"{shown(row)}: {problem}: {which}")


def _described(offer: Offer) -> str:
    place = offer.place
    return f"row {place['row']!r}, source {place['source']!r}, component {place['component']}, for {place['task']}"


def _unknown(offers: Sequence[Offer], row: str, sets: str) -> str:
    """Return the error for an unknown row: the rows on this task, or the tasks that have rows."""
    if not offers:
        return "no component of this method has published numbers"
    rows = list(dict.fromkeys(one.place["row"] for one in offers if _sets(one.place["task"]) == sets))
    if not rows:
        tasks = ", ".join(dict.fromkeys(one.place["task"] for one in offers))
        return f"this method has no published numbers for {sets}, only for {tasks}"
    near = guess(row, [*rows, *(one.rpartition(", ")[2] for one in rows)])
    more = f"; and {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else ""
    prints = " and ".join(dict.fromkeys(f"`reidbench show {' '.join(one.use)} --published`" for one in offers))
    known = (
        f"known: {'; '.join(map(repr, rows[:MOST_ROWS]))}{more}; {prints} print{'' if ' and ' in prints else 's'} all"
    )
    return f"no published row {shown(row)} for {sets}{near} ({known})"


def _sets(task: str) -> str:
    """Return the task without the parameters of its data sets."""
    return PARAMETERS.sub("", task)


# ---------------------------------------------------------------------- a cell in the words of published rows
def data_set(data: Mapping[str, DataSource], ref: DataRef) -> str:
    """Return a data set as its component's name, with everything that makes it differ from the default.

    Includes parameters that change its content, and the subset of identities.
    """
    choice = data[ref.name].choice
    changed = changed_params(choice, same_content=False)
    if ref.identities is not None and (type(ref.identities) is int or ref.identities < 1):
        changed["identities"] = ref.identities
    if ref.images == ALL_IMAGES:
        changed["images"] = ALL_IMAGES
    return choice.name + (f"({', '.join(f'{name}={value}' for name, value in changed.items())})" if changed else "")


def _plain(data: Mapping[str, DataSource], ref: DataRef) -> str:
    """Return a data set as its component's name."""
    return data[ref.name].choice.name


def published_task(
    data: Mapping[str, DataSource], parts: Sequence[Recipe], task: Task, name: Callable[..., str] = data_set
) -> str:
    """Return the task as published numbers name it: TARGET, SOURCE->TARGET, or A>B->TARGET for a sequence."""
    refs = task.source if "source labels" in protocol_words(parts, task, data) else ()
    target, sources = name(data, task.target), [name(data, ref) for ref in refs]
    if task.in_order:
        return f"{'>'.join(sources)}->{target}"
    sources.sort()
    adapted = any(part.steps and part.steps[-1][0] == "adapt" for part in parts)
    if not sources or (sources == [target] and not adapted):
        return target
    return f"{'+'.join(sources)}->{target}"


def changed_params(choice: Choice, *, same_content: bool = True) -> dict[str, object]:
    """Return the parameters that differ from their defaults, optionally without those that keep the same content."""
    fields = type(choice.params).model_fields
    return {
        name: value
        for name, value in choice.resolved.items()
        if getattr(choice.params, name) != fields[name].get_default(call_default_factory=True)
        and (same_content or not marker(fields[name], SameContent))
    }
