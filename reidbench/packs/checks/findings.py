"""Findings about a pack: mismatches (false or contradictory contents), and notes for the reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from reidbench.matrix.stage import Plan, Row
from reidbench.registry.plugins import printable


class PackContents(Protocol):
    """The checked contents of a pack; see `reidbench.packs.reading.Pack`."""

    @property
    def digest(self) -> str:
        """SHA-256 of pack.json, which lists all files."""

    @property
    def board(self) -> Mapping[str, Any]:
        """The recorded board."""

    @property
    def text(self) -> str:
        """The matrix file."""

    @property
    def manifests(self) -> Mapping[str, Mapping[str, Any]]:
        """Manifests by key of a stage."""

    def results(self, key: str) -> Mapping[str, bytes]:
        """Return the files of an evaluation."""

    def features(self, key: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Return query and gallery features [N, D] float16 of an embed stage."""

    def rounded(self, key: str) -> Mapping[str, float] | None:
        """Return the metrics of an evaluation with rounded features."""


@dataclass
class Findings:
    """Findings without duplicates; `rows` are levels of verification by key of the evaluation."""

    mismatches: dict[str, None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)  # keys of stages with a mismatch

    def mismatch(self, text: str, *keys: str) -> None:
        """Report false contents; the stages with these keys, and all that depend on them, fail verification."""
        self.mismatches[printable(text)] = None
        self.wrong.update(keys)

    def note(self, text: str) -> None:
        """Report something that was not checked or that a reader should know."""
        self.notes[printable(text)] = None


def row_words(row: Row) -> str:
    """Return a row of a table in words."""
    seeds = [f"seed {row.seed}"] if row.seed is not None else []
    seeds += [f"pretrain seed {row.pretrain_seed}"] if row.pretrain_seed is not None else []
    return f"{row.method} on {row.task} by {row.evaluator}" + (f" [{', '.join(seeds)}]" if seeds else "")


def words_of(plan: Plan) -> dict[str, str]:
    """Return the first row of each evaluation in words, by key."""
    found: dict[str, str] = {}
    for row in plan.rows:
        if row.key:
            found.setdefault(row.key, row_words(row))
    return found


def behind(plan: Plan, key: str) -> list[str]:
    """Return the keys of a stage and of all stages behind it."""
    found: dict[str, None] = {}
    waiting = [key]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found[one] = None
            waiting += plan.stages[one].needs
    return list(found)
