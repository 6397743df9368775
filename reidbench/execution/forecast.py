"""Forecast of a file's searches: trials, their stages, and the number of shared stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reidbench.matrix.search import CHOSEN
from reidbench.tuning.resolve import Resolved, Searched


def of_searches(resolved: Resolved, needed: set[str]) -> dict[str, Any]:
    """Return counts of trials and their stages; `needed` are the stages that a run makes.

    `alone` is the number of stages without sharing among trials, `also_rows` the number shared with rows, `at_most` the
    maximum number of further stages of trials proposed after the first have run.
    """
    plan = resolved.trials
    trials = [trial for one in resolved.searches for trial in one.trials if trial.rows]
    own, tuned = set(resolved.plan.stages), set(resolved.likely.stages)
    return {
        "of": [_of(one) for one in resolved.searches],
        "stages": len(plan.stages),
        "to_run": len(plan.stages.keys() & needed),
        "alone": sum(len(plan.behind(trial.rows)) for trial in trials),
        "also_rows": len(plan.stages.keys() & (own | tuned)),
        "then": len(tuned - own - plan.stages.keys()),
        "at_most": sum(_unknown(one, resolved) for one in resolved.searches),
    }


def _of(one: Searched) -> dict[str, Any]:
    search, trials = one.place.search, one.trials
    return {
        "row": one.place.row.name,
        "task": one.place.task.name,
        "select": search.select,
        "criterion": one.metric,
        "sampler": search.sampler,
        "trials": search.trials,
        "done": sum(trial.status == "done" for trial in trials),
        "failed": sum(trial.status == "failed" for trial in trials),
    }


def _unknown(one: Searched, resolved: Resolved) -> int:
    """Return the maximum number of stages of trials proposed later: each has as many as the first, except data."""
    later = one.place.search.trials - len(one.trials)
    if not later or not one.trials[0].rows:
        return 0
    first = resolved.trials.behind(one.trials[0].rows)
    return later * sum(resolved.trials.stages[key].kind != "data" for key in first)


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the forecast as text."""
    yield "searches:"
    for one in found["of"]:
        how = f"{one['sampler']}, {one['trials']} trials, {CHOSEN[one['select']]}, by {one['criterion']}"
        failed = f", {one['failed']} failed" if one["failed"] else ""
        yield f"  {one['row']} on {one['task']}: {how}; {one['done']} done{failed}"
    alone = f"{found['alone']} without sharing among trials"
    also = f"{found['also_rows']} shared with rows"
    yield f"  trials: {found['stages']} stages, {found['to_run']} to run; {alone}, {also}"
    if found["at_most"]:
        yield f"  trials proposed later: at most {found['at_most']} stages"
    if found["then"]:
        yield f"  then rows with the winners: {found['then']} stages, counted with the first trial's values"
