"""Read `published:`, numbers of papers that are printed below the table and never ranked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reidbench.components import Metric, Published
from reidbench.matrix.benchmark import Benchmark, Task
from reidbench.registry.plugins import Registry
from reidbench.registry.published import RULES, is_wanted, rules_complaint

from . import named
from .checker import Checker, kind_word
from .expect import data_set
from .yamlfile import Path_

QUOTED = ("row", "task", "metric", "value", "ap", "source", "note", "rules")  # of an entry
OPTIONAL = ("note", "rules")
OF_COMPONENT = ("component", "kind", "row", "source")  # of an entry that selects published rows of a component


class PublishedReader:
    """Read `published:` of a file: numbers given in the file, or selected from a component's published rows."""

    def __init__(self, checker: Checker, registry: Registry, found: Benchmark) -> None:
        self.check = checker
        self.registry = registry
        self.data, self.tasks = found.data, found.tasks
        self.metrics: dict[str, list[Metric]] = {}  # as declared by the evaluators
        for choice in found.evaluate:
            for name, metric in choice.component.declared.items():
                self.metrics.setdefault(name, []).append(metric)

    def read(self, value: Any) -> tuple[Published, ...]:
        """Return all numbers in the order of the file, with tasks named as in the file."""
        if not isinstance(value, list):
            self.check.wrong(("published",), f"must be a list of maps, not {kind_word(value)}")
            return ()
        found: dict[tuple[str, ...], Published] = {}
        for index, entry in enumerate(value):
            path: Path_ = ("published", index)
            own = not isinstance(entry, dict) or "component" not in entry
            for number in self.given(entry, path) if own else self.of_component(entry, path):
                there = found.setdefault((number.metric, number.task, number.row, number.source), number)
                if there is not number and (own or there != number):  # two components may have the same row of a paper
                    self.check.wrong(path, f"{number.metric} of this row, task and source already exists")
        return tuple(found.values())

    # ------------------------------------------------------------------ a number in the file
    def given(self, entry: Any, path: Path_) -> Iterator[Published]:
        """Yield the number of an entry; report errors."""
        given = self.check.map(entry, path, QUOTED)
        if not isinstance(entry, dict):
            return
        texts = named.texts(self.check, given, path, ("row", "task", "metric", "ap", "source", "note"))
        optional = {*OPTIONAL, *(["ap"] if texts.get("metric") != "mAP" else [])}
        needed = [key for key in QUOTED if key not in optional]
        if missing := [f"`{key}:`" for key in needed if key not in given]:
            self.check.wrong(path, f"needs {' and '.join(missing)}")
        fine = named.one_of(self.check, texts, "task", [task.name for task in self.tasks], path)
        fine &= named.one_of(self.check, texts, "metric", list(self.metrics), path)
        fine &= named.one_of(self.check, texts, "ap", RULES, path)
        fine &= "value" not in given or self.is_value(given["value"], texts.get("metric", ""), (*path, "value"))
        rules = self.rules(given.get("rules", []), (*path, "rules"))
        if fine and not missing and rules is not None and texts.keys() | {"value"} == given.keys() - {"rules"}:
            yield Published(value=given["value"], rules=rules, **texts)  # type: ignore[arg-type]

    def rules(self, value: Any, path: Path_) -> tuple[str, ...] | None:
        """Return the ranking rules of a number, one word or a list; report other values and return None."""
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
            self.check.wrong(path, "must be a list of words of the protocol column, like [across modalities]")
            return None
        if wrong := rules_complaint(found):
            self.check.wrong(path, wrong)
        return None if wrong else tuple(found)

    def is_value(self, value: Any, name: str, path: Path_) -> bool:
        """Return whether every evaluator could give this value for the metric; report it if not."""
        metrics = self.metrics.get(name, [])
        finite = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        percent = {metric.unit for metric in metrics} == {"%"}
        wrong = ""
        if not finite:
            wrong = f"must be a number, not {named.said(self.check, value, path)}"
        elif len({metric.unit for metric in metrics}) > 1:
            wrong = f"cannot be read: the file's evaluators give {name} in different units"
        elif outside := [metric.bounds for metric in metrics if metric.fault(value)]:
            cure = f": write {value / 100:.6g}" if percent and 1 < value <= 100 else ""
            wrong = f"must be {'a fraction, ' * percent}{outside[0]}, not {named.said(self.check, value, path)}{cure}"
        if wrong:
            self.check.wrong(path, wrong)
        return not wrong

    # ------------------------------------------------------------------ the rows of a component
    def of_component(self, entry: Mapping[str, Any], path: Path_) -> Iterator[Published]:
        """Yield the published rows of a component for tasks of this file and metrics of its evaluators."""
        given = self.check.map(entry, path, OF_COMPONENT)
        wanted = named.texts(self.check, given, path, OF_COMPONENT)
        found = named.component(self.check, self.registry, wanted, path) if wanted.keys() == given.keys() else None
        if found is None or found[1].paper is None:
            return
        (kind, component), paper = found, found[1].paper
        numbers = [one for one in paper.published if is_wanted(one, wanted)]
        if not numbers:
            self.check.wrong(path, named.no_row(kind, component, wanted))
        inside = [(task.name, one) for task in self.tasks for one in self.fitting(numbers, task, kind)]
        if not inside and numbers:
            here = ", ".join(dict.fromkeys(name for task in self.tasks for name in self.names(task, kind)))
            there = ", ".join(dict.fromkeys(one.task for one in numbers))
            self.check.wrong(path, f"{component.name} has no published numbers for {here}, only for {there}")
        for task, one in inside:
            apart = () if one.beside else (f"no row with {component.name} here is comparable with it",)
            note = "; ".join(filter(None, (one.note, *apart)))
            yield replace(one, task=task, source=f"{paper.title}: {one.source}", note=note, beside=True)

    def fitting(self, numbers: Sequence[Published], task: Task, kind: str) -> Iterator[Published]:
        """Yield the numbers for a task, under the first of its names that has any."""
        for name in self.names(task, kind):
            here = [one for one in numbers if one.task == name and self.in_percent(one.metric)]
            if here:
                yield from here
                return

    def in_percent(self, metric: str) -> bool:
        """Return whether the metric is declared, and by every evaluator in %, like published numbers."""
        return {one.unit for one in self.metrics.get(metric, [])} == {"%"}

    def names(self, task: Task, kind: str) -> list[str]:
        """Return the names of a task in published numbers: with its sources, and the target alone.

        The target alone means training with the target's own labels or, for an adapter, without any labels.
        """
        target, sources = data_set(self.data, task.target), sorted({data_set(self.data, ref) for ref in task.source})
        own = not sources or sources == [target]
        across = [] if own or task.in_order else [f"{'+'.join(sources)}->{target}"]
        return [*across, *([target] if own or kind == "adapter" else [])]
