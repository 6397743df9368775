"""Stages that wait in an executor's queue: neither silent nor running meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reidbench.execution import runner, silence
from reidbench.execution.executor import QUEUED, STARTED, OnEvent
from reidbench.execution.executors import Inline
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store


class Notes:
    """A display that keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.started = self.ended = lambda *_: None
        self.begin = self.more = self.event = lambda *_: None

    def note(self, text: str) -> None:
        self.notes.append(text)


class Queue(Inline):
    """Lets each stage wait, and records the notes and the start time that the runner has before and after."""

    def __init__(self, says: bool) -> None:
        super().__init__()
        self.says = says
        self.run: Any = None
        self.notes: list[int] = []
        self.starts: list[tuple[float, float]] = []

    def submit(self, spec: StageSpec, on_event: OnEvent) -> None:
        key = spec.stage.key
        before = len(self.run.display.notes)
        if self.says:
            on_event(key, {"event": QUEUED})
        time.sleep(1.5)  # the silence is looked for once a second at most
        self.notes.append(len(self.run.display.notes) - before)
        at = self.run.running[key]
        if self.says:
            on_event(key, {"event": STARTED})
        self.starts.append((at, self.run.running[key]))
        super().submit(spec, on_event)


@pytest.mark.parametrize("says", [True, False])
def test_a_stage_in_a_queue_is_not_silent_and_takes_no_time(
    says: bool, matrix: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "QUIET", 0.4)
    registry = plugins.load()
    found = plan.expand(reader.read(matrix(), registry))
    (data,) = [key for key, stage in found.stages.items() if stage.kind == "data"]
    found.stages = {data: found.stages[data]}
    found.rows = []
    queue = Queue(says)
    display: Any = Notes()
    queue.run = runner.Runner(found, Store(tmp_path / "store"), queue, display, registry.disabled)
    monkeypatch.setattr(runner, "pending", lambda *_: dict(found.stages))
    assert queue.run.run().ran == [data]
    ((before, after),) = queue.starts
    assert (after > before) == says
    assert (queue.notes == [0]) == says
