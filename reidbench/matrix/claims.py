"""Claims of a matrix file about its rows, made before they run, and the rule that judges them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

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


@dataclass(frozen=True)
class Claim:
    """Sentence about rows: the first is better than the second, all are equal, or each is better than the next.

    `margin` and the smallest relevant `effect` are in the metric's printed unit; `by` is the label of an evaluator.
    `since` is the start of the first run with this claim and rule, like `2026-01-31T12:00:00Z`; empty if unknown.
    """

    say: str
    kind: Kind
    rows: tuple[str, ...]
    metric: str
    by: str
    on: tuple[str, ...]  # tasks
    margin: float = 0.0
    effect: float = EFFECT
    published: PublishedClaim | None = None
    why: str = ""
    since: str = field(default="", compare=False)

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield the compared rows, better first: neighbours, or every pair if all are equal."""
        if self.kind != "equal":
            yield from zip(self.rows, self.rows[1:], strict=False)
            return
        for place, first in enumerate(self.rows):
            for second in self.rows[place + 1 :]:
                yield first, second
