"""Claims of a recorded board; untrusted JSON is validated like claims of a matrix file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from reidbench.matrix.benchmark import Benchmark, Choice, Recipe, Task
from reidbench.matrix.claims import USUAL_RULE, Claim, ClaimRule, PublishedClaim
from reidbench.matrix.labels import evaluator_labels
from reidbench.registry.plugins import printable

from .boards import BoardRecord, ClaimRecord

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def recorded(given: Benchmark) -> dict[str, Any]:
    """Return the claims of a file and their rule as JSON; empty without claims, for older versions."""
    if not given.claims:
        return {}
    return {"claims": list(map(_record, given.claims)), "claim_rule": asdict(given.claim_rule)}


def _record(claim: Claim) -> dict[str, Any]:
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(claim).items()}
    return {name: value for name, value in values.items() if value is not None and (name, value) != ("since", "")}


def same(claim: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded claim without `why` and `since`, which may be added after its results."""
    return {name: value for name, value in claim.items() if name not in ("why", "since")}


def dates(then: Sequence[Any], run: str, *, from_pack: bool) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each claim of an unchecked board and the date of its first run; a pack contains its own dates."""
    for claim in then:
        if isinstance(claim, dict):
            date = claim.get("since") if from_pack else run
            if isinstance(date, str) and DATE.fullmatch(date):
                yield same(claim), date


def claims_of(
    board: BoardRecord, methods: Sequence[Recipe], tasks: Sequence[Task], judges: Sequence[Choice]
) -> tuple[ClaimRule, tuple[Claim, ...]]:
    """Return the rule and the claims of a board. Raises ValueError for claims that no matrix file can have."""
    rule = ClaimRule(**dict(board.claim_rule)) if board.claim_rule else USUAL_RULE
    if not (0 < rule.alpha < 0.5 and rule.effect > 0):
        raise ValueError("claim_rule has values out of range")
    labels = dict(zip(evaluator_labels(judges), judges, strict=True))
    declared = {label: set(choice.component.declared) for label, choice in labels.items()}
    by_task = {task.name: set(task.judges or declared) for task in tasks}
    rows = {recipe.name for recipe in methods}
    for number, claim in enumerate(board.claims):
        for fault in _faults(claim, rows, by_task, declared):
            raise ValueError(f"claims.{number}: {fault}")
    if len({claim.say for claim in board.claims}) < len(board.claims):
        raise ValueError("two claims have the same `say`")
    return rule, tuple(map(_claim, board.claims))


def _faults(
    claim: ClaimRecord, rows: set[str], by_task: Mapping[str, set[str]], declared: Mapping[str, set[str]]
) -> Iterator[str]:
    """Yield the errors of a claim."""
    count, kind = len(claim.rows), claim.kind
    judges = [claim.by] * count if isinstance(claim.by, str) else claim.by
    sides = set(zip(claim.rows, judges, strict=False))
    if not rows.issuperset(claim.rows) or len(sides) < count or count < 2 or (kind == "better" and count > 2):
        yield "its rows are unknown, repeated, or of the wrong number"
    elif len(judges) > count:
        yield "it has more evaluators than rows"
    if not claim.on or len(set(claim.on)) < len(claim.on) or not by_task.keys() >= set(claim.on):
        yield "its tasks are missing, repeated or unknown"
    else:
        for by in dict.fromkeys(judges):
            if claim.metric not in declared.get(by, ()) or any(by not in by_task[task] for task in claim.on):
                yield f"{by} does not evaluate its tasks by {claim.metric}"
    if claim.margin < 0 or claim.effect <= 0 or (kind == "equal" and not claim.margin):
        yield "its margin or effect is out of range"


def _claim(given: ClaimRecord) -> Claim:
    said = given.published
    published = PublishedClaim(printable(said.text), said.effect) if said else None
    numbers = given.margin, given.effect
    by = given.by if isinstance(given.by, str) else tuple(given.by)
    names = tuple(given.rows), given.metric, by, tuple(given.on)
    words = printable(given.why), given.since
    return Claim(printable(given.say), given.kind, *names, *numbers, published, *words)
