"""Run of a benchmark: first the trials of its searches, in rounds, then its rows with the winners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reidbench.matrix.benchmark import Benchmark
from reidbench.matrix.stage import Plan, Row
from reidbench.store.artifacts import Store
from reidbench.tuning.resolve import resolve, settle

from .executor import Executor
from .runner import Outcome


@dataclass(frozen=True)
class Ran:
    """Plan of the selected rows, outcome of the run, and why its board was not recorded, or ""."""

    plan: Plan
    outcome: Outcome
    unrecorded: str

    @property
    def failed_searches(self) -> dict[str, str]:
        """Return rows without a winner because all trials failed, or processes of some died, with the reason."""
        return {f"{row.method} on {row.task}": row.reason for row in self.plan.rows if row.lacks != Row.lacks}


def run_benchmark(
    benchmark: Benchmark,
    store: Store,
    make: Callable[[], Executor],
    run: Callable[[Plan, Executor], Outcome],
    record: Callable[[Plan], str],
    only: Sequence[str] = (),
) -> Ran:
    """Run the missing stages of a benchmark. Each plan is `run` by a new executor; the first is created at once.

    `only` are patterns of methods or method/task; `record` keeps the whole plan. Raises what these functions raise, and
    ReidbenchError for a pattern that matches nothing.
    """
    ready = [make()]

    def start(plan: Plan) -> Outcome:
        return run(plan, ready.pop() if ready else make())

    resolved = resolve(benchmark, store)
    resolved.plan.matching(only)  # a pattern without a match is an error before anything runs
    unrecorded = record(resolved.plan)
    if resolved.searches:
        resolved = settle(benchmark, store, start, only)
        unrecorded = record(resolved.plan)
    plan = resolved.plan.matching(only)
    return Ran(plan, start(plan), unrecorded)
