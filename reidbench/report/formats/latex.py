"""The leaderboard as a LaTeX table (booktabs): two metrics per task, bold for a significant lead only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reidbench.report.formats.groups import Column, columns, definitions, incomplete
from reidbench.report.results import Leaderboard
from reidbench.report.standings import Place, places
from reidbench.report.units import NAMES, all_percent, heading, number, own_unit

from .notes import notes
from .quoted import TITLE, block
from .sentences import (
    BOLD_ALONE,
    no_seed,
    nothing_bold,
    of_pretrainings,
    of_seeds,
    ranked_separately,
    ranking,
    rule_warnings,
    status_word,
    without_number,
)
from .tables import visible

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "[": "{[}",  # a bare bracket after \\ would be its optional argument
    "]": "{]}",
    "*": "{*}",  # a bare star would be its starred form
}


def latex(board: Leaderboard, metric: str) -> str:
    r"""Return a `table` of methods and tasks with `metric` and R1 (or mAP); requires booktabs and textcomp."""
    shown = [name for name in dict.fromkeys((metric, "cmc1", "mAP")) if name in board.metrics][:2] or [metric]
    several = len(board.evaluators) > 1
    lead = 2 if several else 1
    costs = board.efficiency.columns if board.efficiency else ()
    placed = columns(board)
    lines = [
        r"% \usepackage[T1]{fontenc} \usepackage{booktabs,textcomp}",
        *_comments(board, shown),
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(board.title)}. {' '.join(_caption(board, metric, shown))}}}",
        rf"\begin{{tabular}}{{{'l' * lead}{'r' * (len(shown) * len(placed) + len(costs))}}}",
        r"\toprule",
        *_header([column.task for column in placed], shown, lead, [column.heading for column in costs]),
        r"\midrule",
        *_rows(board, placed, shown, several),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
        *_published(board),
    ]
    return "\n".join(lines) + "\n"


def _published(board: Leaderboard) -> list[str]:
    """Return a separate table of the matrix file's published rows, if any."""
    quoted = block(board)
    if quoted is None:
        return []
    numbers = len(quoted.metrics)
    texts = "l" * (len(quoted.headers) - 2 - numbers)
    return [
        "",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(f'{TITLE}. {quoted.introduction}.')}}}",
        rf"\begin{{tabular}}{{ll{'r' * numbers}{texts}}}",
        r"\toprule",
        line([*map(escape, quoted.titles)]),
        r"\midrule",
        *(line([{"-": "--"}.get(cell, escape(cell)) for cell in cells]) for cells in quoted.lines),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def _caption(board: Leaderboard, metric: str, shown: Sequence[str]) -> Iterator[str]:
    if all_percent(board, shown):
        yield r"Mean and standard deviation over seeds in \%."
    else:
        yield f"Mean and standard deviation over seeds: {escape('; '.join(heading(board, name) for name in shown))}."
    nothing = {name: nothing_bold(board, name) for name in shown}
    if not all(nothing.values()):
        yield escape(BOLD_ALONE)
    said = [sentence for name in shown for sentence in ([nothing[name]] if nothing[name] else ranking(board, name))]
    seedless = [sentence for name in shown for say in (no_seed, of_pretrainings) for sentence in say(board, name)]
    spent = board.efficiency.sentences() if board.efficiency else ()
    warned = rule_warnings(board, metric)
    of_groups = definitions(board)
    yield from map(escape, dict.fromkeys([*said, *seedless, *ranked_separately(board), *warned, *of_groups, *spent]))


def _comments(board: Leaderboard, shown: Sequence[str]) -> Iterator[str]:
    """Yield comments for what does not fit in the table: protocols, notes, reasons for missing numbers."""
    for method in board.methods:
        words = dict.fromkeys(result.row.protocol for result in board.results if result.row.method == method)
        yield visible(f"% protocol of {method}: {' / '.join(words)}")
    yield from (f"% note: {visible(note.text)}" for note in notes(board.results))
    reasons = [sentence for name in shown for sentence in without_number(board, name)] + incomplete(board)
    yield from (f"% no number: {visible(sentence)}" for sentence in dict.fromkeys(reasons))


def _header(tasks: Sequence[str], shown: Sequence[str], lead: int, costs: Sequence[str]) -> list[str]:
    width = len(shown)
    titles = [rf"\multicolumn{{{width}}}{{c}}{{{escape(task)}}}" for task in tasks] if width else []
    rules = [
        rf"\cmidrule(lr){{{lead + 1 + width * number}-{lead + width * (number + 1)}}}" for number in range(len(tasks))
    ]
    names = [escape(NAMES.get(name, name)) for _ in tasks for name in shown]
    first = ["Method", "Evaluator"][:lead]
    above, below = [""] * len(costs), map(escape, costs)
    return [line([*[""] * lead, *titles, *above]), " ".join(rules if width else []), line([*first, *names, *below])]


def _rows(board: Leaderboard, placed: Sequence[Column], shown: Sequence[str], several: bool) -> list[str]:
    ranked = {
        (column.task, evaluator, name): places(column.board, column.task, evaluator, name)
        for column in placed
        for evaluator in board.evaluators
        for name in shown
    }
    lines = []
    for method in board.methods:
        for evaluator in board.evaluators:
            cells = [
                _cell(column, method, evaluator, name, ranked[column.task, evaluator, name].get(method))
                for column in placed
                for name in shown
            ]
            spent = _costs(board, method)
            lines.append(line([escape(method), *([escape(evaluator)] if several else []), *cells, *spent]))
    return lines


def _costs(board: Leaderboard, method: str) -> list[str]:
    """Return the cells of a method in the efficiency columns, if any."""
    found = board.efficiency
    cells = [found.of_method(method, board.tasks, column) for column in found.columns] if found else []
    words = [{"-": "--"}.get(cell.text, escape(cell.text)) for cell in cells]
    return [rf"\textbf{{{text}}}" if cell.bold else text for cell, text in zip(cells, words, strict=True)]


def line(cells: Sequence[str]) -> str:
    """Join LaTeX cells to a line of a `tabular`."""
    return " & ".join(cells) + r" \\"


def _cell(column: Column, method: str, evaluator: str, metric: str, place: Place | None) -> str:
    board, task = column.board, column.task
    found = board.summarised(method, task, evaluator).get(metric)
    if found is None:
        word = status_word(board.cell(method, task, evaluator))
        return {"not applicable": "n/a", "-": "--"}.get(word, word)
    known = board.metric(evaluator, metric)
    mean = number(found.mean, known)
    if place is not None and place.rivals > 1 and place.beats == place.rivals - 1:
        mean = rf"\textbf{{{mean}}}"
    spread = "" if found.sd is None else rf" {{\footnotesize $\pm$ {number(found.sd, known)}}}"
    seeds = of_seeds(found, board.cell(method, task, evaluator))
    counted = rf" {{\footnotesize ({seeds})}}" if seeds else ""
    return mean + spread + escape(own_unit(board, metric, evaluator)) + counted


def escape(text: str) -> str:
    """Escape text of plugins and files for LaTeX: no commands, no maths, no line breaks."""
    plain = "".join(SPECIAL.get(char, char) for char in visible(text))
    return re.sub(r"([-,])(?=\1)", r"\1{}", plain)  # -- and ,, would become ligatures
