"""What was found of a pack: mismatches, which are untrue or contradict each other, and notes, which a person reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from reidbench.matrix.stage import Plan, Row
from reidbench.registry.plugins import printable


class PackContents(Protocol):
    """What of a pack is checked; see `reidbench.packs.reading.Pack`."""

    @property
    def digest(self) -> str:
        """SHA-256 of what names all its files."""

    @property
    def board(self) -> Mapping[str, Any]:
        """The recorded board."""

    @property
    def text(self) -> str:
        """The matrix file."""

    @property
    def manifests(self) -> Mapping[str, Mapping[str, Any]]:
        """By key of a stage."""

    def results(self, key: str) -> Mapping[str, bytes]:
        """The files of an evaluation."""

    def features(self, key: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Of query and gallery [N, D] float16, of an embed stage."""

    def rounded(self, key: str) -> Mapping[str, float] | None:
        """The numbers of an evaluation of the rounded features."""


@dataclass
class Findings:
    """Sentences, each once; `rows` are the words that rows have earned, by the key of their evaluation."""

    mismatches: dict[str, None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)  # keys of stages about which there is a mismatch

    def mismatch(self, text: str, *keys: str) -> None:
        """Something that is not true; the stages of these keys, and whatever is made from them, pass no check."""
        self.mismatches[printable(text)] = None
        self.wrong.update(keys)

    def note(self, text: str) -> None:
        """Something that was not checked, or that a person should look at."""
        self.notes[printable(text)] = None


def row_words(row: Row) -> str:
    """A row of a table in words."""
    seeds = [f"seed {row.seed}"] if row.seed is not None else []
    seeds += [f"pretrain seed {row.pretrain_seed}"] if row.pretrain_seed is not None else []
    return f"{row.method} on {row.task} by {row.evaluator}" + (f" [{', '.join(seeds)}]" if seeds else "")


def words_of(plan: Plan) -> dict[str, str]:
    """The first row that ends in each evaluation, in words, by its key."""
    found: dict[str, str] = {}
    for row in plan.rows:
        if row.key:
            found.setdefault(row.key, row_words(row))
    return found


def behind(plan: Plan, key: str) -> list[str]:
    """The keys of a stage and of all that it was made from."""
    found: dict[str, None] = {}
    waiting = [key]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found[one] = None
            waiting += plan.stages[one].needs
    return list(found)
