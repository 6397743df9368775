"""Choices of `reidbench table`: one of the formats, and what its page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Format = Literal["md", "csv", "json", "latex", "html"]
Pictures = Literal["rendered", "all", "none"]
Breakdown = Literal["camera-pair", "camera", "persons"]


@dataclass(frozen=True)
class Options:
    """`ranked` best and worst queries of each row and whose `pictures` are for the HTML page.

    `metric` None is mAP or, where no evaluator of the table gives it, the first metric that there is.
    `arguments` are those of the command line that changed the matrix file, for the command that makes a row again.
    `published` writes the cells that the file expects a published number of instead, or on the page as well.
    `columns` are what the networks cost, beside what they reach (see `efficiency.COLUMNS`).
    `breakdown` writes every row in parts instead (see `breakdown.parts.KINDS`), of persons the `worst`.
    `ranks` over tasks stand below the table in text; the HTML page has them anyway.
    `strict` refuses a table in which one mean is over results of different versions, sources or processors.
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
