"""The data sets of a benchmark, opened on first use."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from reidbench.data import Dataset, hold_out
from reidbench.files.cache import cache_folder
from reidbench.matrix.benchmark import Benchmark
from reidbench.registry.plugins import describe

from .shorten import short_choice
from .standins import NoStandIn


class Lists:
    """The data sets under `data` by name, as a rehearsal reads them: rendered ones in their smallest size."""

    def __init__(self, benchmark: Benchmark) -> None:
        self.data = {name: replace(one, choice=short_choice(one.choice)) for name, one in benchmark.data.items()}
        self._tasks = benchmark.tasks
        self.of = cache(self._opened)

    def _opened(self, name: str) -> Dataset:
        """Return a data set. Raises NoStandIn if it cannot be read."""
        source = self.data[name]
        try:
            found = source.choice.component.load()(source.choice.params, source.root, cache_folder())
            if source.held_out and isinstance(found, Dataset):
                return hold_out(found, source.held_out)
        except Exception as error:
            raise NoStandIn(f"{name} ({source.choice.name}) cannot be read: {describe(error)}") from error
        if not isinstance(found, Dataset):
            raise NoStandIn(f"dataset {source.choice.name} must return a Dataset, got {type(found).__name__}")
        return found

    def names(self, role: str) -> tuple[str, ...]:
        """Return the paths of the tasks' train images in a role, each once."""
        used = dict.fromkeys(ref.name for task in self._tasks for ref in task.refs(role))
        return tuple(dict.fromkeys(path for name in used for path in self.of(name).train.paths))
