"""How a run looks: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from reidbench.matrix.labels import with_params
from reidbench.matrix.stage import Stage
from reidbench.registry.plugins import printable

MOST = 1e15  # of what progress counts: beyond it no bar can be drawn
EVERY = 15.0  # seconds between progress lines of one stage where there is no terminal


def is_progress(event: Mapping[str, Any]) -> bool:
    """Whether an event is progress in numbers that can be drawn: a method may report anything."""
    return event["event"] == "progress" and all(_drawable(event.get(name)) for name in ("done", "total"))


def _drawable(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < MOST  # type: ignore[operator]


def make(console: Console) -> Bars | Lines:
    """Bars on a terminal, lines elsewhere."""
    return Bars(console) if console.is_terminal else Lines(console)


class Lines:
    """One line when a stage ends, and now and then one while it runs."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.total = 0
        self.done = 0
        self.last: dict[str, float] = {}

    def begin(self, stages: int) -> None:
        """So many stages are missing."""
        self.total, self.done = stages, 0
        self.say("nothing to run: every stage is there" if stages == 0 else f"{stages} stages to run")

    def more(self, stages: int) -> None:
        """So many stages have to be made again."""
        self.total += stages

    def started(self, stage: Stage) -> None:
        """A stage starts."""
        self.last[stage.key] = time.monotonic()

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """A running stage has progressed or has something to say."""
        if event["event"] == "note":
            self.note(f"{stage.label}: {event['text']}")
        elif is_progress(event) and time.monotonic() - self.last.get(stage.key, 0) > EVERY:
            self.last[stage.key] = time.monotonic()
            self.say(f"        {stage.label}: {event['done']} of {event['total']}")

    def ended(self, stage: Stage, status: str, seconds: float, error: str) -> None:
        """A stage has ended."""
        if status in ("busy", "damaged"):
            return
        self.done += 1
        ending = f"{status}: {error}" if error else f"{status} in {seconds:.1f} s" if seconds else status
        label = with_params(stage) if error else stage.label
        self.say(f"[{self.done}/{self.total}] {label}: {ending}")

    def note(self, text: str) -> None:
        """Something that a person should read."""
        self.say(f"note: {text}")

    def say(self, text: str) -> None:
        self.console.print(printable(text), markup=False, emoji=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put away."""


class Bars:
    """One bar over all stages, one for each stage that runs, with remaining time."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self.all: TaskID | None = None
        self.bars: dict[str, TaskID] = {}

    def begin(self, stages: int) -> None:
        """So many stages are missing."""
        if self.all is not None:  # of the trials before
            self.progress.remove_task(self.all)
            self.all = None
        if stages == 0:
            self.progress.console.print("nothing to run: every stage is there")
        else:
            self.all = self.progress.add_task("all stages", total=stages)

    def more(self, stages: int) -> None:
        """So many stages have to be made again."""
        if self.all is not None:
            (total,) = (task.total for task in self.progress.tasks if task.id == self.all)
            self.progress.update(self.all, total=(total or 0) + stages)

    def started(self, stage: Stage) -> None:
        """A stage starts."""
        self.bars[stage.key] = self.progress.add_task(escape(printable(stage.label)), total=None)

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """A running stage has progressed or has something to say."""
        if event["event"] == "note":
            self.note(f"{stage.label}: {event['text']}")
        elif is_progress(event) and stage.key in self.bars:
            self.progress.update(self.bars[stage.key], completed=event["done"], total=event["total"])

    def ended(self, stage: Stage, status: str, seconds: float, error: str) -> None:
        """A stage has ended."""
        if stage.key in self.bars:
            self.progress.remove_task(self.bars.pop(stage.key))
        if status in ("busy", "damaged"):
            return
        if self.all is not None:
            self.progress.advance(self.all)
        if error:
            self.note(f"{with_params(stage)}: {status}: {error}")

    def note(self, text: str) -> None:
        """Something that a person should read."""
        self.progress.console.print(printable(text), markup=False, emoji=False, highlight=False)

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
