"""Search winners claimed by a pack, which are used unchecked since a pack does not contain the trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.matrix.benchmark import Benchmark, Recipe
from reidbench.matrix.search import Tuned

Claims = Mapping[str, Mapping[str, Any]]  # by task


def as_claimed(benchmark: Benchmark, claimed: Mapping[str, Claims]) -> Benchmark:
    """Return the benchmark with the claimed winners, by row and task, as recorded in boards.

    Raises ReidbenchError for values of parameters that are not searched, or that a component rejects.
    """
    methods = tuple(_as_claimed(row, claimed[row.name]) if row.name in claimed else row for row in benchmark.methods)
    return replace(benchmark, methods=methods)


def _as_claimed(row: Recipe, claims: Claims) -> Recipe:
    return replace(row, tuned={task: _tuned(row, claim) for task, claim in claims.items()})


def _tuned(row: Recipe, claim: Mapping[str, Any]) -> Tuned:
    if claim.get("reason"):
        return Tuned(reason=claim["reason"], status=claim.get("status", "not-applicable"))
    values, search = claim.get("values", {}), row.search
    if search is None or values.keys() != search.spaces.keys():
        raise ReidbenchError(f"{row.name}: the matrix file has no search over {', '.join(values) or 'nothing'}")
    words, notes = (tuple(claim.get(name, ())) for name in ("words", "notes"))
    return Tuned(replace(search.row(values), name=row.name, search=None), values, words, notes)
