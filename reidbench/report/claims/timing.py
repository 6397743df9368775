"""Compare the dates of claims and results: a claim written after its results predicts nothing."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench.report.results import Leaderboard
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store

from .verdicts import Claims, Judged

MOST = 3  # number of named claims


def timing(board: Leaderboard, found: Claims, store: Store) -> Iterator[str]:
    """Yield a sentence on the first run with the claims, or on claims not known to predate their results."""
    begun = {one.claim.say: list(_begun(board, one, store)) for one in found.judged}
    first = [began for several in begun.values() for began in several]
    if not first:
        return
    late = [one.claim.say for one in found.judged if begun[one.claim.say] and _late(one, min(begun[one.claim.say]))]
    if not late:
        newest = max(one.claim.since for one in found.judged if one.claim.since)
        yield (
            "According to the records, claims and rule predate the results: the newest claim was first run at "
            f"{newest}, and the first evaluation of any began at {min(first)}."
        )
        return
    names = ", ".join(late[:MOST]) + (f" and {len(late) - MOST} more" if len(late) > MOST else "")
    yield (
        f"For {len(late)} of {len(found.judged)} claims, no recorded run with the current claim and rule began before "
        f"their first result: they may have been written after the results were known ({names})."
    )


def _late(one: Judged, first: str) -> bool:
    return not one.claim.since or first < one.claim.since


def _begun(board: Leaderboard, one: Judged, store: Store) -> Iterator[str]:
    """Yield the start times of the evaluations behind a claim."""
    for side in one.claim.sides:
        for task in one.claim.on:
            for result in board.cell(side.row, task, side.by):
                if result.status == "ok":
                    yield from _started(result.row.key or "", store)


def _started(key: str, store: Store) -> Iterator[str]:
    try:
        started = store.manifest(key).manifest.get("started")
    except (KeyError, BadArtifact):
        return
    if isinstance(started, str):
        yield started
