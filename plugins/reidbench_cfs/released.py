"""A released list, such as TransReID-SSL's CFS_list.pkl: names by falling score; a prefix of it is kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reidbench import SelectContext, Selection
from reidbench.data import HiddenSplit
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.numbers import HOW, whole_number

from . import ranking
from .lists import read_list
from .params import ListParams

NAMED = 5  # number of missing entries that a message lists


def select(ctx: SelectContext[ListParams]) -> Selection:
    """Keep the pool images named at the start of the list. Its first entry scores 1, images outside the list 0.

    The harness joins names to the pool, since a method does not see names. Missing entries are counted; raises
    DataError if they exceed `tolerance`, or no entry is left. Writes `facts.json`.
    """
    params = ctx.params
    entries = read_list(params.file, params.by)
    wanted = params.count if params.count is not None else ranking.keep_count(params.keep, len(entries))
    if wanted > len(entries):
        raise DataError(f"{params.file}: {wanted} entries are requested, but the list has {len(entries)}: lower count")
    found = _by_id(ctx.pool, entries, params) if params.by == "id" else ctx.pool.match(entries, params.by)
    head = found[:wanted]
    missing = np.flatnonzero(head < 0)
    _check_missing(params, entries, missing, wanted)
    kept = np.unique(head[head >= 0])
    facts = {
        "uses_target_labels": None,  # a list does not say which labels it was made with
        "by": params.by,
        "list": {"entries": len(entries), "asked_for": wanted, "missing": len(missing)},
        "missing": [entries[row] for row in missing[:NAMED].tolist()],
        "repeated": int(wanted - len(missing) - len(kept)),
        "pool": {"images": len(ctx.pool), "not_on_the_list": len(ctx.pool) - len(np.unique(found[found >= 0]))},
        "kept": {"images": len(kept)},
    }
    ranking.write_facts(ctx.out, facts)
    ctx.log({"asked_for": wanted, "missing": len(missing), "kept": len(kept)})
    return Selection(kept, _scores(found, len(ctx.pool)))


def _check_missing(params: ListParams, entries: list[str], missing: NDArray[np.int64], wanted: int) -> None:
    if len(missing) > params.tolerance * wanted or len(missing) == wanted:
        names = ", ".join(entries[row] for row in missing[:NAMED].tolist())
        raise DataError(
            f"{params.file}: {len(missing)} of {wanted} entries are not in the pool (by {params.by}), "
            f"more than the tolerance of {params.tolerance:.2%}; the first: {names}"
        )


def _scores(found: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return 1 at the list's first entry, falling to 1 / entries at its last; 0 elsewhere. Repetitions are ignored."""
    scores = np.zeros(count)
    rows = np.flatnonzero(found >= 0)[::-1]  # backwards, so that the first of duplicates is written last
    scores[found[rows]] = 1 - rows / len(found)
    return scores


def _by_id(pool: HiddenSplit, entries: list[str], params: ListParams) -> NDArray[np.int64]:
    """Return indices of this package's ids, which are positions in the pool: the list must cover this whole pool."""
    if len(entries) != len(pool):
        raise DataError(
            f"{params.file}: ids of a pool of {len(entries)} images do not fit a pool of {len(pool)}: use a list of "
            "names with by: name"
        )
    ids = [whole_number(entry) for entry in entries]
    for entry, number in zip(entries, ids, strict=True):
        if number is None:
            raise DataError(
                f"{params.file}: {shown(entry)!r} is not a whole number, and ids are numbers: {HOW}; "
                "for a list of names set by: name"
            )
        if not 0 <= number < len(pool):
            raise DataError(f"{params.file}: ids must be 0 to {len(pool) - 1}, but one is {shown(entry)}")
    return np.array(ids, dtype=np.int64)
