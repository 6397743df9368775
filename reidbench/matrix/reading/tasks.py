"""Reads `tasks:`, the columns of a matrix: which data sets play which role."""

from __future__ import annotations

from typing import Any

from reidbench.matrix.benchmark import DataRef, Task

from .checker import Checker, entries, guess
from .yamlfile import Path_, shown

TASK = ("source", "target", "pool", "auxiliary", "adapt_on")


class TaskReader:
    """Reads the tasks of a file; `known` are the names of its data sets."""

    def __init__(self, checker: Checker, known: list[str]) -> None:
        self.check = checker
        self.known = known

    def read(self, value: Any) -> list[Task]:
        """All tasks in the order of the file."""
        given = self.check.map(value, ("tasks",))
        tasks = [self.task(name, one) for name, one in given.items()]
        return [task for task in tasks if task]

    def data_refs(self, value: Any, path: Path_) -> tuple[DataRef, ...]:
        refs = [self.data_ref(entry, at) for entry, at in entries(value, path)]
        names = [ref.name for ref in refs if ref]
        if len(set(names)) < len(names):
            self.check.wrong(path, "a data set appears twice")
        return tuple(ref for ref in refs if ref)

    def data_ref(self, value: Any, path: Path_) -> DataRef | None:
        given: dict[str, Any] = {"use": value}
        if not isinstance(value, str):
            given = self.check.named(value, path, "data set", ("use", "identities", "subset_seed"))
        name = given.get("use")
        if not isinstance(name, str) or name not in self.known:
            if isinstance(value, str | dict):
                self.check.wrong(
                    path,
                    f"no data set named {shown(name)} under `data`{guess(str(name), self.known)} "
                    f"(known: {', '.join(self.known)})",
                )
            return None
        identities = given.get("identities")
        fine = (type(identities) is int and identities >= 2) or (type(identities) is float and 0 < identities <= 1)
        if identities is not None and not fine:
            self.check.wrong(
                (*path, "identities"),
                "must be a fraction up to 1.0 or a whole number from 2, not "
                + self.check.text((*path, "identities"), identities),
            )
            return None
        seed = self.check.whole_number(given.get("subset_seed", 0), (*path, "subset_seed"), 0, 0)
        return DataRef(name, identities, seed)

    def task(self, name: str, value: Any) -> Task | None:
        path: Path_ = ("tasks", name)
        given = self.check.map(value, path, TASK)
        if "target" not in given:
            if isinstance(value, dict):
                self.check.wrong(path, "needs `target:`, the data set whose query and gallery are ranked")
            return None
        roles = {
            role: self.data_refs(given[role], (*path, role)) if role in given else ()
            for role in ("source", "target", "pool", "auxiliary")
        }
        for role in ("target", "pool"):
            for ref in roles[role]:
                if ref.identities is not None:
                    self.check.wrong(
                        (*path, role), "`identities` chooses by labels: it is for source and auxiliary only"
                    )
        adapt_on = given.get("adapt_on", "train")
        if adapt_on not in ("train", "test"):
            self.check.wrong(
                (*path, "adapt_on"), f"must be train or test, not {self.check.text((*path, 'adapt_on'), adapt_on)}"
            )
        if len(roles["target"]) != 1:
            if isinstance(given["target"], list):
                self.check.wrong((*path, "target"), "must be one data set")
            return None
        return Task(name, roles["target"][0], roles["source"], roles["pool"], roles["auxiliary"], adapt_on)
