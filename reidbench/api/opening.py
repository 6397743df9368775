"""What commands and calls from Python begin alike: places, rows, and objects without the garbage collector."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from reidbench.errors import ReidbenchError

if TYPE_CHECKING:
    from reidbench.matrix.stage import Plan


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector away: plans and tables are many objects and little garbage, and it looks at all."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def at_home(path: Path) -> Path:
    """A path whose `~` is the home folder. Raises ReidbenchError where there is none."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ReidbenchError(f"{path}: no home folder is known for `~`: set HOME, or give the whole path") from None


def chosen_rows(plan: Plan, only: str) -> Plan:
    """The plan of the methods, or cells as "method/task", that match a pattern. Raises ReidbenchError for none."""
    from reidbench.matrix.stage import matches

    rows = [row for row in plan.rows if matches(only, row.method, row.task)]
    if not rows:
        raise ReidbenchError(f"--only {only!r} matches no method and no method/task")
    return plan.only(rows)
