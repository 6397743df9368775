"""Write a leaderboard in one of the formats, and its charts as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reidbench.errors import ReidbenchError
from reidbench.matrix.stage import Plan
from reidbench.store.artifacts import Store

from .breakdown.parts import breakdowns
from .claims.expected import held
from .efficiency import efficiency
from .formats import breakdown, published
from .formats import ranks as ranks_texts
from .formats.differences import differences_to, raw_differences
from .formats.latex import latex
from .formats.tables import as_csv, as_json, chosen, markdown
from .options import Breakdown, Options
from .provenance import Evidence
from .ranks.cells import ranks_of
from .results import SCORE, Leaderboard, collect

TEXTS = {"md": markdown, "csv": as_csv, "json": as_json, "latex": latex}
FORMATS = (*TEXTS, "html")
RANKS = {"md": ranks_texts.markdown, "latex": ranks_texts.latex}  # JSON includes them
ELSEWHERE = "; without --published, the rows of `published:` are listed below the table"


def table(
    plan: Plan, store: Store, form: str, options: Options, against: Sequence[str] = (), figures: Path | None = None
) -> str:
    """Return the leaderboard in one of `FORMATS`, and write charts to the folder `figures`.

    Raises ReidbenchError for an unknown metric or method, a folder that cannot be written, or a missing extra.
    """
    return write_board(
        collect(plan, store, score=options.metric == SCORE), plan, store, form, options, against, figures
    )


def refuse_mixed(board: Leaderboard) -> None:
    """Raise ReidbenchError if a mean is over results of different versions, plugin sources or processors."""
    if board.mixed:
        more = f" (and {len(board.mixed) - 1} more)" if len(board.mixed) > 1 else ""
        cure = "remove the older results (`reidbench clean`, or another --store) and run again, or omit --strict"
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
    """As `table`, for a leaderboard that was already collected."""
    if options.published and not plan.benchmark.expect:
        raise ReidbenchError(
            f"{plan.benchmark.file} has no `expect:`; add one that names the published row of a cell, such as "
            "`expect: {METHOD: {TASK: ROW}}` (`reidbench show KIND NAME --published` lists the rows)"
            f"{ELSEWHERE * bool(plan.benchmark.published)}"
        )
    if options.strict:
        refuse_mixed(board)
    if options.columns:
        board = replace(board, efficiency=efficiency(plan, store, options.columns))
    if options.ranks:
        board = replace(board, ranks=ranks_of(board, chosen(board, options.metric)))
    if figures is not None:
        from .formats.figures import draw

        draw(board, Evidence(plan, store), figures, chosen(board, options.metric))
    if options.breakdown:
        return _in_parts(board, Evidence(plan, store), form, options, options.breakdown)
    if form == "html":
        from .html.page import render

        return render(board, plan, store, options)
    if options.published:
        return published.TEXTS[form](board, held(board, plan))
    return write(board, form, options.metric, against)


def _in_parts(board: Leaderboard, evidence: Evidence, form: str, options: Options, kind: Breakdown) -> str:
    """Return the breakdown of every row. Raises ReidbenchError for a format without breakdowns."""
    if form not in breakdown.TEXTS:
        raise ReidbenchError(f"a breakdown cannot be written as {form}: choose {', '.join(breakdown.TEXTS)}")
    metric = chosen(board, options.metric)
    found = list(breakdowns(board, evidence, kind, metric, options.worst))
    return breakdown.TEXTS[form](board, found, kind, metric)


def write(board: Leaderboard, form: str, metric: str | None = None, against: Sequence[str] = ()) -> str:
    """Return the leaderboard as text; Markdown and JSON add paired differences to the methods in `against`.

    `metric` None is the board's main metric. Raises ReidbenchError for an unknown metric or method.
    """
    metric = chosen(board, metric) if form in ("md", "latex") or against else ""
    if form == "json":
        return as_json(board, metric, [line for name in against for line in raw_differences(board, name, metric)])
    text = TEXTS[form](board, metric)
    if board.ranks is not None and form in RANKS:
        text = "\n".join([text, RANKS[form](board, board.ranks)])
    return "\n".join([text, *(differences_to(board, name, metric) for name in against)]) if form == "md" else text
