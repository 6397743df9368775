"""What `reidbench table` asks for: one of the formats, and charts beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..plan import Plan
from ..store import Store
from .formats import FORMATS as TEXT_FORMATS
from .formats import chosen, write
from .results import SCORE, collect

FORMATS = (*TEXT_FORMATS, "html")
Pictures = Literal["rendered", "all", "none"]


@dataclass(frozen=True)
class Options:
    """`ranked` best and worst queries of each row and whose `pictures` are for the HTML page.

    `metric` None is mAP or, where no evaluator of the table gives it, the first metric that there is.
    `arguments` are those of the command line that changed the matrix file, for the command that makes a row again.
    """

    metric: str | None = None
    ranked: int = 3
    pictures: Pictures = "rendered"
    arguments: Sequence[str] = ()


def table(
    plan: Plan, store: Store, form: str, options: Options, against: Sequence[str] = (), figures: Path | None = None
) -> str:
    """The leaderboard as text in one of `FORMATS`, or as "html"; charts as files into the folder `figures`.

    Raises ReidbenchError for an unknown metric or method, a folder that cannot be written, or a missing extra.
    """
    board = collect(plan, store, score=options.metric == SCORE)
    if figures is not None:
        from .figures import draw
        from .provenance import Evidence

        draw(board, Evidence(plan, store), figures, chosen(board, options.metric))
    if form == "html":
        from .page import render

        return render(board, plan, store, options)
    return write(board, form, options.metric, against)
