"""Claims that a matrix file makes about its rows before they are run, and the rule by which they are judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

ALPHA, EFFECT = 0.05, 3.0  # where the file says nothing

Kind = Literal["better", "equal", "order"]


@dataclass(frozen=True)
class ClaimRule:
    """How claims are judged: `alpha` for all claims of the file together, and the least `effect` that counts.

    The effect is in the printed unit of a claim's metric: in points where that is %.
    """

    alpha: float = ALPHA
    effect: float = EFFECT


USUAL_RULE = ClaimRule()


@dataclass(frozen=True)
class PublishedClaim:
    """What a paper has of a claim: words, and the effect in the metric's printed unit where it is given as a number."""

    text: str = ""
    effect: float | None = None


@dataclass(frozen=True)
class Claim:
    """A sentence about rows: the first is better than the second, all are equal, or each is better than the next.

    `margin` and `effect`, the least that counts, are in the metric's printed unit; `by` is the label of an evaluator.
    `since` is when the first run began that had this claim and the file's rule, like `2026-01-31T12:00:00Z`; empty
    where none is known.
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
        """The rows that are compared, the better one first: neighbours or, where all are equal, every two."""
        if self.kind != "equal":
            yield from zip(self.rows, self.rows[1:], strict=False)
            return
        for place, first in enumerate(self.rows):
            for second in self.rows[place + 1 :]:
                yield first, second
