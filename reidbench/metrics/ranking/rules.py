"""The choices behind a number, by name, so that every number can be printed with them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from reidbench.metrics.errors import MetricError

AveragePrecision = Literal["step", "trapezoid"]
Invalid = Literal["drop", "zero"]
Ties = Literal["stable", "best", "worst"]
Camera = Literal["market1501", "none"]
Distance = Literal["cosine", "euclidean", "given"]
GalleryShots = Literal["all", "single-shot"]


@dataclass(frozen=True)
class Rules:
    """How a ranking is scored; the defaults are what torchreid and fast-reid do.

    ap: ``step`` averages the precision at each true match (torchreid, fast-reid, scikit-learn >= 0.19);
        ``trapezoid`` averages it with the precision just before (Market-1501's MATLAB code, scikit-learn <= 0.18).
    invalid: queries without a true match are dropped from all means, or count as zero (MATLAB).
    ties: gallery rows at equal distance are ordered by their index, or true matches come first, or last.
    camera: ``market1501`` removes the gallery rows of a query's own pid and camera; ``none`` keeps them. Camera -1
        is unknown, and never the same as another.
    distance: how features are compared; ``given`` when distances came from outside.
    gallery: ``all`` rows, or CUHK03's classic ``single-shot`` CMC: one drawn row of each pid, mean of `repeats`
        draws that depend on `seed` and the query's number alone. AP and INP stay those of the whole gallery.
    """

    ap: AveragePrecision = "step"
    invalid: Invalid = "drop"
    ties: Ties = "stable"
    camera: Camera = "market1501"
    distance: Distance = "cosine"
    gallery: GalleryShots = "all"
    repeats: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(Rules).items():
            value, choices = getattr(self, name), get_args(kind)
            if choices and value not in choices:
                raise MetricError(f"rule {name}={value!r} is unknown; choose one of {', '.join(choices)}")
        if self.repeats < 1:
            raise MetricError(f"rule repeats={self.repeats} must be at least 1")
        if self.seed < 0:
            raise MetricError(f"rule seed={self.seed} must not be negative")

    def as_dict(self) -> dict[str, str | int]:
        """Name to value; the draws of the single-shot gallery are left out where there are none."""
        rules = dataclasses.asdict(self)
        if self.gallery == "all":
            del rules["repeats"], rules["seed"]
        return rules

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.as_dict().items())
