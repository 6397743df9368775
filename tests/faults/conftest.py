"""A plugin that fails in every way, and small matrices of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from reidbench import report
from reidbench.execution import executors, runner
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import make_plugin

PLUGIN = Path(__file__).parent / "plugin"

MATRIX = """
title: Faults
image_size: [32, 16]
seeds: {seeds}
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: {evaluate}
methods: {methods}
"""


class Listener:
    """A display that keeps what it receives."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.endings: list[tuple[str, str, str]] = []  # (label, status, error)

    def begin(self, stages: int) -> None:
        pass

    def more(self, stages: int) -> None:
        pass

    def started(self, stage: plan.Stage) -> None:
        pass

    def event(self, stage: plan.Stage, event: Any) -> None:
        pass

    def ended(self, stage: plan.Stage, status: str, seconds: float, error: str) -> None:
        self.endings.append((stage.label, status, error))

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass
class Bench:
    """One matrix on its data: run in this process, or by the command line."""

    folder: Path
    market: Path
    log: Path
    listeners: list[Listener] = field(default_factory=list)
    planned: tuple[str, Plan, plugins.Registry] | None = None

    @property
    def file(self) -> Path:
        return self.folder / "matrix.yaml"

    def matrix(self, methods: str, seeds: str = "[0]", evaluate: str = "cosine") -> None:
        """Write the matrix that everything below is about."""
        self.file.write_text(MATRIX.format(root=self.market, methods=methods, seeds=seeds, evaluate=evaluate))

    def plan(self) -> tuple[Plan, plugins.Registry]:
        """The plan of the matrix, made once."""
        text = self.file.read_text()
        if self.planned is None or self.planned[0] != text:
            registry = plugins.load()
            self.planned = text, plan.expand(reader.read(self.file, registry)), registry
        return self.planned[1:]

    def run(self, store: Path, executor: Any = None) -> Listener:
        """Run in this process; what was said."""
        the_plan, registry = self.plan()
        listener = Listener()
        self.listeners.append(listener)
        runner.Runner(the_plan, Store(store), executor or executors.Inline(), listener, registry.disabled).run()
        return listener

    def table(self, store: Path) -> str:
        """The table as CSV."""
        the_plan, _ = self.plan()
        return report.write(report.collect(the_plan, Store(store)), "csv")

    def rows(self, store: Path) -> dict[str, tuple[str, str]]:
        """(status, error) of each method's first row."""
        the_plan, _ = self.plan()
        results = report.collect(the_plan, Store(store)).results
        return {result.row.method: (result.status, result.error) for result in reversed(results)}

    def command(self, *words: object, **environment: str) -> subprocess.Popen[str]:
        """Start `reidbench ...`."""
        return subprocess.Popen(
            [sys.executable, "-m", "reidbench", *map(str, words)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start(self, store: Path, jobs: int = 2, **environment: str) -> subprocess.Popen[str]:
        """Start `reidbench run` on the matrix."""
        return self.command("run", self.file, "--store", store, "--jobs", jobs, **environment)

    def epochs(self) -> list[str]:
        """The epochs that were begun, `seed epoch` each, since this was last asked."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line for line in lines if line[0].isdigit()]


@pytest.fixture
def bench(tmp_path: Path, market: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A folder with the faulty plugin installed, here and for child processes."""
    site = tmp_path / "site"
    make_plugin(site, "faulty_plugin", (PLUGIN / "faulty_plugin.py").read_text())
    shutil.copy(PLUGIN / "faults_of_plugins.py", site)
    monkeypatch.syspath_prepend(str(site))
    for name in ("faulty_plugin", "faults_of_plugins"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-faulty-plugin")
    monkeypatch.setenv("FAULTS_LOG", str(tmp_path / "log"))
    return Bench(tmp_path, market, tmp_path / "log")


class Watch:
    """Processes and artifacts, seen from outside."""

    @staticmethod
    def workers(store: Path) -> list[int]:
        """The living workers of a store."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            except OSError:
                continue
            if b"reidbench.stages.run" in words and any(word.startswith(os.fsencode(store) + b"/") for word in words):
                found.append(int(entry.name))
        return found

    @staticmethod
    def below(pid: int, module: str) -> list[int]:
        """The living processes below one that run a module."""
        found = []
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if module in process.cmdline():
                        found.append(process.pid)
        return found

    @classmethod
    def all_gone(cls, store: Path, seconds: float = 30) -> float:
        """Wait until a store has no worker; how long that took."""
        began = time.monotonic()
        while cls.workers(store):
            assert time.monotonic() - began < seconds, "a worker outlives its driver"
            time.sleep(0.01)
        return time.monotonic() - began

    @staticmethod
    def published(store: Path) -> dict[str, tuple[int, int]]:
        """Inode and time of each artifact's manifest: they change when its stage runs again."""
        found = {}
        for manifest in (store / "objects").glob("*/manifest.json"):
            state = manifest.stat()
            found[manifest.parent.name] = (state.st_ino, state.st_mtime_ns)
        return found

    @staticmethod
    def whole(store: Path) -> int:
        """Check every byte of all artifacts; how many there are."""
        keys = Store(store).keys()
        for key in keys:
            Store(store).read(key)
        return len(keys)


@pytest.fixture
def watch() -> type[Watch]:
    """Looks at processes and artifacts from outside."""
    return Watch
