"""The data sets of a site by name: their contents in each matrix, and the tasks that use them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from reidbench.components import Component
from reidbench.report.provenance import compact

from .catalogue import Catalogue, Column
from .entries import Entry
from .identity import ROLES
from .sources import Source


@dataclass(eq=False)
class Content:
    """A data set of some matrices: a component with its parameters, and its counts and notes."""

    component: Component
    params: str
    key: str  # empty if no row uses it
    counts: str
    notes: tuple[str, ...]
    stand_in: bool
    sources: list[Source] = field(default_factory=list)


class DataSets:
    """The data sets of all matrices."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._contents: dict[str, dict[str, Content]] = {}
        for source in catalogue.sources:
            self._take(source)
        self._used: dict[str, dict[str, tuple[Column, dict[str, None]]]] = {}  # by name and label of the task
        for column in catalogue.columns.values():
            self._use(column)

    @property
    def names(self) -> list[str]:
        """Names in the order of the files."""
        return list(self._contents)

    def contents(self, name: str) -> list[Content]:
        """Return the different data sets with a name, each with its matrices."""
        return list(self._contents[name].values())

    def tasks(self, name: str) -> list[tuple[Column, tuple[str, ...]]]:
        """Return the tasks that use a data set, with its roles; tasks that test on it come first."""
        found = [(column, tuple(roles)) for column, roles in self._used.get(name, {}).values()]
        return sorted(found, key=lambda one: ROLES.index(one[1][0]))

    def lines(self, name: str, best: Sequence[Entry]) -> list[Entry]:
        """Return the lines of these tasks with the roles of the data set."""
        by_task: dict[str, list[Entry]] = {}
        for entry in best:
            by_task.setdefault(entry.task, []).append(entry)
        tasks = self.tasks(name)
        return [replace(entry, roles=roles) for column, roles in tasks for entry in by_task.get(column.label, ())]

    def _take(self, source: Source) -> None:
        own = self.catalogue.identities[source.number]
        for name, entry in source.plan.benchmark.data.items():
            contents = self._contents.setdefault(name, {})
            identity = own.data_set(name)
            if identity not in contents:
                key = own.data.get(name, "")
                manifest = source.evidence.manifest(key) if key else None
                counts = manifest["metrics"].items() if manifest else ()
                contents[identity] = Content(
                    entry.choice.component,
                    compact(entry.choice.resolved),
                    key,
                    ", ".join(f"{what.replace('_', ' ')} {number:g}" for what, number in counts),
                    tuple(manifest.get("notes", ())) if manifest else (),
                    entry.stand_in,
                )
            contents[identity].sources.append(source)

    def _use(self, column: Column) -> None:
        for role in ROLES:
            for name in self._named(column, role):
                _, roles = self._used.setdefault(name, {}).setdefault(column.label, (column, {}))
                roles[role] = None

    def _named(self, column: Column, role: str) -> Iterator[str]:
        """Return the names of the data sets with a role in a task."""
        return (ref.name for _, task in column.tasks for ref in task.refs(role))
