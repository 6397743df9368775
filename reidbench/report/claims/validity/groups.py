"""Reads a groups file: methods with numbers published under one protocol, and their rows in matrix files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reidbench.components import Published
from reidbench.matrix.reading import named
from reidbench.matrix.reading.checker import Checker, entries
from reidbench.matrix.reading.yamlfile import Path_, read_tree, shown
from reidbench.registry.plugins import Registry
from reidbench.registry.published import DISTANCE, TASK, is_wanted

NEEDS = "a groups file requires `groups:`"
KEYS = ("title", "text", "tasks", "metrics", "rows", "left out")
NUMBER = ("component", "kind", "row", "source")
METRICS = ("mAP", "cmc1")  # default of a group


@dataclass(frozen=True)
class Stand:
    """The published numbers of a row by task and metric, and a note."""

    numbers: Mapping[tuple[str, str], Published]
    note: str = ""

    @property
    def first(self) -> Published:
        """The first number; all have the same published row and source."""
        return next(iter(self.numbers.values()))


@dataclass(frozen=True)
class Group:
    """Methods published under one protocol; `tasks` are those of the published numbers.

    `rows` have the names of matrix files; `left_out` gives the reasons for methods that are not compared.
    """

    name: str
    title: str
    text: str
    tasks: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: Mapping[str, Stand]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def across(self) -> bool:
        """Whether its tasks have the form SOURCE->TARGET."""
        return "->" in self.tasks[0]


def read_groups(file: Path, registry: Registry) -> list[Group]:
    """Return the groups of a file. Raises ConfigError with all errors, as `file:line: key.key: sentence`."""
    reader = _Reader(Checker(read_tree(file, NEEDS)), registry)
    groups = reader.read()
    reader.check.stop_at_problems()
    return groups


class _Reader:
    def __init__(self, check: Checker, registry: Registry) -> None:
        self.check = check
        self.registry = registry

    def read(self) -> list[Group]:
        given = self.check.map(self.check.tree.value, (), ("groups",))
        groups = self.check.map(given["groups"], ("groups",)) if "groups" in given else {}
        if not groups and not self.check.problems:
            self.check.wrong((), NEEDS)
        return [self.group(str(name), one, ("groups", name)) for name, one in groups.items()]

    def group(self, name: str, value: Any, path: Path_) -> Group:
        given = self.check.map(value, path, KEYS)
        texts = named.texts(self.check, given, path, ("title", "text"))
        tasks = self.tasks(given.get("tasks"), (*path, "tasks"))
        metrics = self.metrics(given["metrics"], (*path, "metrics")) if "metrics" in given else METRICS
        rows = self.rows(given.get("rows"), (*path, "rows"), tasks, metrics)
        reasons = self.check.map(given.get("left out", {}), (*path, "left out"))
        left_out = named.texts(self.check, reasons, (*path, "left out"), list(reasons))
        return Group(name, texts.get("title", name), texts.get("text", ""), tasks, metrics, rows, left_out)

    def words(self, value: Any, path: Path_) -> tuple[str, ...]:
        """Read a list of distinct strings, or a single string."""
        found: dict[str, None] = {}
        for entry, place in entries(value, path):
            if not isinstance(entry, str):
                self.check.wrong(place, f"must be text, not {named.said(self.check, entry, place)}")
            elif entry in found:
                self.check.wrong(place, f"{shown(entry)} appears twice: remove one")
            else:
                found[entry] = None
        if not entries(value, path):
            self.check.wrong(path, "must name at least one, not an empty list")
        return tuple(found)

    def tasks(self, value: Any, path: Path_) -> tuple[str, ...]:
        tasks = self.words(value, path)
        for task in tasks:
            if not TASK.fullmatch(task):
                self.check.wrong(
                    path, f"{shown(task)} must be TARGET or SOURCE->TARGET, as published numbers name tasks"
                )
        if len({"->" in task for task in tasks}) > 1:
            self.check.wrong(path, "mixes TARGET and SOURCE->TARGET: make one group of each kind")
        return tasks

    def metrics(self, value: Any, path: Path_) -> tuple[str, ...]:
        metrics = self.words(value, path)
        for metric in metrics:
            if metric.startswith(DISTANCE):
                self.check.wrong(path, f"{shown(metric)} is not a fraction: name metrics that are fractions")
        return metrics

    # ------------------------------------------------------------------ rows
    def rows(self, value: Any, path: Path_, tasks: Sequence[str], metrics: Sequence[str]) -> dict[str, Stand]:
        given = self.check.map(value, path)
        found = {str(row): self.stand(one, (*path, row), tasks, metrics) for row, one in given.items()}
        stands = {row: stand for row, stand in found.items() if stand}
        for task in tasks if stands and len(stands) == len(given) else ():
            if not any(task == of for stand in stands.values() for of, _ in stand.numbers):
                self.check.wrong(path, f"no row has a published number for {task}")
        if value is not None and not given and not self.check.problems:
            self.check.wrong(path, "must name at least one row")
        return stands

    def stand(self, value: Any, path: Path_, tasks: Sequence[str], metrics: Sequence[str]) -> Stand | None:
        """Return the published numbers that an entry names, or report a problem and return None."""
        given = self.check.map(value, path, (*NUMBER, "note"))
        wanted = named.texts(self.check, given, path, (*NUMBER, "note"))
        if missing := [f"`{key}:`" for key in ("component", "row") if key not in given]:
            self.check.wrong(path, f"requires {' and '.join(missing)}")
        if missing or wanted.keys() != given.keys():
            return None
        found = named.component(self.check, self.registry, wanted, path)
        if found is None or found[1].paper is None:
            return None
        of_row = [one for one in found[1].paper.published if is_wanted(one, wanted)]
        if not of_row:
            self.check.wrong(path, named.no_row(*found, wanted))
            return None
        here = [one for one in of_row if one.task in tasks and one.metric in metrics]
        fault = _fault(of_row, here)
        if fault:
            self.check.wrong(path, fault)
        return None if fault else Stand({(one.task, one.metric): one for one in here}, wanted.get("note", ""))


def _fault(of_row: Sequence[Published], here: Sequence[Published]) -> str:
    """Return the reason why numbers (`here`: those of the group) are not one line of a published table, or ""."""
    if not here:
        there = dict.fromkeys(f"{one.metric} on {one.task}" for one in of_row)
        return f"this row has no published number for the group's tasks and metrics, only {', '.join(there)}"
    places = dict.fromkeys((one.row, one.source) for one in here)
    if len(places) > 1:
        which = "; ".join(f"row {row!r}, source {source!r}" for row, source in places)
        return f"several rows match: choose one by its full `row` and its `source`: {which}"
    return ""
