"""`reidbench.run` and `reidbench.load`: the commands `run` and `table` for programs and notebooks."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reidbench import report
from reidbench.errors import ConfigError, ReidbenchError
from reidbench.execution import executors, preview
from reidbench.execution.executor import Executor
from reidbench.execution.runner import Outcome, Runner
from reidbench.execution.searching import run_benchmark
from reidbench.matrix.benchmark import Benchmark
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.metrics.neighbours import faiss_search
from reidbench.packs import lasting
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry, printable
from reidbench.store.artifacts import Store
from reidbench.tracking.choices import validated
from reidbench.tracking.following import tracking
from reidbench.tuning.resolve import resolve

from .display import display
from .mappings import mapping_tree
from .opening import at_home, store_at, uncollected
from .results import Results

Matrix = str | os.PathLike[str] | Mapping[str, Any]
LIKE = {
    "only": '["bot*", "*/market"]',
    "set": '["seeds=[0]"]',
    "options": '["time=60"]',
    "track": '["tensorboard"]',
}  # examples of arguments that are lists
INTERRUPTED = "interrupted; finished stages are cached, and the same call resumes"


def run(
    matrix: Matrix,
    *,
    store: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    executor: str = "process",
    options: Mapping[str, Any] | str | Iterable[str] = (),
    address: str | None = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    workers: int = 0,
    only: str | Iterable[str] | None = None,
    set: str | Iterable[str] = (),  # noqa: A002 - named like the command's option
    without: str | Iterable[str] = (),
    track: str | Iterable[str] | Mapping[str, Mapping[str, Any]] = (),
    progress: bool = True,
) -> Results:
    """Run the stages of a matrix that are not cached in a store, and return all its results.

    `matrix` is the path of a YAML file, or a mapping with the same content, whose relative paths start in the working
    folder. `store` is a folder; default: $REIDBENCH_STORE, or `.reidbench`. The other arguments are the options of
    `reidbench run`: `jobs` is the number of parallel stages (default: 1, or the capacity of the cluster at `address`)
    if `executor` is "process" or "ray"; "inline" runs them in this process. `options` are those of the executor, a
    mapping or a list of KEY=VALUE strings. `time_limit` in seconds and `memory_limit` in GiB apply to each stage.
    `only` is a pattern of methods or method/task, or a list of patterns, `set` a list of KEY=VALUE strings, `without` a
    list of plugins not to load. `track` are names of trackers, or a mapping of each to its options. With `progress`
    False nothing is printed.

    A failed cell raises nothing; its row has the reason, and is in `Results.failed`. Raises ConfigError with all
    mistakes of the matrix, each with its line or keys, another ReidbenchError for bad arguments or a store that cannot
    be written, and KeyboardInterrupt once running stages have reached a checkpoint or ended.
    """
    if fault := faiss_search.clash():
        raise ReidbenchError(fault)
    _check_counts(jobs, workers)
    _check_limits(time_limit, memory_limit)
    given = options if isinstance(options, Mapping) else _texts("options", options)
    rows = _texts("only", () if only is None else only)
    call = _Call.of(matrix, store, set, without, progress)
    make = functools.partial(executors.make, executor, jobs, address, time_limit, memory_limit, given, call.registry)
    benchmark = call.benchmark()
    chosen = validated(_trackers(track), call.registry)
    with contextlib.ExitStack() as held:
        with display(progress) as shown:
            tracked = held.enter_context(tracking(chosen, benchmark, call.store, call.registry, shown.note))

            def start(the_plan: Plan, where: Executor) -> Outcome:
                following = tracked.following(shown, the_plan)
                return Runner(the_plan, call.store, where, following, call.registry.disabled, workers, held).run()

            try:
                ran = run_benchmark(benchmark, call.store, make, start, call.record, rows)
            except KeyboardInterrupt:
                shown.note(INTERRUPTED)
                raise
            if ran.unrecorded:  # everything was cached; otherwise the run has failed with the same reason
                shown.note(ran.unrecorded)
        results = call.results(ran.plan)
        tracked.conclude(ran.plan, results.board)
        return results


def load(
    matrix: Matrix,
    *,
    store: str | os.PathLike[str] | None = None,
    only: str | Iterable[str] | None = None,
    set: str | Iterable[str] = (),  # noqa: A002
    without: str | Iterable[str] = (),
    progress: bool = True,
) -> Results:
    """Return the results of a matrix from a store. Runs nothing and writes nothing.

    Arguments and errors are those of `run`. A cell that was never run has the status "missing". If the file names a
    component that is not installed, and the store has a recorded board of the same file, that board is returned.
    """
    call = _Call.of(matrix, store, set, without, progress)
    return call.results(call.lasting_plan().matching(_texts("only", () if only is None else only)))


@dataclass
class _Call:
    """Arguments and state of a call. `warnings` are about its results."""

    matrix: Any
    store: Store
    registry: Registry
    settings: tuple[str, ...]
    left_out: tuple[str, ...]
    says: bool
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, matrix: Any, store: Any, settings: Any, without: Any, says: bool) -> _Call:
        """Check the arguments. Raises ReidbenchError for arguments of the wrong type."""
        place = _path("store", store)
        the_store = store_at([place] if place else None)
        the_store.root = the_store.root.absolute()  # a notebook may change the working folder later
        texts, left_out = _texts("set", settings), _texts("without", without)
        registry = plugins.load(frozenset(left_out))
        found = cls(matrix, the_store, registry, texts, left_out, says)
        for complaint in registry.complaints():
            found.warn(complaint)
        return found

    def warn(self, text: str) -> None:
        """Record a warning, and print it unless printing is off."""
        self.warnings.append(printable(text))
        if self.says:
            print(f"warning: {self.warnings[-1]}", file=sys.stderr)

    @uncollected()
    def benchmark(self) -> Benchmark:
        """Read the file or mapping. Raises ConfigError with every mistake."""
        if isinstance(self.matrix, Mapping):
            tree = mapping_tree(self.matrix, Path.cwd())
            return reader.read_from(tree, self.registry, self.settings)
        return reader.read(self.file, self.registry, self.settings)

    @uncollected()
    def plan(self) -> Plan:
        """Return the plan of the file or mapping, with search winners from the store. Raises like `benchmark`."""
        return resolve(self.benchmark(), self.store).plan

    def record(self, the_plan: Plan) -> str:
        """Record the board of a run. Returns why it could not be recorded, or ""."""
        return lasting.record_run(the_plan, self.store, self.settings)

    @property
    def file(self) -> Path:
        """Path of the matrix file. Raises ReidbenchError if the matrix is not a path."""
        found = _path("a matrix", self.matrix)
        if found is None:
            raise ReidbenchError("a matrix must be the path of a file or a mapping, not None")
        return at_home(found)

    def lasting_plan(self) -> Plan:
        """Return the plan, or that of a recorded board of the same file if a component is not installed."""
        try:
            return self.plan()
        except ConfigError as error:
            if isinstance(self.matrix, Mapping):
                raise
            found, said = lasting.board_instead(error, self.file, self.settings, self.store)
        self.warn(said)
        return found

    @uncollected()
    def results(self, the_plan: Plan) -> Results:
        """Return the results of a plan from the store."""
        the_plan = lasting.dated(the_plan, self.store)
        board = report.collect(the_plan, self.store)
        for warning in preview.changed_code(board.sources, self.registry):
            self.warn(warning)
        given = [("--set", text) for text in self.settings] + [("--without", name) for name in self.left_out]
        return Results(board, the_plan, self.store, tuple(itertools.chain(*given)), tuple(self.warnings))


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
    """Return the strings of a list, or a single string."""
    texts = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (given,)
    if isinstance(given, Mapping) or not all(isinstance(text, str) for text in texts):
        like = LIKE.get(name, '["PLUGIN"]')
        raise ReidbenchError(f"{name} must be a list of strings, for example {like}, not {type(given).__name__}")
    return texts


def _trackers(given: Any) -> dict[str, Mapping[str, Any]]:
    """Return the options of trackers by name."""
    if not isinstance(given, Mapping):
        return {name: {} for name in _texts("track", given)}
    for name, options in given.items():
        if not isinstance(name, str) or not isinstance(options, Mapping):
            like = '{"tensorboard": {"folder": "runs"}}'
            raise ReidbenchError(f"track must map names of trackers to mappings of their options, for example {like}")
    return dict(given)


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
