"""Claims of a matrix file about its rows, made before they run, and the rule that judges them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Literal, NamedTuple

ALPHA, EFFECT = 0.05, 3.0  # defaults

Kind = Literal["better", "equal", "order"]


@dataclass(frozen=True)
class ClaimRule:
    """Rule that judges claims: `alpha` for all claims of the file together, and the smallest relevant `effect`.

    The effect is in the printed unit of a claim's metric: points if that is %.
    """

    alpha: float = ALPHA
    effect: float = EFFECT


USUAL_RULE = ClaimRule()


@dataclass(frozen=True)
class PublishedClaim:
    """Published result for a claim: text, and the effect in the metric's printed unit if given as a number."""

    text: str = ""
    effect: float | None = None


class Side(NamedTuple):
    """A row and the label of the evaluator of its results, one side of a comparison."""

    row: str
    by: str


@dataclass(frozen=True)
class Claim:
    """Sentence about rows: the first is better than the second, all are equal, or each is better than the next.

    `margin` and the smallest relevant `effect` are in the metric's printed unit; `by` is the label of the evaluator of
    all rows, or one for each of them, so that a claim may compare two evaluators of one row.
    `since` is the start of the first run with this claim and rule, like `2026-01-31T12:00:00Z`; empty if unknown.
    """

    say: str
    kind: Kind
    rows: tuple[str, ...]
    metric: str
    by: str | tuple[str, ...]
    on: tuple[str, ...]  # tasks
    margin: float = 0.0
    effect: float = EFFECT
    published: PublishedClaim | None = None
    why: str = ""
    since: str = field(default="", compare=False)

    @property
    def sides(self) -> tuple[Side, ...]:
        """The rows with their evaluators, in order."""
        judges = [self.by] * len(self.rows) if isinstance(self.by, str) else self.by
        return tuple(Side(*side) for side in zip(self.rows, judges, strict=True))

    def name(self, side: Side) -> str:
        """Return the row of a side, with its evaluator if that is not the one of all rows."""
        return side.row if isinstance(self.by, str) else f"{side.row} by {side.by}"

    @property
    def pairs(self) -> Iterator[tuple[Side, Side]]:
        """Yield the compared sides, better first: neighbours, or every pair if all are equal."""
        yield from pairwise(self.sides) if self.kind != "equal" else combinations(self.sides, 2)
