"""Read `tasks:`, the columns of a matrix: data sets and their roles."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from reidbench.matrix.benchmark import ALL_IMAGES, DataRef, DataSource, Task, canonical
from reidbench.matrix.families.groups import derived
from reidbench.matrix.protocol import said_content

from .checker import Checker, entries, guess
from .evaluate import EvaluateReader
from .families import FAMILIES, Family, expanded
from .validate import read_validation
from .yamlfile import Path_, shown

BESIDE = ("pool", "auxiliary", "adapt_on", "validate", "evaluate")  # keys of a family that apply to all its tasks
TASK = ("source", "target", *BESIDE)
REF = ("use", "identities", "subset_seed", "images")
LABELLED = ("source", "auxiliary")  # roles of images with labels


class TaskReader:
    """Read the tasks of a file; `known` are the names of its data sets, `judges` collects the tasks' evaluators.

    `first` maps each name to the first name of the same data set: two entries may read the same files in the same way.
    """

    def __init__(self, checker: Checker, data: Mapping[str, DataSource | None], judges: EvaluateReader) -> None:
        self.check = checker
        self.known = list(data)
        self.judges = judges
        contents: dict[str, str] = {}
        self.first = {name: contents.setdefault(_content(name, source), name) for name, source in data.items()}

    def read(self, value: Any) -> list[Task]:
        """Return all tasks in the order of the file, with families expanded."""
        found: dict[str, Task] = {}
        for name, one in self.check.map(value, ("tasks",)).items():
            for task in self.entry(name, one):
                if task.name in found:
                    self.check.wrong(("tasks", name), f"the task {shown(task.name)} already exists; rename one")
                found.setdefault(task.name, task)
        for number in derived(list(found.values())):
            if number.heading in found:
                path = ("tasks", number.heading)
                self.check.wrong(path, f"is the name of a summary of the family {shown(number.group)}; rename the task")
        return list(found.values())

    def entry(self, name: str, value: Any) -> list[Task]:
        """Return the task of an entry, or the tasks of its family."""
        kinds = [key for key in FAMILIES if isinstance(value, dict) and key in value]
        if not kinds:
            task = self.task(name, value)
            return [task] if task else []
        path: Path_ = ("tasks", name)
        if len(kinds) > 1:
            several = " and ".join(f"`{kind}`" for kind in kinds)
            self.check.wrong(path, f"combines {len(kinds)} families, {several}: write one entry for each")
            return []
        return self.family(name, FAMILIES[kinds[0]], self.check.map(value, path, (*FAMILIES[kinds[0]].keys, *BESIDE)))

    # ------------------------------------------------------------------ data sets
    def data_refs(self, value: Any, path: Path_) -> tuple[DataRef, ...]:
        refs = [self.data_ref(entry, at) for entry, at in entries(value, path)]
        names = [ref.name for ref in refs if ref]
        if len(set(names)) < len(names):
            self.check.wrong(path, "a data set appears twice")
        for one, other in itertools.combinations(dict.fromkeys(names), 2):
            if self.first[one] == self.first[other]:
                self.check.wrong(path, f"{shown(one)} and {shown(other)} are the same data set: name it once")
        return tuple(ref for ref in refs if ref)

    def data_ref(self, value: Any, path: Path_) -> DataRef | None:
        given: dict[str, Any] = {"use": value}
        if not isinstance(value, str):
            given = self.check.named(value, path, "data set", REF)
        name = given.get("use")
        if not isinstance(name, str) or name not in self.known:
            if isinstance(value, str | dict):
                self.check.wrong(
                    path,
                    f"unknown data set {shown(name)}{guess(str(name), self.known)} "
                    f"(known, under `data`: {', '.join(self.known)})",
                )
            return None
        identities = given.get("identities")
        fine = (type(identities) is int and identities >= 2) or (type(identities) is float and 0 < identities <= 1)
        if identities is not None and not fine:
            self.check.wrong(
                (*path, "identities"),
                "must be a fraction up to 1.0 or a whole number >= 2, not "
                + self.check.text((*path, "identities"), identities),
            )
            return None
        seed = self.check.whole_number(given.get("subset_seed", 0), (*path, "subset_seed"), 0, 0)
        return DataRef(name, identities, seed, self.one_of(given, "images", ("train", ALL_IMAGES), path))

    def one_of(self, given: Mapping[str, Any], key: str, words: Sequence[str], path: Path_) -> str:
        """Return the word of a key, or the first of `words` if it is missing; report any other."""
        value = given.get(key, words[0])
        if value not in words:
            text = self.check.text((*path, key), value)
            self.check.wrong((*path, key), f"must be {' or '.join(words)}, not {text}")
            return words[0]
        return str(value)

    def check_whole(self, refs: Sequence[DataRef], path: Path_) -> None:
        """Report options that select images by labels for roles without labels."""
        for key, said in (("identities", "selects by labels"), ("images", "adds labelled images")):
            for ref in refs:
                if getattr(ref, key) != getattr(DataRef(ref.name), key):
                    self.check.wrong(path, f"`{key}` {said}: use it for source and auxiliary only")

    # ------------------------------------------------------------------ tasks
    def task(self, name: str, value: Any) -> Task | None:
        path: Path_ = ("tasks", name)
        alone = isinstance(value, dict) and "target" in value
        given = self.check.map(value, path, TASK if alone else (*TASK, *FAMILIES))
        if not alone:
            if isinstance(value, dict):
                self.check.wrong(path, "needs `target:`, the data set whose query and gallery are ranked")
            return None
        target = self.data_refs(given["target"], (*path, "target"))
        source = self.data_refs(given["source"], (*path, "source")) if "source" in given else ()
        self.check_whole(target, (*path, "target"))
        beside = self.beside(given, path)
        if len(target) != 1:
            if isinstance(given["target"], list):
                self.check.wrong((*path, "target"), "must be one data set")
            return None
        task = Task(name, target[0], source, **beside)
        self.check_apart([task], path)
        return task

    def beside(self, given: Mapping[str, Any], path: Path_) -> dict[str, Any]:
        """Return the fields other than source and target, of a task or of all tasks of a family."""
        refs = {role: self.data_refs(given[role], (*path, role)) for role in ("pool", "auxiliary") if role in given}
        self.check_whole(refs.get("pool", ()), (*path, "pool"))
        on = self.one_of(given, "adapt_on", ("train", "test"), path)
        place = (*path, "validate")
        own = read_validation(self.check, given["validate"], place, self.known) if "validate" in given else None
        if "evaluate" in given:
            self.judges.of_task(str(path[-1]), given["evaluate"])
        return {**refs, "adapt_on": on, "validate": own}

    def check_apart(self, tasks: Sequence[Task], path: Path_) -> None:
        """Report tasks that train on their test images or validate on data that they use."""
        for task in tasks:
            refs = [ref for role in LABELLED for ref in task.refs(role)]
            if any(ref.name == task.target.name and ref.images == ALL_IMAGES for ref in refs):
                name = shown(task.target.name)
                self.check.wrong(
                    path, f"`images: {ALL_IMAGES}` of {name} includes the test images of the target {name}"
                )
        names = {ref.name for task in tasks for role in ("target", *LABELLED) for ref in task.refs(role)}
        own = tasks[0].validate if tasks else None  # all tasks of a family have the same
        if own and own.data in names:
            several = "a task of this family" if tasks[0].group else "this task"
            unused = "no task uses" if tasks[0].group else "the task does not use"
            sentence = f"{shown(own.data)} is already used in {several}; name a data set that {unused}"
            self.check.wrong((*path, "validate", "data"), sentence)

    def family(self, name: str, family: Family, given: Mapping[str, Any]) -> list[Task]:
        """Return the tasks of a family with their common fields; report errors and return none."""
        path: Path_ = ("tasks", name)
        before = len(self.check.problems)
        beside = self.beside(given, path)
        tests = family.read(self, given, path)
        if family.in_order and beside["adapt_on"] == "test":
            self.check.wrong(
                (*path, "adapt_on"), "must be train: a sequence trains on the train images of each data set"
            )
        if len(self.check.problems) > before:
            return []
        tasks = [
            Task(expanded(name, sources, target, family.in_order), target, sources, **beside, group=name,
                 in_order=family.in_order)
            for sources, target in tests
        ]  # fmt: skip
        self.check_apart(tasks, path)
        return tasks


def _content(name: str, source: DataSource | None) -> str:
    """Return what defines a data set, as text; the name itself if its entry or its root is wrong."""
    with suppress(OSError, RuntimeError, ValueError):  # a null byte, or links in a circle: reported with the root
        if source is not None:
            return canonical([*map(str, said_content(source))])
    return canonical(name)
