"""What a row searches: the spaces of its parameters, how trials are drawn and judged, and what a search came to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from reidbench.words import ON_TEST_LABELS

if TYPE_CHECKING:
    from .benchmark import Recipe

Select = Literal["source-val", "held-out-domain", "unsupervised", "oracle"]
Sampler = Literal["grid", "random", "tpe"]
Values = Mapping[str, Any]  # of the parameters of one trial, by their paths in the row: {"finetune.lr": 0.001}

TUNED = " (tuned)"  # ends the name of the row that a search fills
CHOSEN: Mapping[str, str] = {
    "source-val": "chosen on held-out identities",
    "held-out-domain": "chosen on a held-out domain",
    "unsupervised": "chosen without labels",
    "oracle": ON_TEST_LABELS,
}  # words of the protocol
ON_SHIPPED = "chosen on shipped validation queries"  # by `source-val`, where the data set has them

CRITERIA = ("silhouette", "snd")  # of `unsupervised`, as `reidbench.metrics.unsupervised` has them; the first is usual


@dataclass(frozen=True)
class Space:
    """The values that a search may give a parameter: choices in their order, or a range with both of its ends."""

    kind: Literal["choices", "log", "uniform", "int"]
    values: tuple[Any, ...]

    @property
    def size(self) -> float:
        """How many values there are; infinity for a range of decimal numbers."""
        if self.kind == "choices":
            return float(len(self.values))
        return float(self.values[1] - self.values[0] + 1) if self.kind == "int" else math.inf


@dataclass(frozen=True)
class Search:
    """A search over parameters of a row.

    `criterion` names that of `unsupervised`; `seeds` is how many of the file's seeds each trial runs with. `recipe`
    gives the row with other values.
    """

    spaces: Mapping[str, Space]
    trials: int
    select: Select
    sampler: Sampler
    criterion: str = ""
    seed: int = 0
    seeds: int = 1
    recipe: Callable[[Values], Recipe] | None = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> float:
        """How many combinations of values there are."""
        return math.prod(space.size for space in self.spaces.values())

    def row(self, values: Values) -> Recipe:
        """The row with these values. Raises ConfigError where a component refuses them together."""
        assert self.recipe is not None  # the reader gives one
        return self.recipe(values)


@dataclass(frozen=True)
class Tuned:
    """What a search came to on one task: the row with the values of its best trial, or why there is none.

    `status` is that of a row without a winner: missing while trials are not run, failed where all of them failed.
    """

    recipe: Recipe | None = None
    values: Values = field(default_factory=dict)
    words: tuple[str, ...] = ()  # of the protocol
    notes: tuple[str, ...] = ()
    reason: str = ""
    status: Literal["not-applicable", "missing", "failed"] = "not-applicable"


NO_SEARCH = Tuned()
NOT_BEGUN = Tuned(reason="its search has not begun", status="missing")
