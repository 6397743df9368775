"""Rehearsal: a scaled-down run of a matrix file's plan, and its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reidbench import report
from reidbench.execution.executor import Executor
from reidbench.execution.runner import Display, Runner
from reidbench.matrix.benchmark import Benchmark
from reidbench.matrix.plan import expand
from reidbench.matrix.stage import Plan, matches, refuse_unmatched
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store

from .files import stand_in_files
from .scale import Disk, Line, Scale
from .shorten import run_as_they_are, shorten
from .standins import FILES, STORE, Cast, stand_in_data


@dataclass
class Rehearsal:
    """The plan at full scale, the scaled-down plan that was run, and failures by stage, task or method."""

    full: Plan
    short: Plan
    store: Store
    cast: Cast
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    disk: Disk = field(default_factory=lambda: Disk(0, 0))

    @property
    def methods(self) -> int:
        """Number of rehearsed methods."""
        return len({row.method for row in self.short.rows if row.key})


def rehearse(
    benchmark: Benchmark,
    registry: Registry,
    folder: Path,
    executor: Executor,
    display: Display,
    only: Sequence[str] = (),
    real: bool = False,
) -> Rehearsal:
    """Run a benchmark, or its cells that match a pattern of `only`, scaled down below an empty `folder`.

    With `real`, use a few images of the file's data sets, and its files; otherwise use stand-ins.

    Raises ReidbenchError for a pattern that matches nothing.
    """
    for name in (STORE, FILES):
        (folder / name).mkdir(parents=True)
    cast = Cast(_restricted(benchmark, only) if only else benchmark)
    notes = [*_leave_out_files(cast), *_leave_out_searches(cast)]
    if not real:
        stand_in_data(cast, folder)
        stand_in_files(cast, registry, folder / FILES)
    full = _planned(cast.benchmark, only)
    whole = cast.benchmark
    shorten(cast, real)
    short = _planned(cast.benchmark, only)
    store = Store(folder / STORE)
    outcome = Runner(short, store, executor, display, registry.disabled).run()
    found = Rehearsal(full, short, store, cast, dict(cast.refused), notes)
    found.failed |= {short.stages[key].label: why for key, why in outcome.failed.items()}
    found.failed |= _never_applicable(short)
    scale = Scale(full, short, store, registry, own_data(whole, cast))
    found.lines, found.disk = scale.lines(), scale.disk()
    found.notes += [line.note for line in found.lines if line.note]
    found.notes += [
        f"{name} declares no `rehearsal`; it was run at full length" for name in run_as_they_are(cast.benchmark)
    ]
    report.write(report.collect(short, store), "md")  # finds errors of the table
    return found


def _restricted(benchmark: Benchmark, only: Sequence[str]) -> Benchmark:
    """Return the benchmark with the methods and tasks of matching cells, and with members of matching ensembles."""
    refuse_unmatched(only, [(one.name, task.name) for one in benchmark.methods for task in benchmark.tasks])
    cells = [(one, task) for one in benchmark.methods for task in benchmark.tasks if matches(only, one.name, task.name)]
    methods = {name for recipe, _ in cells for name in (recipe.name, *recipe.ensemble)}
    tasks = {task.name for _, task in cells}
    return replace(
        benchmark,
        methods=tuple(one for one in benchmark.methods if one.name in methods),
        tasks=tuple(task for task in benchmark.tasks if task.name in tasks),
    )


def _leave_out_files(cast: Cast) -> list[str]:
    """Remove the rows whose features come from files, and their ensembles. Returns a note on each."""
    files = {one.name for one in cast.benchmark.methods if one.features}
    return [f"{name} is not rehearsed: its features come from files" for name in _leave_out(cast, files)]


def _leave_out_searches(cast: Cast) -> list[str]:
    """Remove the rows with searches, and their ensembles. Returns a note on each."""
    searched = {one.name for one in cast.benchmark.methods if one.search}
    return [f"{name} is not rehearsed: its search requires results" for name in _leave_out(cast, searched)]


def _leave_out(cast: Cast, names: set[str]) -> list[str]:
    """Remove rows by name, and the ensembles that contain them. Returns the removed names."""
    methods = cast.benchmark.methods
    left = {one.name for one in methods if names & {one.name, *one.ensemble}}
    cast.benchmark = replace(cast.benchmark, methods=tuple(one for one in methods if one.name not in left))
    return sorted(left)


def _planned(benchmark: Benchmark, only: Sequence[str]) -> Plan:
    """Return the plan of matching rows; none if all of them are left out of the rehearsal."""
    plan = expand(benchmark)
    return plan.only([row for row in plan.rows if not only or matches(only, row.method, row.task)])


def own_data(whole: Benchmark, cast: Cast) -> set[str]:
    """Return the data sets that are read unchanged: no stand-ins, and not shortened."""
    short = cast.benchmark.data
    plain = {name for name, one in whole.data.items() if one.choice.resolved == short[name].choice.resolved}
    return plain - cast.roots.keys()


def _never_applicable(plan: Plan) -> dict[str, str]:
    """Return the methods that are not applicable to any task of the plan, with the first reason."""
    can = {row.method for row in plan.rows if row.key}
    reasons: dict[str, str] = {}
    for row in plan.rows:
        if row.method not in can:
            reasons.setdefault(f"method {row.method}", f"not applicable: {row.reason}")
    return reasons
