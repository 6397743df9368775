"""Setup shared by the command line and the Python API: stores, row selection, garbage collection."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reidbench.errors import ReidbenchError

if TYPE_CHECKING:
    from reidbench.store.artifacts import Store


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Disable the garbage collector, which would scan the many live objects of plans and tables repeatedly."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def store_at(given: Sequence[Path] | None) -> Store:
    """Open the given stores as one. Default: $REIDBENCH_STORE, or `.reidbench`.

    Raises ReidbenchError for an unknown ~, or if one of several stores is missing.
    """
    from reidbench.store.several import open_stores

    return open_stores([at_home(path) for path in given or _usual_store()])


def one_store_at(given: Sequence[Path] | None, command: str) -> Store:
    """Open the store of a command that writes, like `store_at`. Raises ReidbenchError for several."""
    from reidbench.store.several import refusal

    store = store_at(given)
    if len(store.roots) > 1:
        raise ReidbenchError(refusal(command, store.roots))
    return store


def _usual_store() -> list[Path]:
    return [Path(os.environ.get("REIDBENCH_STORE") or ".reidbench")]


def at_home(path: Path) -> Path:
    """Expand `~` in a path. Raises ReidbenchError without a home folder."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ReidbenchError(f"{path}: no home folder for `~`; set HOME, or give an absolute path") from None
