"""Compare the cells in `expect:` with published numbers: measured value, difference, rules that differ.

A cell that was not run is listed with its published number alone. Nothing is ranked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reidbench.components import Published
from reidbench.matrix.benchmark import Choice, Expected
from reidbench.matrix.labels import judges_of
from reidbench.matrix.reading.expect import parts_of, published_task
from reidbench.matrix.stage import Plan
from reidbench.registry.published import DISTANCE
from reidbench.report.results import Leaderboard, Result, Summary
from reidbench.report.units import is_percent

from .published import ap_rule, from_stand_ins, ranking_rule, transductive, words_apart

RERANKED = re.compile(r"(?<!not )\bre-rank")  # in published rows and notes, and at the start of evaluators' words
SIZE = re.compile(r"\b\d+x\d+\b")
ON_TEST = "on test data"  # in a note on the published epoch


@dataclass(frozen=True)
class Held:
    """One metric of a cell and its published number, both in the evaluator's own values.

    `summary` is None if nothing was measured; `rules` are sentences on differences that make the numbers incomparable.
    """

    cell: Expected
    number: Published
    evaluator: str
    results: Sequence[Result]
    summary: Summary | None
    rules: tuple[str, ...]

    @property
    def difference(self) -> float | None:
        """Measured mean minus published number."""
        return None if self.summary is None else self.summary.mean - self.number.value


def held(board: Leaderboard, plan: Plan) -> list[Held]:
    """Return all numbers that the file expects, cell by cell in file order."""
    benchmark = plan.benchmark
    methods = {recipe.name: recipe for recipe in benchmark.methods}
    tasks = {task.name: task for task in benchmark.tasks}
    found = []
    for cell in benchmark.expect:
        task = tasks[cell.task]
        parts = parts_of(methods[cell.method], methods)
        here = published_task(benchmark.data, parts, task)
        sizes = _test_sizes(board, plan, cell)
        apart = [*transductive(parts, task), *from_stand_ins(benchmark, task)]
        judges = {label: choice for choice, label in judges_of(benchmark, task)}
        rules = {
            name: {number: (*_rules(number, judge, here, sizes), *apart) for number in cell.numbers}
            for name, judge in judges.items()
        }
        words = {name: _count_apart(cell.numbers, judge) for name, judge in judges.items()}
        evaluator = _nearest(board, cell, rules, words)
        numbers = sorted(cell.numbers, key=lambda number: number.metric != "mAP")  # mAP first, as in `show`
        found += [_held(board, cell, number, evaluator, rules[evaluator][number]) for number in numbers]
    return found


def _test_sizes(board: Leaderboard, plan: Plan, cell: Expected) -> list[str]:
    """Return sizes of test images such as 256x128: several for an ensemble, none for a cell that cannot be run."""
    keys = (r.row.key for evaluator in board.evaluators for r in board.cell(cell.method, cell.task, evaluator))
    key = next(filter(None, keys), None)
    embedded = [plan.stages[parent] for _, parent in plan.stages[key].parents] if key else []
    return list(dict.fromkeys("x".join(map(str, stage.image_size)) for stage in embedded))


def _nearest(
    board: Leaderboard, cell: Expected, rules: dict[str, dict[Published, tuple[str, ...]]], words: Mapping[str, int]
) -> str:
    """Return the evaluator with most of the cell's metrics, then the fewest rules that differ.

    Remaining ties are resolved by the number of ranking words that differ, then by file order.
    """

    def distance(evaluator: str) -> tuple[int, int, int]:
        lacking = sum(evaluator not in board.giving(number.metric) for number in cell.numbers)
        return lacking, sum(map(len, rules[evaluator].values())), words[evaluator]

    return min(rules, key=distance)


def _held(board: Leaderboard, cell: Expected, number: Published, evaluator: str, rules: tuple[str, ...]) -> Held:
    summary = board.summarised(cell.method, cell.task, evaluator).get(number.metric)
    known = board.metric(evaluator, number.metric)
    if is_percent(known) == number.metric.startswith(DISTANCE):  # compare fractions with fractions only
        summary = None
    return Held(cell, number, evaluator, board.cell(cell.method, cell.task, evaluator), summary, rules)


# ---------------------------------------------------------------------- rules
def _rules(number: Published, judge: Choice, here: str, sizes: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each known or possible difference from the published number."""
    if number.metric == "mAP":
        yield from ap_rule(number.ap, judge)
    yield from ranking_rule(*_ranking(number, judge))
    if number.task != here:
        yield f"other data: published {number.task}, measured here {here}"
    published = SIZE.findall(number.row)
    if published and not set(sizes) <= set(published):
        yield f"other image size: published {', '.join(published)}, measured here {', '.join(sizes)}"
    yield from _noted(number)


def _ranking(number: Published, judge: Choice) -> tuple[list[str], list[str]]:
    """Return ranking words that only the published number has, and those that only the evaluator has.

    Re-ranking in a row's name or note, but not in its rules, matches any re-ranking.
    """
    published, measured = words_apart(number, judge)
    if any(map(RERANKED.match, number.rules)) or not RERANKED.search(f"{number.row}; {number.note}"):
        return published, measured
    plain = [word for word in measured if not RERANKED.match(word)]
    return (published if len(plain) < len(measured) else ["re-ranking", *published]), plain


def _count_apart(numbers: Sequence[Published], judge: Choice) -> int:
    return sum(len(words) for number in numbers for words in _ranking(number, judge))


def _noted(number: Published) -> Iterator[str]:
    """Yield sentences on the note (without re-ranking), and on numbers that no row compares with."""
    parts = [part for part in number.note.split("; ") if part and not part.startswith(("re-ranked", "not re-ranked"))]
    chosen = [part for part in parts if ON_TEST in part]
    if chosen:
        yield f"other epoch choice: published {', '.join(chosen)}, measured here without test labels"
    rest = [part for part in parts if part not in chosen]
    if rest:
        yield f"the published row: {'; '.join(rest)}"
    if not number.beside:
        yield "the published row: its component declares that no row compares with it"
