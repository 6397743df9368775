"""`reidbench.run` and `reidbench.load`: what the commands `run` and `table` do, for a program or a notebook."""

from __future__ import annotations

import contextlib
import difflib
import itertools
import math
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.execution import executors, preview, runner
from reidbench.matrix import plan, reader
from reidbench.matrix.stage import Plan
from reidbench.metrics.neighbours import faiss_search
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry, printable
from reidbench.store.artifacts import Store

from .display import display
from .mappings import mapping_tree
from .opening import at_home, chosen_rows, store_at, uncollected
from .results import Results

Matrix = str | os.PathLike[str] | Mapping[str, Any]
INTERRUPTED = "interrupted; what is finished is kept, and the same call goes on from there"


def run(
    matrix: Matrix,
    *,
    store: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    executor: str = "process",
    address: str | None = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    workers: int = 0,
    only: str | None = None,
    set: str | Iterable[str] = (),  # noqa: A002 - as the option of the command is called
    without: str | Iterable[str] = (),
    progress: bool = True,
) -> Results:
    """Run what a matrix lacks in a store, and return all its results.

    `matrix` is the path of a YAML file, or a mapping of what it would say, whose relative paths begin in the working
    folder. `store` is a folder; by default $REIDBENCH_STORE, or `.reidbench`. The other arguments are the options of
    `reidbench run`: `jobs` stages at a time (1, or what the cluster at `address` holds) where `executor` is "process",
    or "ray"; "inline" runs them in this process. `time_limit` in seconds and `memory_limit` in GiB hold for each stage.
    `only` is a pattern of methods, or of method/task; `set` has KEY=VALUE texts, `without` the names of plugins to
    leave out. With `progress` False nothing is printed.

    A cell that fails raises nothing: it is a row with its reason, and among `Results.failed`. Raises ConfigError with
    all mistakes of the matrix, each with its line or keys, another ReidbenchError for other arguments or a store that
    cannot be written, and KeyboardInterrupt once what runs has come to a checkpoint or its end: see `Results`.
    """
    if fault := faiss_search.clash():
        raise ReidbenchError(fault)
    _check_counts(jobs, workers)
    _check_limits(time_limit, memory_limit)
    where = executors.make(_executor(executor), jobs, address, time_limit, memory_limit)
    opened = _open(matrix, store, only, set, without, progress)
    with contextlib.ExitStack() as held:
        with display(progress) as shown:
            one = runner.Runner(opened.plan, opened.store, where, shown, opened.registry.disabled, workers, held)
            try:
                one.run()
            except KeyboardInterrupt:
                shown.note(INTERRUPTED)
                raise
        return _results(opened)


def load(
    matrix: Matrix,
    *,
    store: str | os.PathLike[str] | None = None,
    only: str | None = None,
    set: str | Iterable[str] = (),  # noqa: A002
    without: str | Iterable[str] = (),
    progress: bool = True,
) -> Results:
    """The results of a matrix that a store has; runs nothing and writes nothing.

    Arguments and errors are those of `run`. A cell that was never run has the status "missing".
    """
    return _results(_open(matrix, store, only, set, without, progress))


@dataclass(frozen=True)
class _Opened:
    """What a call is about."""

    plan: Plan
    store: Store
    registry: Registry
    arguments: tuple[str, ...]  # of a command, that change the matrix file
    says: bool


@uncollected()
def _open(
    matrix: Matrix,
    store: str | os.PathLike[str] | None,
    only: str | None,
    overrides: str | Iterable[str],
    without: str | Iterable[str],
    says: bool,
) -> _Opened:
    settings, left_out = _texts("set", overrides), _texts("without", without)
    registry = plugins.load(frozenset(left_out))
    for complaint in registry.complaints() if says else ():
        print(f"reidbench: {complaint}", file=sys.stderr)
    the_plan = _plan(matrix, registry, settings)
    if only is not None:
        the_plan = chosen_rows(the_plan, only)
    given = [("--set", text) for text in settings] + [("--without", name) for name in left_out]
    place = _path("store", store)
    the_store = store_at([place] if place else None)
    the_store.root = the_store.root.absolute()  # a notebook may go to another folder before it asks for a page
    return _Opened(the_plan, the_store, registry, tuple(itertools.chain(*given)), says)


def _plan(matrix: Matrix, registry: Registry, settings: tuple[str, ...]) -> Plan:
    if isinstance(matrix, Mapping):
        tree = mapping_tree(matrix, Path.cwd())
        return plan.expand(reader.read_from(tree, registry, settings))
    file = _path("a matrix", matrix)
    if file is None:
        raise ReidbenchError("a matrix must be the path of a file or a mapping, not None")
    return plan.expand(reader.read(at_home(file), registry, settings))


@uncollected()
def _results(opened: _Opened) -> Results:
    from reidbench import report

    board = report.collect(opened.plan, opened.store)
    warnings = tuple(map(printable, preview.changed_code(board.sources, opened.registry)))
    for warning in warnings if opened.says else ():
        print(f"warning: {warning}", file=sys.stderr)
    return Results(board, opened.plan, opened.store, opened.arguments, warnings)


# ---------------------------------------------------------------------- arguments
def _path(name: str, given: Any) -> Path | None:
    if given is None:
        return None
    try:
        return Path(os.fsdecode(given))
    except TypeError:
        kind = "the path of a file or a mapping" if name == "a matrix" else "the path of a folder"
        raise ReidbenchError(f"{name} must be {kind}, not {type(given).__name__}") from None


def _texts(name: str, given: Any) -> tuple[str, ...]:
    """Texts, or one alone."""
    texts = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (given,)
    if isinstance(given, Mapping) or not all(isinstance(text, str) for text in texts):
        like = '["seeds=[0]"]' if name == "set" else '["PLUGIN"]'
        raise ReidbenchError(f"{name} must be a list of texts, like {like}, not {type(given).__name__}")
    return texts


def _executor(name: str) -> str:
    if name in executors.NAMES:
        return name
    near = difflib.get_close_matches(str(name)[:100], executors.NAMES, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    raise ReidbenchError(f"no executor named {str(name)[:100]!r}{guess} (known: {', '.join(executors.NAMES)})")


def _check_counts(jobs: Any, workers: Any) -> None:
    for name, value, least in (("jobs", 1 if jobs is None else jobs, 1), ("workers", workers, 0)):
        if type(value) is not int or value < least:
            raise ReidbenchError(f"{name} must be a whole number from {least}, not {value!r}"[:200])


def _check_limits(seconds: Any, gib: Any) -> None:
    for name, value in (("time_limit", seconds), ("memory_limit", gib)):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
            raise ReidbenchError(f"{name} must be a number above 0, not {value!r}"[:200])
