"""Progress display of a run: bars on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from reidbench.matrix.labels import with_params
from reidbench.matrix.stage import Stage
from reidbench.registry.plugins import printable
from reidbench.store.progress import Progress as Reported

from .remaining import Remaining, duration
from .reporting import is_progress as is_progress
from .standings import Best

EVERY = 15.0  # seconds between progress lines of one stage without a terminal
ESTIMATED = 5.0  # seconds between two estimates of the remaining time of a run
NARROW = 100  # columns of a terminal below which labels get the space of bars


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
        self.losses: dict[str, str] = {}

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
        elif event["event"] == "log":
            self.losses[stage.key] = loss_of(event)
        elif is_progress(event) and time.monotonic() - self.last.get(stage.key, 0) > EVERY:
            self.last[stage.key] = time.monotonic()
            counted = f"{event['done']} of {event['total']}"
            self.say(f"        {stage.label}: {', '.join(filter(None, [counted, self.losses.get(stage.key, '')]))}")

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


def loss_of(event: Mapping[str, Any]) -> str:
    """Return the loss of a log event with its name, or ""."""
    metrics = event.get("metrics")
    return Reported(metrics=metrics).loss if isinstance(metrics, Mapping) else ""


class _Left(ProgressColumn):
    """Remaining time: the estimate of a run, which counts down, or that of a stage at its pace so far."""

    def render(self, task: Task) -> Text:
        estimate: tuple[Remaining, float] | None = task.fields.get("estimate")
        if estimate is None:
            return Text("" if task.time_remaining is None else f"{duration(task.time_remaining)} left")
        found, at = estimate
        seconds = max(0.0, found.seconds - (time.monotonic() - at))
        if found.unknown:
            return Text(f"over {duration(seconds)} left" if found.seconds else "")
        return Text(f"{duration(seconds)} left")


class _Shown(Progress):
    """Bars, and below them the best row so far."""

    best = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        if self.best:
            yield Text(f"best so far: {self.best}", no_wrap=True, overflow="ellipsis")


class Bars:
    """One bar for all stages, one for each running stage with its loss, remaining time, and the best row so far."""

    def __init__(self, console: Console) -> None:
        self.progress = _Shown(
            TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=10 if console.width < NARROW else 30),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[loss]}", table_column=Column(no_wrap=True)),
            _Left(table_column=Column(no_wrap=True, justify="right")),
            console=console,
            expand=True,
        )
        self.all: TaskID | None = None
        self.bars: dict[str, TaskID] = {}
        self.remaining: Callable[[], Remaining] | None = None
        self.best: Callable[[str], list[Best]] | None = None
        self.estimated = 0.0

    def follow(self, remaining: Callable[[], Remaining], best: Callable[[str], list[Best]]) -> None:
        """Set the functions that estimate the run and return the best rows of a new result's tasks."""
        self.remaining, self.best, self.estimated = remaining, best, 0.0
        self._estimate()

    def begin(self, stages: int) -> None:
        """Show the number of stages to run."""
        if self.all is not None:  # of the previous trials
            self.progress.remove_task(self.all)
            self.all = None
        if stages == 0:
            self.progress.console.print("nothing to run: all stages are cached")
        else:
            self.all = self.progress.add_task("all stages", total=stages, loss="")

    def more(self, stages: int) -> None:
        """Add stages that run again."""
        if self.all is not None:
            (total,) = (task.total for task in self.progress.tasks if task.id == self.all)
            self.progress.update(self.all, total=(total or 0) + stages)

    def started(self, stage: Stage) -> None:
        """Show that a stage starts."""
        self.bars[stage.key] = self.progress.add_task(escape(printable(stage.label)), total=None, loss="")

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Show progress or a note of a running stage."""
        if event["event"] == "note":
            self.note(f"{stage.label}: {event['text']}")
        elif event["event"] == "log" and stage.key in self.bars:
            self.progress.update(self.bars[stage.key], loss=escape(printable(loss_of(event))))
        elif is_progress(event) and stage.key in self.bars:
            self.progress.update(self.bars[stage.key], completed=event["done"], total=event["total"])
            self._estimate()

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
        elif self.best is not None and (found := self.best(stage.key)):
            self.progress.best = printable(found[0].words)
        self._estimate()

    def _estimate(self) -> None:
        """Estimate the remaining time of the run at intervals."""
        if self.all is not None and self.remaining is not None and time.monotonic() - self.estimated > ESTIMATED:
            self.estimated = time.monotonic()
            self.progress.update(self.all, estimate=(self.remaining(), self.estimated))

    def note(self, text: str) -> None:
        """Show a note."""
        self.progress.console.print(printable(text), markup=False, emoji=False, highlight=False)

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
