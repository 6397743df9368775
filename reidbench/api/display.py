"""Progress of a run from Python: bars on a terminal, one updated block in a notebook, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import html
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console

from reidbench.execution import progress
from reidbench.execution.remaining import Remaining
from reidbench.execution.runner import Display
from reidbench.execution.standings import Best
from reidbench.matrix.labels import with_params
from reidbench.matrix.stage import Stage
from reidbench.registry.plugins import printable

EVERY = 0.25  # seconds between updates of a notebook's block, which are sent to every open page


@contextlib.contextmanager
def display(wanted: bool) -> Iterator[Display]:
    """Yield the display of a run: standard error, or the notebook cell; silent unless `wanted`."""
    if not wanted:
        yield Silent()
    elif in_notebook():
        with Notebook() as block:
            yield block
    else:
        with progress.make(Console(stderr=True, force_jupyter=False)) as shown:
            yield shown


def in_notebook() -> bool:
    """Return whether this process is a notebook kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class Silent:
    """Shows nothing."""

    def begin(self, stages: int) -> None:
        """Start with this number of stages to run."""

    def more(self, stages: int) -> None:
        """Add stages that must be rerun."""

    def started(self, stage: Stage) -> None:
        """Report that a stage starts."""

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Handle a progress event or note of a running stage."""

    def ended(self, stage: Stage, status: str, seconds: float, error: str) -> None:
        """Report that a stage has ended."""

    def note(self, text: str) -> None:
        """Show a note."""


class Notebook:
    """A block in the cell's output: finished stages, running stages with their progress, and notes.

    Requires only IPython. Stages report progress from several threads, and each updates the block.
    """

    def __init__(self) -> None:
        self.total = self.done = 0
        self.running: dict[str, tuple[str, float, float]] = {}  # key -> label, done, total
        self.losses: dict[str, str] = {}
        self.left = self.leading = ""
        self.remaining: Callable[[], Remaining] | None = None
        self.best: Callable[[str], list[Best]] | None = None
        self.estimated = 0.0
        self.notes: list[str] = []
        self.drawn = 0.0
        self.block: Any = None
        self.lock = threading.Lock()

    def begin(self, stages: int) -> None:
        """Start with this number of stages to run."""
        self._change(total=stages, done=0)

    def more(self, stages: int) -> None:
        """Add stages that must be rerun."""
        self._change(total=self.total + stages)

    def started(self, stage: Stage) -> None:
        """Report that a stage starts."""
        self._change(stage.key, (printable(stage.label), 0.0, 0.0))

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Handle a progress event or note of a running stage."""
        if event["event"] == "note":
            self.note(f"{stage.label}: {event['text']}")
        elif event["event"] == "log":
            self.losses[stage.key] = printable(progress.loss_of(event))
        elif progress.is_progress(event) and stage.key in self.running:
            self._estimate()
            self._change(stage.key, (printable(stage.label), float(event["done"]), float(event["total"])), seldom=True)

    def ended(self, stage: Stage, status: str, seconds: float, error: str) -> None:
        """Report that a stage has ended."""
        self.running.pop(stage.key, None)
        if error and status not in ("busy", "damaged"):
            self.note(f"{with_params(stage)}: {status}: {error}")
        elif self.best is not None and (found := self.best(stage.key)):
            self.leading = printable(found[0].words)
        self._estimate()
        self._change(done=self.done + (status not in ("busy", "damaged")))

    def follow(self, remaining: Callable[[], Remaining], best: Callable[[str], list[Best]]) -> None:
        """Set the functions that estimate the remaining time, and return the best rows of a new result's tasks."""
        self.remaining, self.best, self.estimated = remaining, best, 0.0

    def _estimate(self) -> None:
        if self.remaining is not None and time.monotonic() - self.estimated > progress.ESTIMATED:
            self.estimated = time.monotonic()
            self.left = f"; remaining: {self.remaining().words}"

    def note(self, text: str) -> None:
        """Show a note."""
        self.notes.append(printable(text))
        self._change()

    def _change(
        self,
        key: str = "",
        running: tuple[str, float, float] | None = None,
        *,
        total: int | None = None,
        done: int | None = None,
        seldom: bool = False,
    ) -> None:
        """Record a change, and redraw the block."""
        with self.lock:
            self.total = self.total if total is None else total
            self.done = self.done if done is None else done
            if running:
                self.running[key] = running
            if not seldom or time.monotonic() - self.drawn > EVERY:
                self.drawn = time.monotonic()
                self._draw()

    def _draw(self) -> None:
        from IPython.display import display as show

        if self.block is None:
            self.block = show(self, display_id=True)
        else:
            self.block.update(self)

    def __repr__(self) -> str:
        """Return the block as text."""
        if not self.total:
            return "\n".join(["nothing to run: all stages are cached", *(f"note: {text}" for text in self.notes)])
        lines = [f"{self.done} of {self.total} stages{self._to_come()}"]
        lines += [f"  {label}" + (f": {done:g} of {total:g}" if total else "") for label, done, total in self._now()]
        return "\n".join([*lines, *self._best(), *(f"note: {text}" for text in self.notes)])

    def _repr_html_(self) -> str:
        """Return the block with progress bars."""
        if not self.total:
            return f"<pre>{html.escape(repr(self))}</pre>"
        lines = [f"{_bar(self.done, self.total)} {self.done} of {self.total} stages{self._to_come()}"]
        lines += [f"{_bar(done, total)} {html.escape(label)}" for label, done, total in self._now()]
        lines += map(html.escape, self._best())
        lines += [f"note: {html.escape(text)}" for text in self.notes]
        return "".join(f"<div>{line}</div>" for line in lines)

    def _now(self) -> list[tuple[str, float, float]]:
        """Label with its last loss, done, total of each running stage."""
        running = list(self.running.items())
        labels = {key: ", ".join(filter(None, [one[0], self.losses.get(key, "")])) for key, one in running}
        return [(labels[key], done, total) for key, (_, done, total) in running]

    def _to_come(self) -> str:
        return self.left if self.done < self.total else ""

    def _best(self) -> list[str]:
        return [f"best so far: {self.leading}"] if self.leading else []

    def __enter__(self) -> Notebook:
        return self

    def __exit__(self, *_: object) -> None:
        self.running.clear()
        self._change()


def _bar(done: float, total: float) -> str:
    place = f' value="{done:g}" max="{total:g}"' if total else ""
    return f"<progress{place}></progress>"
