"""What commands and calls from Python begin alike: places, rows, and objects without the garbage collector."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reidbench.errors import ReidbenchError

if TYPE_CHECKING:
    from reidbench.matrix.stage import Plan
    from reidbench.store.artifacts import Store


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


def store_at(given: Sequence[Path] | None) -> Store:
    """The stores that were asked for, read as one; else that of $REIDBENCH_STORE, or in `.reidbench`.

    Raises ReidbenchError for an unknown ~, and where one of several is not there.
    """
    from reidbench.store.several import open_stores

    return open_stores([at_home(path) for path in given or _usual_store()])


def one_store_at(given: Sequence[Path] | None, command: str) -> Store:
    """As `store_at`, for a command that writes. Raises ReidbenchError for several."""
    from reidbench.store.several import refusal

    store = store_at(given)
    if len(store.roots) > 1:
        raise ReidbenchError(refusal(command, store.roots))
    return store


def _usual_store() -> list[Path]:
    return [Path(os.environ.get("REIDBENCH_STORE") or ".reidbench")]


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
