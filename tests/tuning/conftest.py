"""Searches over the toy method, on a small folder of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from reidbench.execution import executors
from reidbench.execution.runner import Runner
from reidbench.matrix.benchmark import Benchmark
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import write_market_folder
from reidbench.tuning.resolve import Resolved, resolve, settle
from tests.support.pictures import blurred


class Quiet:
    """A display that shows nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given: None


class Lab:
    """Reads and runs matrix files of searches in this process."""

    def __init__(self, matrix: Callable[..., Path], folder: Path) -> None:
        self.matrix = matrix
        self.root = blurred(write_market_folder(folder / "persons", identities=8))
        self.registry = plugins.load()
        self.store = Store(folder / "store")
        self.ran: list[Plan] = []
        self.display: Any = Quiet()

    def read(self, methods: str, **parts: str) -> Benchmark:
        data = f"{{tiny: {{use: market-folder, root: {self.root}}}}}"
        file = self.matrix(methods=methods, **{"validate": "{identities: 0.5}", "data": data, **parts})
        return reader.read(file, self.registry)

    def execute(self, plan: Plan) -> Any:
        self.ran.append(plan)
        return Runner(plan, self.store, executors.make("inline"), self.display, self.registry.disabled).run()

    def settle(self, benchmark: Benchmark, only: Sequence[str] = ()) -> Resolved:
        return settle(benchmark, self.store, self.execute, only)

    def resolve(self, benchmark: Benchmark) -> Resolved:
        return resolve(benchmark, self.store)


@pytest.fixture
def lab(site: Path, matrix: Callable[..., Path], tmp_path: Path) -> Lab:
    """The toy plugin is installed."""
    return Lab(matrix, tmp_path)
