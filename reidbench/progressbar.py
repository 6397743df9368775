"""How far a command is that looks at very many things: a line on a terminal that is gone at the end, else nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Thing = TypeVar("Thing")
STEP = 32  # things between two looks at the line: one for each would take longer than many of them


class Through(Protocol):
    """Goes through things, and may show how far it is."""

    def __call__(self, what: str, things: Collection[Thing]) -> Iterator[Thing]:
        """The same things, one after the other; `what` says what is done with them."""


def quietly(what: str, things: Collection[Thing]) -> Iterator[Thing]:
    """Go through things and show nothing."""
    return iter(things)


@contextlib.contextmanager
def going_through(console: Console) -> Iterator[Through]:
    """Give what shows progress on a terminal. What is printed meanwhile stays where it was sent."""
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
