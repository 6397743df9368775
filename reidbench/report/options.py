"""Options of `reidbench table`: format and contents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Format = Literal["md", "csv", "json", "latex", "html"]
Pictures = Literal["rendered", "all", "none"]
Breakdown = Literal["camera-pair", "camera", "persons"]


@dataclass(frozen=True)
class Options:
    """Options of a table.

    `metric`: None is mAP or, if no evaluator gives it, the first metric.
    `ranked`, `pictures`: number of best and worst queries per row on the HTML page, and whose images it shows.
    `arguments`: command-line arguments that changed the matrix file, for the commands that reproduce rows.
    `strict`: refuses means over results of different versions, sources or processors.
    `published`: writes cells with their published numbers instead of the table; the page shows both.
    `columns`: efficiency columns (see `efficiency.COLUMNS`).
    `breakdown`: writes a breakdown of every row instead (see `breakdown.parts.KINDS`), for persons the `worst`.
    `ranks`: adds ranks over tasks below a text table; the HTML page always has them.
    `look`: loads the network of an artifact; if given, the HTML page has a closer look at every row, with its maps.
    """

    metric: str | None = None
    ranked: int = 3
    pictures: Pictures = "rendered"
    arguments: Sequence[str] = ()
    strict: bool = False
    published: bool = False
    columns: Sequence[str] = ()
    breakdown: Breakdown | None = None
    worst: int = 10
    ranks: bool = False
    look: Callable[[Any], Any] | None = None
