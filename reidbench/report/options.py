"""What `reidbench table` asks for: one of the formats, and charts beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reidbench.errors import ReidbenchError
from reidbench.matrix.plan import Plan
from reidbench.store.artifacts import Store

from .formats.tables import FORMATS as TEXT_FORMATS
from .formats.tables import chosen, write
from .results import SCORE, Leaderboard, collect

FORMATS = (*TEXT_FORMATS, "html")
Pictures = Literal["rendered", "all", "none"]


@dataclass(frozen=True)
class Options:
    """`ranked` best and worst queries of each row and whose `pictures` are for the HTML page.

    `metric` None is mAP or, where no evaluator of the table gives it, the first metric that there is.
    `arguments` are those of the command line that changed the matrix file, for the command that makes a row again.
    `strict` refuses a table in which one mean is over results of different versions, sources or processors.
    """

    metric: str | None = None
    ranked: int = 3
    pictures: Pictures = "rendered"
    arguments: Sequence[str] = ()
    strict: bool = False


def table(
    plan: Plan, store: Store, form: str, options: Options, against: Sequence[str] = (), figures: Path | None = None
) -> str:
    """The leaderboard as text in one of `FORMATS`, or as "html"; charts as files into the folder `figures`.

    Raises ReidbenchError for an unknown metric or method, a folder that cannot be written, or a missing extra.
    """
    return write_board(
        collect(plan, store, score=options.metric == SCORE), plan, store, form, options, against, figures
    )


def refuse_mixed(board: Leaderboard) -> None:
    """Raise ReidbenchError where a mean is over results of different versions, plugin sources or processors."""
    if board.mixed:
        more = f" (and {len(board.mixed) - 1} more)" if len(board.mixed) > 1 else ""
        cure = "remove the older results (`reidbench clean`, or another --store) and run again, or leave --strict out"
        raise ReidbenchError(f"{board.mixed[0]}{more}: {cure}")


def write_board(
    board: Leaderboard,
    plan: Plan,
    store: Store,
    form: str,
    options: Options,
    against: Sequence[str] = (),
    figures: Path | None = None,
) -> str:
    """As `table`, of a leaderboard that was collected before."""
    if options.strict:
        refuse_mixed(board)
    if figures is not None:
        from .figures import draw
        from .provenance import Evidence

        draw(board, Evidence(plan, store), figures, chosen(board, options.metric))
    if form == "html":
        from .html.page import render

        return render(board, plan, store, options)
    return write(board, form, options.metric, against)
