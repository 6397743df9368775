"""`expect:` names the published row that a cell is held against; `published:` quotes rows that stand below the table.

A row of `expect:` must be of the cell's own method and data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reidbench.components import Component, Metric, Published, SameContent
from reidbench.registry.plugins import Registry
from reidbench.registry.published import RULES, is_wanted, usual_name

from .benchmark import Benchmark, Choice, DataRef, DataSource, Expected, Recipe, Task, marker
from .checker import Checker, guess, kind_word
from .protocol import protocol_words
from .yamlfile import Path_, shown

MOST_ROWS = 8  # named in a sentence
KEYS = ("row", "source", "component")
QUOTED = ("row", "task", "metric", "value", "ap", "source", "note")  # of an entry of `published`
OF_COMPONENT = ("component", "kind", "row", "source")  # of one that takes a component's published rows
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


class PublishedReader:
    """Reads `published:` of a file: numbers of papers, each given there or taken from a component's published ones."""

    def __init__(self, checker: Checker, registry: Registry, found: Benchmark) -> None:
        self.check = checker
        self.registry = registry
        self.data, self.tasks = found.data, found.tasks
        self.metrics: dict[str, list[Metric]] = {}  # as the evaluators declare them
        for choice in found.evaluate:
            for name, metric in choice.component.declared.items():
                self.metrics.setdefault(name, []).append(metric)

    def read(self, value: Any) -> tuple[Published, ...]:
        """All numbers in the order of the file, their tasks by the names that the file gives them."""
        if not isinstance(value, list):
            self.check.wrong(("published",), f"must be a list of maps, not {kind_word(value)}")
            return ()
        found: dict[tuple[str, ...], Published] = {}
        for index, entry in enumerate(value):
            path: Path_ = ("published", index)
            own = not isinstance(entry, dict) or "component" not in entry
            for number in self.given(entry, path) if own else self.of_component(entry, path):
                there = found.setdefault((number.metric, number.task, number.row, number.source), number)
                if there is not number and (own or there != number):  # two components may have one paper's row
                    self.check.wrong(path, f"{number.metric} of this row, task and source is there already")
        return tuple(found.values())

    def texts(self, given: Mapping[str, Any], path: Path_, keys: Sequence[str]) -> dict[str, str]:
        """Those of these keys that are there and text; a problem for each that is no text, or empty."""
        found = {}
        for key in keys:
            value = given.get(key)
            if isinstance(value, str) and value.strip():
                found[key] = value
            elif key in given:
                self.check.wrong(
                    (*path, key), f"must be text, not {self.said(value, (*path, key))}{self.check.quotes(value)}"
                )
        return found

    def said(self, value: Any, path: Path_) -> str:
        """A value as the file says it; what it is, where it is no plain value."""
        return self.check.text(path, value) if isinstance(value, str | int | float) else kind_word(value)

    # ------------------------------------------------------------------ a number in the file
    def given(self, entry: Any, path: Path_) -> Iterator[Published]:
        """The number of an entry, or its problems."""
        given = self.check.map(entry, path, QUOTED)
        if not isinstance(entry, dict):
            return
        texts = self.texts(given, path, ("row", "task", "metric", "ap", "source", "note"))
        needed = [key for key in QUOTED[:-1] if key != "ap" or texts.get("metric") == "mAP"]
        if missing := [f"`{key}:`" for key in needed if key not in given]:
            self.check.wrong(path, f"needs {' and '.join(missing)}")
        fine = self.one_of(texts, "task", [task.name for task in self.tasks], path)
        fine &= self.one_of(texts, "metric", list(self.metrics), path)
        fine &= self.one_of(texts, "ap", RULES, path)
        fine &= "value" not in given or self.is_value(given["value"], texts.get("metric", ""), (*path, "value"))
        if fine and not missing and texts.keys() | {"value"} == given.keys():
            yield Published(value=given["value"], **texts)  # type: ignore[arg-type]

    def one_of(self, texts: Mapping[str, str], key: str, known: Sequence[str], path: Path_) -> bool:
        """Whether the text of a key, where it is there, is a known one; else a problem."""
        if key not in texts or texts[key] in known:
            return True
        words = {"metric": "metric of the file's evaluators is named", "ap": "rule of average precision is named"}
        what = words.get(key, f"{key} is named")
        names = f"known: {', '.join(known) or 'none'}"
        near = usual_name(texts[key]) if key == "metric" else texts[key]
        self.check.wrong((*path, key), f"no {what} {shown(texts[key])}{guess(near, known)} ({names})")
        return False

    def is_value(self, value: Any, name: str, path: Path_) -> bool:
        """Whether a value is one that each evaluator may give for this metric; else a problem."""
        metrics = self.metrics.get(name, [])
        finite = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        percent = {metric.unit for metric in metrics} == {"%"}
        wrong = ""
        if not finite:
            wrong = f"must be a number, not {self.said(value, path)}"
        elif len({metric.unit for metric in metrics}) > 1:
            wrong = f"cannot be read: the file's evaluators give {name} in different units"
        elif outside := [metric.bounds for metric in metrics if metric.fault(value)]:
            cure = f": write {value / 100:.6g}" if percent and 1 < value <= 100 else ""
            wrong = f"must be {'a fraction, ' * percent}{outside[0]}, not {self.said(value, path)}{cure}"
        if wrong:
            self.check.wrong(path, wrong)
        return not wrong

    # ------------------------------------------------------------------ the rows of a component
    def of_component(self, entry: Mapping[str, Any], path: Path_) -> Iterator[Published]:
        """The published rows of a component that are for tasks of this file, in metrics of its evaluators."""
        given = self.check.map(entry, path, OF_COMPONENT)
        wanted = self.texts(given, path, OF_COMPONENT)
        found = self.component(wanted, path) if wanted.keys() == given.keys() else None
        if found is None or found[1].paper is None:
            return
        (kind, component), paper = found, found[1].paper
        numbers = [one for one in paper.published if is_wanted(one, wanted)]
        if not numbers:
            self.check.wrong(path, _no_row(kind, component, wanted))
        inside = [(task.name, one) for task in self.tasks for one in self.fitting(numbers, task, kind)]
        if not inside and numbers:
            here = ", ".join(dict.fromkeys(name for task in self.tasks for name in self.names(task, kind)))
            there = ", ".join(dict.fromkeys(one.task for one in numbers))
            self.check.wrong(path, f"nothing of {component.name} is published for {here}, only for {there}")
        for task, one in inside:
            apart = () if one.beside else (f"no row with {component.name} here is comparable with it",)
            note = "; ".join(filter(None, (one.note, *apart)))
            yield replace(one, task=task, source=f"{paper.title}: {one.source}", note=note, beside=True)

    def component(self, wanted: Mapping[str, str], path: Path_) -> tuple[str, Component] | None:
        """The kind and component that an entry names, which has published numbers; None and a problem for no such."""
        there = {key: one for key, one in self.registry.components.items() if one.paper and one.paper.published}
        named = {kind: one for (kind, name), one in there.items() if name == wanted["component"]}
        if not named:
            names = sorted({name for _, name in there})
            near = f"{shown(wanted['component'])}{guess(wanted['component'], names)}"
            words = f"no component with published numbers is named {near} (known: {', '.join(names) or 'none'})"
            self.check.wrong((*path, "component"), words)
        elif "kind" in wanted:
            if self.one_of(wanted, "kind", list(named), path):
                return wanted["kind"], named[wanted["kind"]]
        elif len(named) > 1:
            self.check.wrong(path, f"several components have this name: choose one by `kind`, {' or '.join(named)}")
        else:
            return next(iter(named.items()))
        return None

    def fitting(self, numbers: Sequence[Published], task: Task, kind: str) -> Iterator[Published]:
        """Those numbers that are for a task, under the first of its names that has any."""
        for name in self.names(task, kind):
            here = [one for one in numbers if one.task == name and self.in_percent(one.metric)]
            if here:
                yield from here
                return

    def in_percent(self, metric: str) -> bool:
        """Whether each evaluator that declares the metric gives fractions, as published ones are; and some does."""
        return {one.unit for one in self.metrics.get(metric, [])} == {"%"}

    def names(self, task: Task, kind: str) -> list[str]:
        """How published numbers may name a task: with its sources, and the target alone.

        The target alone is training with the target's own labels or, of an adapter, without any.
        """
        target, sources = data_set(self.data, task.target), sorted({data_set(self.data, ref) for ref in task.source})
        own = not sources or sources == [target]
        across = [] if own else [f"{'+'.join(sources)}->{target}"]
        return [*across, *([target] if own or kind == "adapter" else [])]


def _no_row(kind: str, component: Component, wanted: Mapping[str, str]) -> str:
    """In a sentence, that a component has no such published number, and what may be meant."""
    numbers = component.paper.published if component.paper else ()
    known = {"row": [one.row for one in numbers], "source": [one.source for one in numbers]}
    known["row"] += [row.rpartition(", ")[2] for row in known["row"]]
    words = [f"{key} {shown(wanted[key])}{guess(wanted[key], known[key])}" for key in known if key in wanted]
    none = f"{component.name} has no published number {'with ' * bool(words)}{' and '.join(words)}"
    if "row" not in wanted:
        none += f"{' ' * bool(words)}that may stand beside measured ones: name its `row:`"
    return f"{none} (`reidbench show {kind} {component.name} --published` prints all)"


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
    return choice.name + (f"({', '.join(f'{name}={value}' for name, value in changed.items())})" if changed else "")


def _plain(data: Mapping[str, DataSource], ref: DataRef) -> str:
    """A data set by the name of its component alone."""
    return data[ref.name].choice.name


def published_task(
    data: Mapping[str, DataSource], parts: Sequence[Recipe], task: Task, name: Callable[..., str] = data_set
) -> str:
    """The task of a row as published numbers name it: TARGET, or SOURCE->TARGET."""
    refs = task.source if "source labels" in protocol_words(parts, task, data) else ()
    target, sources = name(data, task.target), sorted(name(data, ref) for ref in refs)
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
