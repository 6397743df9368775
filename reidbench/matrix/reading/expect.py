"""`expect:` names the published row that a cell is held against; it must be of the cell's own method and data."""

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

MOST_ROWS = 8  # named in a sentence
KEYS = ("row", "source", "component")
PARAMETERS = re.compile(r"\([^()]*\)")  # of a data set, in the task of a published number


class Miss(Exception):
    """No published row is meant, or several may be; the sentence says which there are."""


@dataclass(frozen=True)
class Offer:
    """A row of a published table on one task; `use` is the component that has it, with its kind."""

    use: tuple[str, str]
    numbers: tuple[Published, ...]

    @property
    def place(self) -> dict[str, str]:
        """What tells the row from others."""
        first = self.numbers[0]
        return {"task": first.task, "row": first.row, "source": first.source, "component": self.use[1]}


class ExpectReader:
    """Reads `expect: {METHOD: {TASK: ROW}}` of a file whose data, tasks and methods are read."""

    def __init__(
        self, checker: Checker, data: Mapping[str, DataSource], tasks: Sequence[Task], methods: Sequence[Recipe]
    ) -> None:
        self.check = checker
        self.data = data
        self.tasks = {task.name: task for task in tasks}
        self.methods = {recipe.name: recipe for recipe in methods}

    def read(self, value: Any) -> tuple[Expected, ...]:
        """All cells that are held against a published row."""
        found: list[Expected] = []
        for method, rows in self.check.map(value, ("expect",)).items():
            if self.known(method, list(self.methods), "method", ("expect", method)):
                for task, row in self.check.map(rows, ("expect", method)).items():
                    if self.known(task, list(self.tasks), "task", ("expect", method, task)):
                        found += self.cell(method, task, row)
        return tuple(found)

    def known(self, name: str, names: list[str], what: str, path: Path_) -> bool:
        """Whether a method or task of that name is in the file; else a problem."""
        if name not in names:
            self.check.wrong(
                path, f"no {what} named {shown(name)}{guess(name, names)} (known: {', '.join(names) or 'none'})"
            )
        return name in names

    def cell(self, method: str, task: str, value: Any) -> list[Expected]:
        """One cell with its published numbers, or a problem."""
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
        """`row`, and `source` or `component` where they are given; None and a problem where the value is no such."""
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
            self.check.wrong(path, "needs `row:` with the paper's name of the row")
        return wanted if wanted.keys() == given.keys() and "row" in wanted else None


def parts_of(recipe: Recipe, methods: Mapping[str, Recipe]) -> list[Recipe]:
    """The recipe itself, or those whose features an ensemble joins."""
    return [methods[name] for name in recipe.ensemble] or [recipe]


# ---------------------------------------------------------------------- published rows
def _components(parts: Sequence[Recipe]) -> dict[tuple[str, str], Component]:
    """The components of recipes by kind and name: their last step first, with what is nested, and networks last."""
    steps = [choice for part in parts for _, choice in reversed(part.steps)]
    choices = [*_with_nested(steps), *(part.backbone for part in parts if part.backbone)]
    return {(choice.kind, choice.name): choice.component for choice in choices}


def _with_nested(choices: Sequence[Choice]) -> Iterator[Choice]:
    for choice in choices:
        yield choice
        yield from _with_nested([inner for inner, _ in choice.nested.values()])
        yield from [choice.backbone] if choice.backbone else []


def _offers(parts: Sequence[Recipe]) -> Iterator[Offer]:
    """The published rows of all components; one that several have, with the same numbers, is of the first."""
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
    """The offer of that row on the data of this cell, `here`. Raises Miss where there is none, or more than one.

    A row is named as its paper does, or by the end of that after a comma. Where no row is for the data as they are
    read, one for the same `sets` with other parameters is meant: `msmt17-v1(train=trainval)` for `msmt17-v1`.
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
    choose_one = "several rows fit, choose by `source` or `component`, as in {row: ..., source: ...}"
    problem = choose_one if left else "no such row; there is"
    raise Miss(f"{shown(row)}: {problem}: {which}")


def _described(offer: Offer) -> str:
    place = offer.place
    return f"row {place['row']!r}, source {place['source']!r}, component {place['component']}, for {place['task']}"


def _unknown(offers: Sequence[Offer], row: str, sets: str) -> str:
    """A row that nobody has: what there is on this task, or on which tasks there is something."""
    if not offers:
        return "no component of this method has published numbers"
    rows = list(dict.fromkeys(one.place["row"] for one in offers if _sets(one.place["task"]) == sets))
    if not rows:
        tasks = ", ".join(dict.fromkeys(one.place["task"] for one in offers))
        return f"nothing of this method is published for {sets}, only for {tasks}"
    near = guess(row, [*rows, *(one.rpartition(", ")[2] for one in rows)])
    more = f"; and {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else ""
    prints = " and ".join(dict.fromkeys(f"`reidbench show {' '.join(one.use)} --published`" for one in offers))
    known = (
        f"known: {'; '.join(map(repr, rows[:MOST_ROWS]))}{more}; {prints} print{'' if ' and ' in prints else 's'} all"
    )
    return f"no published row {shown(row)} for {sets}{near} ({known})"


def _sets(task: str) -> str:
    """The task without the parameters of its data sets."""
    return PARAMETERS.sub("", task)


# ---------------------------------------------------------------------- a cell in the words of published rows
def data_set(data: Mapping[str, DataSource], ref: DataRef) -> str:
    """A data set by the name of its component, with what makes it another set than the plain one.

    That is the parameters that change its content, and the part of its identities that is taken.
    """
    choice = data[ref.name].choice
    changed = changed_params(choice, same_content=False)
    if ref.identities is not None and (type(ref.identities) is int or ref.identities < 1):
        changed["identities"] = ref.identities
    if ref.images == ALL_IMAGES:
        changed["images"] = ALL_IMAGES
    return choice.name + (f"({', '.join(f'{name}={value}' for name, value in changed.items())})" if changed else "")


def _plain(data: Mapping[str, DataSource], ref: DataRef) -> str:
    """A data set by the name of its component alone."""
    return data[ref.name].choice.name


def published_task(
    data: Mapping[str, DataSource], parts: Sequence[Recipe], task: Task, name: Callable[..., str] = data_set
) -> str:
    """The task of a row as published numbers name it: TARGET, or SOURCE->TARGET; a sequence as A>B->TARGET."""
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
    """The parameters that are not at their defaults; without those that change no content, where so asked."""
    fields = type(choice.params).model_fields
    return {
        name: value
        for name, value in choice.resolved.items()
        if getattr(choice.params, name) != fields[name].get_default(call_default_factory=True)
        and (same_content or not marker(fields[name], SameContent))
    }
