"""Transient progress bar of commands that process many items; shown only on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Thing = TypeVar("Thing")
STEP = 32  # items per update of the bar; an update for each item would cost more than the work


class Through(Protocol):
    """Iterates over items, and may show progress."""

    def __call__(self, what: str, things: Collection[Thing]) -> Iterator[Thing]:
        """Yield the items; `what` describes the work."""


def quietly(what: str, things: Collection[Thing]) -> Iterator[Thing]:
    """Iterate over items without showing progress."""
    return iter(things)


@contextlib.contextmanager
def going_through(console: Console) -> Iterator[Through]:
    """Yield a `Through` that shows progress on a terminal. Standard output is not redirected."""
    if not console.is_terminal:
        yield quietly
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:

        def through(what: str, things: Collection[Thing]) -> Iterator[Thing]:
            task = progress.add_task(what, total=len(things))
            for number, thing in enumerate(things):
                if number % STEP == 0:
                    progress.update(task, completed=number)
                yield thing
            progress.remove_task(task)

        yield through


@contextlib.contextmanager
def counting(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of the numbers of finished and of all items, which shows them on a terminal."""
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
