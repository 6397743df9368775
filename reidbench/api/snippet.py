"""A leaderboard as an HTML fragment for a notebook cell: one escaped table, without scripts and styles."""

from __future__ import annotations

import html as escaping
import re
from collections.abc import Sequence

from reidbench import report
from reidbench.report.formats.groups import definitions, incomplete
from reidbench.report.formats.notes import notes
from reidbench.report.formats.sentences import bold, cut, no_seed, rule_warnings, without_number
from reidbench.report.formats.tables import chosen, visible, wide
from reidbench.report.units import heading

BOLD = re.compile(r"\*\*([^*]+)\*\*")
MOST = 20  # sentences shown of a list; the rest are counted


def html(board: report.Leaderboard) -> str:
    """Return the table of the main metric, with the notes that explain its numbers."""
    metric = chosen(board, None)
    said = [*cut(board, metric), *bold(board, metric), *no_seed(board, metric), *rule_warnings(board, metric)]
    said += definitions(board)
    first = f"{heading(board, metric)}: mean ± sd over seeds [95 % interval of the mean]."
    parts = [f"<p><b>{_text(board.title)}</b><br>{'<br>'.join(map(_text, [first, *said]))}</p>", _table(board, metric)]
    parts += _list("Notes on what was dropped, skipped or assumed", [note.text for note in notes(board.results)])
    parts += _list("Cells without a number", [*without_number(board, metric), *incomplete(board)])
    return "\n".join(parts)


def _text(text: str) -> str:
    return escaping.escape(visible(text))


def _table(board: report.Leaderboard, metric: str) -> str:
    headings, lines = wide(board, metric)
    names = 2 if len(board.evaluators) > 1 else 1
    head = "".join(f"<th>{_text(one)}</th>" for one in headings)
    body = "".join(f"<tr>{_line(line, names)}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _line(cells: Sequence[str], names: int) -> str:
    """Return a row of the table: names, means, some in bold, and the protocol."""
    first = (f"<th>{_text(cell)}</th>" for cell in cells[:names])
    means = (BOLD.sub(r"<b>\1</b>", _text(cell), count=1) for cell in cells[names:-1])
    means = (f"<td>{mean}</td>" for mean in means)
    return "".join([*first, *means, f"<td>{_text(cells[-1])}</td>"])


def _list(title: str, sentences: Sequence[str]) -> list[str]:
    if not sentences:
        return []
    more = [f"and {len(sentences) - MOST} more"] if len(sentences) > MOST else []
    lines = "".join(f"<li>{_text(sentence)}</li>" for sentence in [*sentences[:MOST], *more])
    return [f"<p>{title}:</p>", f"<ul>{lines}</ul>"]
