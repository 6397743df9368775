"""A leaderboard as Markdown, CSV or JSON. The same store gives the same bytes."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from reidbench.components import Published
from reidbench.errors import ReidbenchError
from reidbench.matrix.reading.checker import guess
from reidbench.registry.metrics import COLUMNS
from reidbench.report.efficiency import Efficiency
from reidbench.report.formats.groups import Column, columns, definitions, incomplete, raw
from reidbench.report.ranks.lines import raw as raw_ranks
from reidbench.report.results import Leaderboard, Summary
from reidbench.report.standings import leaders
from reidbench.report.units import NAMES, all_percent, heading, lower_is_better, number, own_unit, unit

from . import history
from .notes import notes
from .quoted import TITLE, block
from .sentences import (
    bold,
    counted,
    cut,
    never_ranked,
    no_seed,
    of_pretrainings,
    of_seeds,
    rule_warnings,
    status_word,
    without_number,
)


def chosen(board: Leaderboard, metric: str | None) -> str:
    """Return the requested metric, or the board's main one. Raises ReidbenchError for a metric that no result has."""
    if metric is None:
        return board.main_metric
    settled = board.metrics or (board.evaluators and all(map(board.declarations, board.evaluators)))
    if settled and not board.known(metric):  # before the first result, only declarations name metrics
        declared = [name for evaluator in board.evaluators for name in board.declarations(evaluator)]
        known = [*dict.fromkeys([*board.metrics, *declared])]
        raise ReidbenchError(f"unknown metric {metric!r}{guess(metric, known)} (known: {', '.join(known)})")
    return metric


def markdown(board: Leaderboard, metric: str) -> str:
    """Return a table of `metric` over tasks, one of all metrics, notes, and the reasons for empty cells."""
    parts = [f"# {one_line(board.title)}", ""]
    parts += [one_line(f"{heading(board, metric)}: mean ± sd over seeds [95 % interval of the mean].")]
    said = [*cut(board, metric), *bold(board, metric), *no_seed(board, metric), *of_pretrainings(board, metric)]
    said += [*rule_warnings(board, metric), *definitions(board)]
    said += never_ranked(board)
    said += board.efficiency.sentences() if board.efficiency else []
    parts += map(one_line, said)
    for placed, evaluators in _blocks(board):
        parts += ["", table(*wide(board, metric, placed, evaluators))]
    parts += [""]
    lower = lower_is_better(board, board.metrics)
    unit_words = " in %" if all_percent(board, board.metrics) else ", each in its own unit"
    lower_words = f" (lower is better: {', '.join(lower)})" if lower else ""
    parts += [one_line(f"All metrics{unit_words}, mean over seeds{lower_words}:"), "", _details(board), ""]
    noted = notes(board.results)
    if noted:
        parts += [
            "Notes (data or steps that were dropped, skipped or assumed):",
            "",
            *(f"- {one_line(note.text)}" for note in noted),
            "",
        ]
    reasons = list(map(one_line, [*without_number(board, metric), *incomplete(board)]))
    if reasons:
        parts += ["Cells without a number:", "", *(f"- {reason}" for reason in reasons), ""]
    quoted = block(board)
    if quoted:
        parts += [f"## {TITLE}", "", one_line(f"{quoted.introduction}."), "", table(quoted.headers, quoted.lines), ""]
    if board.history is not None:
        parts += _history(board.history, metric)
    return "\n".join(parts)


def _history(found: Sequence[history.Past], metric: str) -> list[str]:
    if not found:
        return ["The store has no results of earlier versions of this file.", ""]
    headers = ["method", "task", "evaluator", NAMES.get(metric, metric), "results", "changed", "date", "protocol"]
    return [history.INTRODUCTION, "", table(headers, history.cells(found, metric)), ""]


def _blocks(board: Leaderboard) -> list[tuple[list[Column], list[str]]]:
    """Group columns by their evaluators: a file whose tasks have different evaluators gets several tables."""
    found: dict[tuple[str, ...], list[Column]] = {}
    for column in columns(board):
        there = {result.row.evaluator for result in column.board.results if result.row.task == column.task}
        found.setdefault(tuple(e for e in board.evaluators if e in there), []).append(column)
    return [(placed, list(evaluators)) for evaluators, placed in found.items()] or [([], [])]


def wide(
    board: Leaderboard, metric: str, placed: Sequence[Column] = (), evaluators: Sequence[str] = ()
) -> tuple[list[str], list[list[str]]]:
    """Return headings and lines of the table of one metric, methods over tasks; `**` marks bold means.

    `placed` are its columns and `evaluators` those of its lines; the default is all of them.
    """
    several = len(board.evaluators) > 1
    rows = []
    placed, evaluators = placed or columns(board), evaluators or board.evaluators
    shown = {column.task for column in placed}
    first = {(c.task, e): leaders(c.board, c.task, e, metric) for c in placed for e in evaluators}
    for method in board.methods:
        for evaluator in evaluators:
            cells = [
                cell(c.board, method, c.task, evaluator, metric, method in first[c.task, evaluator]) for c in placed
            ]
            protocols = dict.fromkeys(
                r.row.protocol for task in board.tasks if task in shown for r in board.cell(method, task, evaluator)
            )
            costs = _costs(board, method)
            rows.append([method, *([evaluator] if several else []), *cells, *costs, " / ".join(protocols)])
    spent = [column.heading for column in board.efficiency.columns] if board.efficiency else []
    headings = [column.task for column in placed]
    return ["method", *(["evaluator"] if several else []), *headings, *spent, "protocol"], rows


def cell(board: Leaderboard, method: str, task: str, evaluator: str, metric: str, leads: bool) -> str:
    """Return a method's mean, sd and interval on a task, with `**` around a leading mean; or its status."""
    results = board.cell(method, task, evaluator)
    found = board.summarised(method, task, evaluator).get(metric)
    if found is None:
        return status_word(results)
    seeds = of_seeds(found, results)
    return _interval(board, found, leads) + (f" ({seeds})" if seeds else "")


def _costs(board: Leaderboard, method: str) -> list[str]:
    """Return the cells of a method in the efficiency columns, if any."""
    found = board.efficiency
    cells = [found.of_method(method, board.tasks, column) for column in found.columns] if found else []
    return [f"**{cell.text}**" if cell.bold else cell.text for cell in cells]


def _interval(board: Leaderboard, summary: Summary, leads: bool) -> str:
    known = board.metric(summary.evaluator, summary.metric)
    mean = number(summary.mean, known)
    text = f"**{mean}**" if leads else mean
    if summary.sd is not None and summary.ci95 is not None:
        low, high = (number(bound, known) for bound in summary.ci95)
        text += f" ± {number(summary.sd, known)} [{low}, {high}]"
    return text + own_unit(board, summary.metric, summary.evaluator)


def _details(board: Leaderboard) -> str:
    pretrained = any(summary.pretrainings for summary in board.summary)
    rows = []
    metrics = board.metrics
    with_unit = not all_percent(board, metrics)
    for column, method, evaluator in itertools.product(columns(board), board.methods, board.evaluators):
        found = column.board.summarised(method, column.task, evaluator)
        if found:
            most = max(summary.results for summary in found.values())
            seeds = max(summary.n for summary in found.values())
            means = [(found.get(name), _mean(column.board, found.get(name), with_unit)) for name in metrics]
            numbers = [mean + _fewer(summary, most) for summary, mean in means]
            first = next(iter(found.values()))
            fixed = all(result.row.seed is None for result in column.board.cell(method, column.task, evaluator))
            counts = ["no seed" if fixed else seeds, *([first.pretrainings] if pretrained else [])]
            rows.append([column.task, method, evaluator, *numbers, *counts])
    names = [NAMES.get(name, name) for name in metrics]
    headers = ["task", "method", "evaluator", *names, "seeds", *(["pre-trainings"] if pretrained else [])]
    return table(headers, rows)


def _mean(board: Leaderboard, summary: Summary | None, with_unit: bool) -> str:
    if summary is None:
        return "-"
    known = board.metric(summary.evaluator, summary.metric)
    return number(summary.mean, known) + (unit(known) if with_unit else "")


def _fewer(summary: Summary | None, most: int) -> str:
    """Return the number of results of a metric if other metrics of the line have more."""
    return "" if summary is None or summary.results == most else f" ({counted(summary)})"


def table(headers: list[str], rows: list[list[Any]]) -> str:
    """Return a Markdown table; cells are escaped."""
    cells = [[_cell_text(str(cell)) for cell in row] for row in rows]
    return str(tabulate(cells, [_cell_text(header) for header in headers], "github", disable_numparse=True))


def _cell_text(text: str) -> str:
    # After a backslash in the text, an escaped bar would still end the cell.
    shown = one_line(text)
    return shown.replace("|", "&#124;" if "\\" in shown else "\\|")


def one_line(text: str) -> str:
    """Escape text of plugins and files for one line of Markdown: no control characters, HTML, links or images."""
    shown = visible(text).replace("](", "]\\(")  # an image would be requested wherever the table is shown
    return shown.replace("<", "&lt;").replace(">", "&gt;") if "<" in shown else shown


def visible(text: str) -> str:
    """Return text without line breaks, control characters and bidirectional marks."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def as_csv(board: Leaderboard, metric: str) -> str:
    """Return one line per row; metrics are fractions, as evaluators give them. A row without a seed has an empty field.

    Published rows of the matrix file are not included. Text that a spreadsheet would evaluate starts with `'`.
    Efficiency columns come last, in the units of JSON, with the machine.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = board.metrics
    first = ["method", "task", "evaluator", "seed", "pretrain_seed", "status"]
    costs = board.efficiency
    last = [*(column.name for column in costs.columns), "machine"] if costs else []
    writer.writerow([*first, *map(_column, names), "error", "protocol", "notes", "key", *last])
    for result in board.results:
        row = result.row
        numbers = [repr(result.metrics[name]) if name in result.metrics else "" for name in names]
        seeds = ["" if seed is None else seed for seed in (row.seed, row.pretrain_seed)]
        place = [*map(plain, (row.method, row.task, row.evaluator)), *seeds, result.status]
        words = [plain(text) for text in (result.error, row.protocol, "; ".join(result.notes))]
        numbers_of_costs = _raw_costs(board, row.method, row.task)
        spent = [plain(value) if isinstance(value, str) else repr(value) for value in numbers_of_costs.values()]
        writer.writerow([*place, *numbers, *words, row.key or "", *(spent or [""] * len(last))])
    return stream.getvalue()


def _raw_costs(board: Leaderboard, method: str, task: str) -> dict[str, float | str]:
    """Return a cell's efficiency columns as measured, and the machine; empty if unknown."""
    found = board.efficiency
    cost = found.costs.get((method, task)) if found else None
    if found is None or cost is None:
        return {}
    return {**{column.name: cost.values[column.name][1] for column in found.columns}, "machine": cost.machine}


def _column(metric: str) -> str:
    """Return the heading of a metric; an undeclared metric may have the name of another column."""
    return plain(f"metric {metric}" if metric in COLUMNS else metric)


def plain(text: str) -> str:
    """Return printable text that a spreadsheet does not evaluate: a quote precedes a formula."""
    shown = "\n".join(map(visible, text.split("\n")))
    return f"'{shown}" if shown.lstrip()[:1] in ("=", "+", "-", "@") and shown.strip() else shown


def as_json(board: Leaderboard, metric: str, against: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return rows, summaries and declared metrics; values are fractions, as evaluators give them.

    A row that does not depend on `seeds` has the seed null; it is `seedless` in the summary if it depends on no
    pre-training seed either. Efficiency columns and
    `ranks` over tasks are included on request. Published rows of the matrix file are in `published`, not in the rows.
    """
    costs = board.efficiency
    rows = [
        {
            "method": result.row.method,
            "task": result.row.task,
            "evaluator": result.row.evaluator,
            "seed": result.row.seed,
            "pretrain_seed": result.row.pretrain_seed,
            "status": result.status,
            "metrics": dict(result.metrics),
            "error": result.error,
            "protocol": result.row.protocol,
            "notes": list(result.notes),
            "key": result.row.key,
            **({"efficiency": _raw_costs(board, result.row.method, result.row.task) or None} if costs else {}),
        }
        for result in board.results
    ]
    kinds = {(s.evaluator, s.metric): board.metric(s.evaluator, s.metric) for s in board.summary}
    summary = [
        {
            "method": s.method,
            "task": s.task,
            "evaluator": s.evaluator,
            "metric": s.metric,
            "n": s.n,
            "pretrainings": s.pretrainings,
            "mean": s.mean,
            "sd": s.sd,
            "ci95": s.ci95,
            "seedless": s.seedless,
            "results": s.results,
            "better": known.better if (known := kinds[s.evaluator, s.metric]) else None,
            "unit": known.unit if known else None,
        }
        for s in board.summary
    ]
    content: dict[str, Any] = {"title": board.title, "rows": rows, "summary": summary, "metrics": _declarations(board)}
    if of_groups := raw(board):
        content["groups"] = of_groups
    if costs:
        content["efficiency"] = _columns(costs)
    if board.published:
        content["published"] = list(map(_published, board.published))
    if board.history is not None:
        content["history"] = history.raw(board.history)
    if against:
        content["against"] = list(against)
    if board.ranks is not None:
        content["ranks"] = raw_ranks(board.ranks)
    return json.dumps(content, indent=1) + "\n"


def _published(number: Published) -> dict[str, Any]:
    words = {name: getattr(number, name) for name in ("row", "task", "metric", "value", "source", "note")}
    return {**words, "ap": number.ap if number.metric == "mAP" else None, "rules": list(number.rules)}


def _columns(costs: Efficiency) -> dict[str, Any]:
    columns = [
        {"column": one.name, "unit": one.unit, "better": one.better, "measured": one.measured} for one in costs.columns
    ]
    return {"machine": costs.machine, "columns": columns, "missing": list(costs.missing)}


def _declarations(board: Leaderboard) -> list[dict[str, Any]]:
    """Return the declaration of each metric that an evaluator gave; all None if undeclared."""
    found = []
    for evaluator in board.evaluators:
        for name in board.metrics:
            if evaluator in board.giving(name):
                known = board.metric(evaluator, name)
                words: dict[str, Any] = {"better": None, "unit": None, "range": None}
                if known is not None:
                    words = {"better": known.better, "unit": known.unit, "range": list(known.range)}
                found.append({"evaluator": evaluator, "metric": name, **words})
    return found
