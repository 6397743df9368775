"""Progress display of a run: bars on a terminal, plain lines otherwise."""

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

MOST = 1e15  # no bar can be drawn for larger numbers
EVERY = 15.0  # seconds between progress lines of one stage without a terminal


def is_progress(event: Mapping[str, Any]) -> bool:
    """Return whether an event is progress with numbers that can be drawn: methods may report anything."""
    return event["event"] == "progress" and all(_drawable(event.get(name)) for name in ("done", "total"))


def _drawable(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < MOST  # type: ignore[operator]


def make(console: Console) -> Bars | Lines:
    """Return bars for a terminal, otherwise lines."""
    return Bars(console) if console.is_terminal else Lines(console)


class Lines:
    """Prints a line when a stage ends, and occasionally while it runs."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.total = 0
        self.done = 0
        self.last: dict[str, float] = {}

    def begin(self, stages: int) -> None:
        """Show the number of stages to run."""
        self.total, self.done = stages, 0
        self.say("nothing to run: all stages are cached" if stages == 0 else f"{stages} stages to run")

    def more(self, stages: int) -> None:
        """Add stages that run again."""
        self.total += stages

    def started(self, stage: Stage) -> None:
        """Show that a stage starts."""
        self.last[stage.key] = time.monotonic()

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Show progress or a note of a running stage."""
        if event["event"] == "note":
            self.note(f"{stage.label}: {event['text']}")
        elif is_progress(event) and time.monotonic() - self.last.get(stage.key, 0) > EVERY:
            self.last[stage.key] = time.monotonic()
            self.say(f"        {stage.label}: {event['done']} of {event['total']}")

    def ended(self, stage: Stage, status: str, seconds: float, error: str) -> None:
        """Show that a stage has ended."""
        if status in ("busy", "damaged"):
            return
        self.done += 1
        ending = f"{status}: {error}" if error else f"{status} in {seconds:.1f} s" if seconds else status
        label = with_params(stage) if error else stage.label
        self.say(f"[{self.done}/{self.total}] {label}: {ending}")

    def note(self, text: str) -> None:
        """Show a note."""
        self.say(f"note: {text}")

    def say(self, text: str) -> None:
        self.console.print(printable(text), markup=False, emoji=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing; there is nothing to close."""


class Bars:
    """One bar for all stages and one for each running stage, with remaining time."""

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
        """Show the number of stages to run."""
        if self.all is not None:  # of the previous trials
            self.progress.remove_task(self.all)
            self.all = None
        if stages == 0:
            self.progress.console.print("nothing to run: all stages are cached")
        else:
            self.all = self.progress.add_task("all stages", total=stages)

    def more(self, stages: int) -> None:
        """Add stages that run again."""
        if self.all is not None:
            (total,) = (task.total for task in self.progress.tasks if task.id == self.all)
            self.progress.update(self.all, total=(total or 0) + stages)

    def started(self, stage: Stage) -> None:
        """Show that a stage starts."""
        self.bars[stage.key] = self.progress.add_task(escape(printable(stage.label)), total=None)

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Show progress or a note of a running stage."""
        if event["event"] == "note":
            self.note(f"{stage.label}: {event['text']}")
        elif is_progress(event) and stage.key in self.bars:
            self.progress.update(self.bars[stage.key], completed=event["done"], total=event["total"])

    def ended(self, stage: Stage, status: str, seconds: float, error: str) -> None:
        """Show that a stage has ended."""
        if stage.key in self.bars:
            self.progress.remove_task(self.bars.pop(stage.key))
        if status in ("busy", "damaged"):
            return
        if self.all is not None:
            self.progress.advance(self.all)
        if error:
            self.note(f"{with_params(stage)}: {status}: {error}")

    def note(self, text: str) -> None:
        """Show a note."""
        self.progress.console.print(printable(text), markup=False, emoji=False, highlight=False)

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
