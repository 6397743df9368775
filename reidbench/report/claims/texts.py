"""Claims with verdicts and their rule as Markdown and JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reidbench.matrix.stage import Plan
from reidbench.report.formats.tables import one_line, table
from reidbench.report.results import Leaderboard
from reidbench.store.artifacts import Store

from .lines import headings, lines, raw
from .sentences import MEANING, TITLE, rule
from .timing import timing
from .verdicts import Claims, judge

JUDGED = "How claims are judged"
VERDICTS = ("reproduced", "refuted", "undecided")


@dataclass(frozen=True)
class Judged:
    """The claims of one matrix file with its results, and sentences about their dates."""

    board: Leaderboard
    claims: Claims
    timing: Sequence[str] = ()


def judged(board: Leaderboard, plan: Plan, store: Store) -> Judged:
    """Return the judged claims of a plan's file, from the results in a store."""
    found = judge(board, plan)
    return Judged(board, found, tuple(timing(board, found, store)))


def markdown(given: Sequence[Judged]) -> str:
    """Return the claims of each matrix file, and the meaning of verdicts."""
    return "\n".join([*(titled(one, "#") for one in given), f"# {JUDGED}\n\n{meaning()}"])


def titled(one: Judged, level: str) -> str:
    """Return the claims of one file with a heading."""
    return f"{level} {one_line(f'{TITLE} of {one.board.title}')}\n\n{block(one)}"


def meaning() -> str:
    """Return the meaning of verdicts, independent of a file's rule."""
    return "\n".join(f"- {one_line(sentence)}" for sentence in MEANING) + "\n"


def block(one: Judged) -> str:
    """Return counts of verdicts, the table, the file's rule, and warnings."""
    found = one.claims
    parts = [counted(found), table(list(headings(found)), [list(line) for line in lines(one.board, found)])]
    said = [*rule(found), *one.timing, *origins(one.board, found)]
    return "\n\n".join([*parts, "\n".join(f"- {one_line(sentence)}" for sentence in said)]) + "\n"


def counted(found: Claims) -> str:
    """Return the number of claims by verdict."""
    counts: Counter[str] = Counter(one.verdict for one in found.judged)
    total = len(found.judged)
    return f"{total} claim{'' if total == 1 else 's'}: {', '.join(f'{counts[word]} {word}' for word in VERDICTS)}."


def origins(board: Leaderboard, found: Claims) -> Iterator[str]:
    """Yield sentences about means behind claims that mix versions, sources or processors."""
    cells = {(side.row, task, side.by) for one in found.judged for side in one.claim.sides for task in one.claim.on}
    names = {f"{row} on {task} by {by}: " for row, task, by in cells}
    yield from (sentence for sentence in board.mixed if any(sentence.startswith(name) for name in names))


def as_json(given: Sequence[Judged]) -> str:
    """Return a list of files with rules and claims; values as evaluators give them."""
    content: list[dict[str, Any]] = [
        {"title": one.board.title, **raw(one.board, one.claims)}
        | {"timing": list(one.timing), "mixed": list(origins(one.board, one.claims))}
        for one in given
    ]
    return json.dumps({"files": content}, indent=1) + "\n"
