"""`published:` quotes numbers of papers, which stand below the table and are never ranked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reidbench.components import Component, Metric, Published
from reidbench.matrix.benchmark import Benchmark, Task
from reidbench.registry.plugins import Registry
from reidbench.registry.published import RULES, is_wanted, rules_complaint, usual_name

from .checker import Checker, guess, kind_word
from .expect import data_set
from .yamlfile import Path_, shown

QUOTED = ("row", "task", "metric", "value", "ap", "source", "note", "rules")  # of an entry
OPTIONAL = ("note", "rules")
OF_COMPONENT = ("component", "kind", "row", "source")  # of one that takes the published rows of a component


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
        optional = {*OPTIONAL, *(["ap"] if texts.get("metric") != "mAP" else [])}
        needed = [key for key in QUOTED if key not in optional]
        if missing := [f"`{key}:`" for key in needed if key not in given]:
            self.check.wrong(path, f"needs {' and '.join(missing)}")
        fine = self.one_of(texts, "task", [task.name for task in self.tasks], path)
        fine &= self.one_of(texts, "metric", list(self.metrics), path)
        fine &= self.one_of(texts, "ap", RULES, path)
        fine &= "value" not in given or self.is_value(given["value"], texts.get("metric", ""), (*path, "value"))
        rules = self.rules(given.get("rules", []), (*path, "rules"))
        if fine and not missing and rules is not None and texts.keys() | {"value"} == given.keys() - {"rules"}:
            yield Published(value=given["value"], rules=rules, **texts)  # type: ignore[arg-type]

    def rules(self, value: Any, path: Path_) -> tuple[str, ...] | None:
        """Words on how a number was ranked, one or a list; None and a problem for others."""
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
            self.check.wrong(path, "must be a list of words of the protocol column, like [across modalities]")
            return None
        if wrong := rules_complaint(found):
            self.check.wrong(path, wrong)
        return None if wrong else tuple(found)

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
        across = [] if own or task.in_order else [f"{'+'.join(sources)}->{target}"]
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
