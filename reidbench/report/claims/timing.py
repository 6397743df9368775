"""Whether claims were there before their results: a claim that was written after them predicts nothing."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench.report.results import Leaderboard
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store

from .verdicts import Claims, Judged

MOST = 3  # claims that are named


def timing(board: Leaderboard, found: Claims, store: Store) -> Iterator[str]:
    """When the claims were first run, and those that are not known to be older than their results."""
    begun = {one.claim.say: list(_begun(board, one, store)) for one in found.judged}
    first = [began for several in begun.values() for began in several]
    if not first:
        return
    late = [one.claim.say for one in found.judged if begun[one.claim.say] and _late(one, min(begun[one.claim.say]))]
    if not late:
        since = min(one.claim.since for one in found.judged if one.claim.since)
        yield (
            "By what is recorded, the claims and their rule are older than the results: the first run with them began "
            f"at {since}, the first evaluation behind them at {min(first)}."
        )
        return
    names = ", ".join(late[:MOST]) + (f" and {len(late) - MOST} more" if len(late) > MOST else "")
    yield (
        f"Of {len(late)} of {len(found.judged)} claims no run is recorded that began, with the claim and the rule as "
        f"they are, before the first of their results: they may have been written after these were seen ({names})."
    )


def _late(one: Judged, first: str) -> bool:
    return not one.claim.since or first < one.claim.since


def _begun(board: Leaderboard, one: Judged, store: Store) -> Iterator[str]:
    """When the evaluations behind a claim began."""
    for row in one.claim.rows:
        for task in one.claim.on:
            for result in board.cell(row, task, one.claim.by):
                if result.status == "ok":
                    yield from _started(result.row.key or "", store)


def _started(key: str, store: Store) -> Iterator[str]:
    try:
        started = store.manifest(key).manifest.get("started")
    except (KeyError, BadArtifact):
        return
    if isinstance(started, str):
        yield started
