"""Search of a row: its parameter spaces, sampler, selection and outcome."""

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
Values = Mapping[str, Any]  # of one trial's parameters, by path in the row: {"finetune.lr": 0.001}

TUNED = " (tuned)"  # suffix of the row filled by a search
CHOSEN: Mapping[str, str] = {
    "source-val": "chosen on held-out identities",
    "held-out-domain": "chosen on a held-out domain",
    "unsupervised": "chosen without labels",
    "oracle": ON_TEST_LABELS,
}  # protocol words
ON_SHIPPED = "chosen on shipped validation queries"  # for `source-val`, if the data set has them

CRITERIA = ("silhouette", "snd")  # of `unsupervised`, as in `reidbench.metrics.unsupervised`; the first is the default


@dataclass(frozen=True)
class Space:
    """Values of a searched parameter: ordered choices, or a range that includes both ends."""

    kind: Literal["choices", "log", "uniform", "int"]
    values: tuple[Any, ...]

    @property
    def size(self) -> float:
        """Number of values; infinite for a range of decimal numbers."""
        if self.kind == "choices":
            return float(len(self.values))
        return float(self.values[1] - self.values[0] + 1) if self.kind == "int" else math.inf


@dataclass(frozen=True)
class Search:
    """Search over parameters of a row.

    `criterion` is that of `unsupervised`; `seeds` is the number of the file's seeds used by each trial. `recipe`
    returns the row with other values.
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
        """Number of combinations of values."""
        return math.prod(space.size for space in self.spaces.values())

    def row(self, values: Values) -> Recipe:
        """Return the row with these values. Raises ConfigError if a component refuses the combination."""
        assert self.recipe is not None  # the reader sets one
        return self.recipe(values)


@dataclass(frozen=True)
class Tuned:
    """Outcome of a search on one task: the row with the values of the best trial, or the reason for having none.

    `status` applies to a row without a winner: missing while trials have not run, failed if all of them failed.
    """

    recipe: Recipe | None = None
    values: Values = field(default_factory=dict)
    words: tuple[str, ...] = ()  # protocol words
    notes: tuple[str, ...] = ()
    reason: str = ""
    status: Literal["not-applicable", "missing", "failed"] = "not-applicable"


NO_SEARCH = Tuned()
NOT_BEGUN = Tuned(reason="its search has not started", status="missing")
