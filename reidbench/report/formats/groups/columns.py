"""The columns of a table: its tasks, and after the tasks of a group the numbers of the group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reidbench.matrix.families.groups import DEFINITIONS, FORGETTING
from reidbench.report.results import Leaderboard

from .numbers import boards


@dataclass(frozen=True)
class Column:
    """A column: the board with its cells, and its task on that board, which is its heading."""

    board: Leaderboard
    task: str


def columns(board: Leaderboard) -> list[Column]:
    """Return all columns in the order of the matrix file."""
    after: dict[str, list[Column]] = {}  # by the last task of a group
    of_groups = [(one, task) for one in boards(board) for task in one.tasks]
    for name in dict.fromkeys(number.group for number in board.groups):
        numbers = [number for number in board.groups if number.group == name]
        members = {task for number in numbers for task in number.tasks}
        last = next((task for task in reversed(board.tasks) if task in members), "")
        headings = [number.heading for number in numbers]
        after[last] = [Column(one, task) for task in headings for one, known in of_groups if known == task]
    return [column for task in board.tasks for column in (Column(board, task), *after.get(task, []))]


def definitions(board: Leaderboard) -> Iterator[str]:
    """Yield the definition of each kind of number in the groups of a board."""
    there = {task for one in boards(board) for task in one.tasks}
    by_name: dict[str, list[str]] = {}
    for number in board.groups:
        if number.heading in there:
            by_name.setdefault(number.name, []).append(number.heading)
    for name, headings in by_name.items():
        lower = "; lower is better" if name == FORGETTING else ""
        yield f"{_some(headings)}: {DEFINITIONS[name]}; seed by seed, then over seeds{lower}."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def incomplete(board: Leaderboard) -> list[str]:
    """Return a sentence for each missing number of a group: the number of complete tasks and the first missing one."""
    missing = (r for one in boards(board) for r in one.results if r.status != "ok")
    return list(dict.fromkeys(f"{one.row.method} on {one.row.task}: {one.error}" for one in missing))
