"""Reasons for a missing result: its stage failed, an earlier stage failed, or it has not run yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reidbench.matrix.labels import with_params
from reidbench.matrix.stage import Plan
from reidbench.store.artifacts import Store


@dataclass(frozen=True)
class Missing:
    """Status of a stage without an artifact, the reason, and whether a worker process died."""

    status: Literal["failed", "blocked", "missing"]
    reason: str
    died: bool = False


def why_missing(plan: Plan, store: Store, key: str) -> Missing:
    """Return the reason why a planned artifact is not in a store."""
    own = store.failure(key)
    if own is not None:
        return Missing("failed", f"{with_params(plan.stages[key])}: {own}", store.died(key))
    waiting, seen = list(plan.stages[key].needs), set()
    while waiting:
        parent = waiting.pop()
        if parent in seen or store.has(parent):
            continue
        seen.add(parent)
        reason = store.failure(parent)
        if reason is not None:
            return Missing("blocked", f"{with_params(plan.stages[parent])}: {reason}", store.died(parent))
        waiting += plan.stages[parent].needs
    return Missing("missing", "not run yet")
