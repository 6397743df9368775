"""Ranks over tasks as Markdown and LaTeX, with notes on what was compared and left out."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench.components import Metric
from reidbench.report.ranks.cells import Ranks
from reidbench.report.ranks.comparison import Comparison
from reidbench.report.ranks.lines import NONE, Line, headings, lines, tasks
from reidbench.report.ranks.sentences import MEANING, TITLE, about, refusals, sentences
from reidbench.report.results import Leaderboard

from .latex import escape
from .latex import line as latex_line
from .tables import one_line, table


def markdown(board: Leaderboard, ranks: Ranks) -> str:
    """Return a section with each comparison and the reasons for missing ones."""
    parts = [f"## {TITLE}", *([MEANING] if ranks.comparisons else [])]
    for found in ranks.comparisons:
        parts += [f"### {one_line(about(found, _declared(board, found)))}", _table(board, found)]
        parts.append("\n".join(f"- {one_line(sentence)}" for sentence in sentences(found)))
    parts += [one_line(sentence) for sentence in refusals(ranks)]
    return "\n\n".join(parts) + "\n"


def _table(board: Leaderboard, found: Comparison) -> str:
    rows = [[line.method, *line.summary, *line.cells] for line in _lines(board, found)]
    return table(["method", *headings(found), *tasks(found)], rows)


def _lines(board: Leaderboard, found: Comparison) -> list[Line]:
    return lines(found, _declared(board, found))


def _declared(board: Leaderboard, found: Comparison) -> Metric | None:
    return board.metric(found.evaluator, found.metric)


def latex(board: Leaderboard, ranks: Ranks) -> str:
    """Return a `table` for each comparison; reasons for missing ones are comments."""
    texts = ["\n".join(_latex(board, found)) for found in ranks.comparisons]
    texts += [f"% {one_line(sentence)}" for sentence in refusals(ranks)]
    return "\n\n".join(texts) + "\n"


def _latex(board: Leaderboard, found: Comparison) -> Iterator[str]:
    summary, columns = headings(found), tasks(found)
    yield r"\begin{table}"
    yield r"\centering"
    said = " ".join(map(escape, (f"{TITLE}: {about(found, _declared(board, found))}.", MEANING, *sentences(found))))
    yield rf"\caption{{{said}}}"
    yield rf"\begin{{tabular}}{{l{'r' * (len(summary) + len(columns))}}}"
    yield r"\toprule"
    yield latex_line([escape(title) for title in ("Method", *summary, *columns)])
    yield r"\midrule"
    for line in _lines(board, found):
        cells = ["--" if text == NONE else escape(text) for text in (*line.summary, *line.cells)]
        yield latex_line([escape(line.method), *cells])
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"
