"""A leaderboard as Markdown, CSV, JSON or LaTeX. The same store gives the same bytes, whenever and wherever."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from ..errors import ReidbenchError
from .differences import differences
from .results import Leaderboard, Result, Summary, leaders

NAMES = {"cmc1": "R1", "cmc5": "R5", "cmc10": "R10", "cmc20": "R20"}
BOLD = "Bold: the best of its column, and whatever is tied with it within noise (paired over seeds, 95 %)."
STATUS_WORDS = {"failed": "failed", "blocked": "failed", "not-applicable": "not applicable", "missing": "missing"}


def write(board: Leaderboard, form: str, metric: str = "mAP", against: Sequence[str] = ()) -> str:
    """The leaderboard as text; Markdown also as paired differences to the methods in `against`.

    Raises ReidbenchError for an unknown metric or method.
    """
    if form in ("md", "latex"):
        check_metric(board, metric)
    text = FORMATS[form](board, metric)
    return text + "".join(_differences(board, name, metric) for name in against) if form == "md" else text


def check_metric(board: Leaderboard, metric: str) -> None:
    """Raise ReidbenchError for a metric that no result has."""
    if board.metrics and metric not in board.metrics:
        raise ReidbenchError(f"no metric named {metric!r} (known: {', '.join(board.metrics)})")


def _differences(board: Leaderboard, against: str, metric: str) -> str:
    label = NAMES.get(metric, metric)
    several = len(board.evaluators) > 1
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for pair in differences(board, against, metric):
        mean, low, high = (
            100 * number for number in (pair.difference.value, pair.difference.low, pair.difference.high)
        )
        interval = f" [{low:+.1f}, {high:+.1f}]" if pair.difference.n > 1 else ""
        words = f" ({', '.join(pair.apart)})" if pair.apart else ""
        text = f"{mean:+.1f}{interval} {pair.better}/{pair.difference.n}{words}"
        rows.setdefault((pair.method, pair.evaluator), {})[pair.task] = text
    cells = [
        [method, *([evaluator] if several else []), *(found.get(task, "-") for task in board.tasks)]
        for (method, evaluator), found in rows.items()
    ]
    title = f"{label} against {against}, in points: paired mean [95 % interval], and in how many seeds it is better:"
    headers = ["method", *(["evaluator"] if several else []), *board.tasks]
    return f"{one_line(title)}\n\n{table(headers, cells)}\n\n"


def markdown(board: Leaderboard, metric: str) -> str:
    """One table of `metric` over tasks, one of all metrics, and why cells are empty. Percent."""
    parts = [f"# {one_line(board.title)}", ""]
    label = NAMES.get(metric, metric)
    parts += [f"{label} in %: mean ± sd over seeds [95 % interval of the mean].", BOLD, "", _matrix(board, metric), ""]
    parts += ["All metrics in %, mean over seeds:", "", _details(board), ""]
    notes = dict.fromkeys(note for result in board.results for note in result.notes)
    if notes:
        parts += ["Notes on what was dropped, skipped or assumed:", "", *(f"- {one_line(note)}" for note in notes), ""]
    reasons = _reasons(board)
    if reasons:
        parts += ["Cells without a number:", "", *(f"- {reason}" for reason in reasons), ""]
    return "\n".join(parts)


def _matrix(board: Leaderboard, metric: str) -> str:
    several = len(board.evaluators) > 1
    rows = []
    first = {(task, e): leaders(board, task, e, metric) for task in board.tasks for e in board.evaluators}
    for method in board.methods:
        for evaluator in board.evaluators:
            cells = [
                _cell(board, method, task, evaluator, metric, method in first[task, evaluator]) for task in board.tasks
            ]
            protocols = dict.fromkeys(
                r.row.protocol for task in board.tasks for r in board.cell(method, task, evaluator)
            )
            rows.append([method, *([evaluator] if several else []), *cells, " / ".join(protocols)])
    headers = ["method", *(["evaluator"] if several else []), *board.tasks, "protocol"]
    return table(headers, rows)


def _cell(board: Leaderboard, method: str, task: str, evaluator: str, metric: str, leads: bool) -> str:
    results = board.cell(method, task, evaluator)
    found = board.summarised(method, task, evaluator).get(metric)
    good = sum(result.status == "ok" for result in results)
    if found is None:
        return STATUS_WORDS.get(results[0].status, "-") if results else "-"
    text = _interval(found, leads)
    return text if good == len(results) else f"{text} ({good}/{len(results)} seeds)"


def _interval(summary: Summary, leads: bool) -> str:
    mean = f"{100 * summary.mean:.1f}"
    text = f"**{mean}**" if leads else mean
    if summary.sd is not None and summary.ci95 is not None:
        low, high = (100 * bound for bound in summary.ci95)
        text += f" ± {100 * summary.sd:.1f} [{low:.1f}, {high:.1f}]"
    return text


def _details(board: Leaderboard) -> str:
    pretrained = any(summary.pretrainings for summary in board.summary)
    rows = []
    metrics = board.metrics
    for task, method, evaluator in itertools.product(board.tasks, board.methods, board.evaluators):
        found = board.summarised(method, task, evaluator)
        if found:
            numbers = [f"{100 * found[name].mean:.1f}" if name in found else "-" for name in metrics]
            first = next(iter(found.values()))
            rows.append([task, method, evaluator, *numbers, first.n, *([first.pretrainings] if pretrained else [])])
    names = [NAMES.get(name, name) for name in metrics]
    headers = ["task", "method", "evaluator", *names, "seeds", *(["pre-trainings"] if pretrained else [])]
    return table(headers, rows)


def _reasons(board: Leaderboard) -> list[str]:
    """Why cells have no number, equal reasons once."""
    reasons: dict[tuple[str, str, str, str], list[Result]] = {}
    for result in board.results:
        if result.status != "ok":
            word = STATUS_WORDS[result.status]
            reasons.setdefault((result.row.method, result.row.task, word, result.error), []).append(result)
    sentences = []
    for (method, task, word, error), members in reasons.items():
        seeds = ", ".join(str(seed) for seed in dict.fromkeys(result.row.seed for result in members))
        of_seeds = "" if word == "not applicable" else f" (seed {seeds})"
        sentences.append(one_line(f"{method} on {task}{of_seeds}: {word}: {error}"))
    return sentences


def table(headers: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table whose cells cannot break it."""
    cells = [[_cell_text(str(cell)) for cell in row] for row in rows]
    return str(tabulate(cells, [_cell_text(header) for header in headers], "github", disable_numparse=True))


def _cell_text(text: str) -> str:
    # A bar after a backslash of the text's own: the backslash escapes the backslash, and the bar ends the cell.
    shown = one_line(text)
    return shown.replace("|", "&#124;" if "\\" in shown else "\\|")


def one_line(text: str) -> str:
    """Text of plugins and files without line breaks and control characters, and no HTML, link or picture of its own."""
    shown = visible(text).replace("](", "]\\(")  # a picture would be asked for wherever the table is shown
    return shown.replace("<", "&lt;").replace(">", "&gt;") if "<" in shown else shown


def visible(text: str) -> str:
    """Text without line breaks, control characters and marks that turn its direction."""
    return "".join(char if char.isprintable() else " " for char in text)


def as_csv(board: Leaderboard, metric: str) -> str:
    """The rows, one a line, metrics as fractions; no times. Text that a spreadsheet would compute is quoted by `'`."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = board.metrics
    first = ["method", "task", "evaluator", "seed", "pretrain_seed", "status"]
    writer.writerow([*first, *map(plain, names), "error", "protocol", "key"])
    for result in board.results:
        row = result.row
        numbers = [repr(result.metrics[name]) if name in result.metrics else "" for name in names]
        pretrain_seed = "" if row.pretrain_seed is None else row.pretrain_seed
        place = [*map(plain, (row.method, row.task, row.evaluator)), row.seed, pretrain_seed, result.status]
        writer.writerow([*place, *numbers, plain(result.error), plain(row.protocol), row.key or ""])
    return stream.getvalue()


def plain(text: str) -> str:
    """Text that a terminal prints and a spreadsheet takes for text: no formula begins with a quote."""
    shown = "\n".join(map(visible, text.split("\n")))
    return f"'{shown}" if shown.lstrip()[:1] in ("=", "+", "-", "@") and shown.strip() else shown


def as_json(board: Leaderboard, metric: str) -> str:
    """Rows and summary; metrics are fractions."""
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
        }
        for result in board.results
    ]
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
        }
        for s in board.summary
    ]
    return json.dumps({"title": board.title, "rows": rows, "summary": summary}, indent=1) + "\n"


def as_latex(board: Leaderboard, metric: str) -> str:
    """A booktabs table of `metric` over tasks."""
    from .latex import latex

    return latex(board, metric)


FORMATS = {"md": markdown, "csv": as_csv, "json": as_json, "latex": as_latex}
