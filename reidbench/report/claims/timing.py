"""Compare the dates of claims and results: a claim written after its results predicts nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reidbench.matrix.claims import Side
from reidbench.report.results import Leaderboard
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store

from .verdicts import Claims, Judged

MOST = 3  # number of named claims or rows

Begun = Mapping[Side, str]  # start of the first evaluation of each row that has one


def timing(board: Leaderboard, found: Claims, store: Store) -> Iterator[str]:
    """Yield sentences on the first run with the claims, and on claims not known to predate their results."""
    begun = {one.claim.say: dict(_begun(board, one, store)) for one in found.judged}
    first = [began for rows in begun.values() for began in rows.values()]
    if not first:
        return
    late = {one.claim.say: older for one in found.judged if (older := _older(one, begun[one.claim.say]))}
    if not late:
        dates = {one.claim.say: one.claim.since for one in found.judged}
        newest, own = max((dates[say], min(rows.values())) for say, rows in begun.items() if rows)
        if newest <= min(first):
            said, began = "claims and rule predate the results", f"any began at {min(first)}"
        else:
            said, began = "each claim, with the rule, predates the results of its rows", f"its rows began at {own}"
        yield (
            f"According to the records, {said}: the newest claim was first run at {newest}, and the first evaluation "
            f"of {began}."
        )
        return
    known = [one.claim.say for one in found.judged if one.claim.say in late and _difference_known(one, late)]
    partly = [say for say in late if say not in known]
    count = len(found.judged)
    if partly:
        rows = list(dict.fromkeys(side.row for say in partly for side in late[say]))
        yield (
            f"For {len(partly)} of {count} claims, results of one of two compared rows are older than the first "
            f"recorded run with the current claim and rule ({_several(rows)}); no difference was known before it."
        )
    if known:
        yield (
            f"For {len(known)} of {count} claims, no recorded run with the current claim and rule began before "
            f"their first result: they may have been written after the results were known ({_several(known)})."
        )


def _several(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")


def _older(one: Judged, begun: Begun) -> list[Side]:
    """Return the rows with results from before the first run with a claim; all, if no run is recorded."""
    return [side for side, first in begun.items() if not one.claim.since or first < one.claim.since]


def _difference_known(one: Judged, late: Mapping[str, Sequence[Side]]) -> bool:
    """Return whether two rows of the claim have older results; also if no run with the claim is recorded."""
    return not one.claim.since or len(late[one.claim.say]) > 1


def _begun(board: Leaderboard, one: Judged, store: Store) -> Iterator[tuple[Side, str]]:
    """Yield each row of a claim with the start of its first evaluation; rows without results are left out."""
    for side in one.claim.sides:
        results = [result for task in one.claim.on for result in board.cell(side.row, task, side.by)]
        keys = [result.row.key or "" for result in results if result.status == "ok"]
        if started := [began for key in keys for began in _started(key, store)]:
            yield side, min(started)


def _started(key: str, store: Store) -> Iterator[str]:
    try:
        started = store.manifest(key).manifest.get("started")
    except (KeyError, BadArtifact):
        return
    if isinstance(started, str):
        yield started
