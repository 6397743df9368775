"""Trials as JSON values and as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reidbench.matrix.search import CHOSEN
from reidbench.registry.plugins import printable
from reidbench.words import ON_TEST_LABELS

from .resolve import Resolved, Searched
from .trials import Trial

Line = tuple[str, str]  # text, and its rich style


def as_json(resolved: Resolved) -> list[dict[str, Any]]:
    """Return every trial of every search on every task, in the order of the file."""
    return [_values(one, trial) for one in resolved.searches for trial in one.trials]


def _values(one: Searched, trial: Trial) -> dict[str, Any]:
    search = one.place.search
    return {
        "row": trial.method,
        "task": trial.task,
        "trial": trial.number,
        "select": search.select,
        "criterion": one.metric,
        "values": dict(trial.values),
        "status": trial.status,
        "score": trial.score if trial.scores else None,
        "by_seed": {str(seed): value for seed, value in trial.scores.items()},
        "seconds": round(trial.seconds, 3),
        "winner": trial is one.winner,
        "error": trial.error,
    }


def lines(resolved: Resolved) -> Iterator[Line]:
    """Yield a heading for each search on each task, a line for each trial, and the reason if there is no winner."""
    for one in resolved.searches:
        search, place = one.place.search, one.place
        judged = f"{CHOSEN[search.select]}, by {one.metric}"
        heading = f"{place.row.name} on {place.task.name}: {search.sampler}, {search.trials} trials, {judged}"
        yield printable(heading), "red" if CHOSEN[search.select] == ON_TEST_LABELS else "bold"
        for trial in one.trials:
            yield printable(_line(trial, trial is one.winner)), ""
        if one.tuned.reason:
            yield printable(f"  no winner: {one.tuned.reason}"), ""


def _line(trial: Trial, wins: bool) -> str:
    values = ", ".join(f"{name}={value}" for name, value in trial.values.items())
    scores = ", ".join(f"seed {seed}: {value:.4f}" for seed, value in trial.scores.items())
    mean = f" {trial.score:.4f} ({scores})" if len(trial.scores) > 1 else ""
    said = {"done": mean or f" {trial.score:.4f}" if trial.scores else "", "failed": f": {trial.error}"}
    seconds = f", {trial.seconds:.1f} s" if trial.seconds else ""
    return f"{'*' if wins else ' '} {trial.number:>4}  {values}  {trial.status}{said.get(trial.status, '')}{seconds}"
