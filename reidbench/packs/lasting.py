"""Boards recorded by runs: tables without the plugins, and results that a file no longer has."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reidbench.errors import ConfigError, ReidbenchError, StoreError
from reidbench.matrix.benchmark import Benchmark, Choice
from reidbench.matrix.labels import evaluator_labels
from reidbench.matrix.reading.expect import parts_of
from reidbench.matrix.stage import Plan, Row
from reidbench.registry.plugins import printable
from reidbench.report.formats.history import Past
from reidbench.report.results import Result, collect
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store
from reidbench.store.kept import KeptBoard
from reidbench.store.several import joined

from . import claims
from .recorded import record, recorded_plan

DAY = len("2026-01-31")
MOST_CHANGES = 6  # number of changes named for one row
Note = Callable[[str], None]


def set_words(overrides: Sequence[str] | None) -> list[str]:
    """Return overrides as `--set` arguments, the form that boards record."""
    return [word for override in overrides or () for word in ("--set", override)]


def record_run(plan: Plan, store: Store, overrides: Sequence[str] | None) -> str:
    """Record the board of a starting run. Return the reason if that fails, or "": the run continues anyway."""
    try:
        store.save_board(record(plan, set_words(overrides)))
    except StoreError as error:
        return f"the board was not recorded: {error}"
    return ""


def dated(plan: Plan, store: Store) -> Plan:
    """Return the plan with the date of the first recorded run of each claim with the current claim and rule.

    A run with more claims does not count: Holm's correction depends on their number, so removing some changes the rule.
    """
    given = plan.benchmark
    if not given.claims or all(claim.since for claim in given.claims):
        return plan
    now = claims.recorded(given)
    found: dict[str, list[str]] = {}
    for one in of_file(store, given.file.name, given.title):
        then = one.board.get("claims")
        if one.board.get("claim_rule") != now["claim_rule"] or not isinstance(then, list):
            continue
        if len(then) <= len(now["claims"]):
            for claim, date in claims.dates(then, one.date, from_pack=bool(one.source)):
                if claim in map(claims.same, now["claims"]):
                    found.setdefault(claim["say"], []).append(date)
    claimed = (replace(claim, since=claim.since or min(found.get(claim.say, [""]))) for claim in given.claims)
    return replace(plan, benchmark=replace(given, claims=tuple(claimed)))


# ---------------------------------------------------------------------- without the plugins
def board_instead(error: ConfigError, file: Path, overrides: Sequence[str] | None, store: Store) -> tuple[Plan, str]:
    """Return the plan of the newest board of the same file if a plugin is missing, and a sentence about it.

    Raises the error if no component is missing, and adds a hint if the store has no such board.
    """
    if not error.unknown:
        raise error
    digest, words = hashlib.sha256(file.read_bytes()).hexdigest(), set_words(overrides)
    found: KeptBoard | None = None
    for one in store.boards():
        same = one.board.get("sha256") == digest and one.board.get("arguments") == words
        if same and (found is None or found.source or not one.source):  # prefer this store's own runs
            found = one
    if found is None:
        hint = (
            f"reidbench: {joined(store)} has no recorded board of this file{' and --set' if words else ''} to use "
            "without the plugin: install the plugin, or name the --store of the run"
        )
        raise ConfigError([*error.problems, hint], error.unknown) from None
    plan = recorded_plan(found.board, file)
    gone = " and ".join(error.unknown)
    when = f" on {found.date[:DAY]}" if found.date else ""
    source = f" in {found.source}" if found.source else ""
    return plan, printable(f"not installed: {gone}; using the board recorded{when}{source}")


# ---------------------------------------------------------------------- history
def of_file(store: Store, file: str, title: str) -> Iterator[KeptBoard]:
    """Yield the boards of a matrix file, by name or title, oldest first."""
    for one in store.boards():
        if one.board.get("name") == file or one.board.get("title") == title:
            yield one


@dataclass(frozen=True)
class Kept:
    """Contents that `clean` keeps because of boards: results of earlier versions, and the keys of manifests to keep.

    `boards` are the digests of boards to remove with the history.
    """

    results: frozenset[str]
    named: frozenset[str]
    boards: tuple[str, ...]


def kept(store: Store, plans: Sequence[Plan], forget: bool) -> Kept:
    """Return what the recorded boards of a store keep when `clean` removes everything that these plans do not need.

    Boards keep results of earlier versions of the plans' files, and manifests of all stages that they name. `forget`
    removes boards of these files with results that the plans no longer have.
    """
    present = {row.key for plan in plans for row in plan.rows}
    names, titles = {plan.benchmark.file.name for plan in plans}, {plan.benchmark.title for plan in plans}
    results: set[str] = set()
    named: set[str] = set()
    gone = []
    for one in store.boards():
        earlier = ends(one.board) - present
        own = one.board.get("name") in names or one.board.get("title") in titles
        if own and earlier and forget:
            gone.append(one.digest)
            continue
        named |= stages(one.board)
        results |= earlier if own else set()
    return Kept(frozenset(results), frozenset(named), tuple(gone))


def ends(board: Mapping[str, Any]) -> set[str]:
    """Return the keys of the results of a board (unchecked JSON)."""
    rows = board.get("rows")
    keys = [row.get("key") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return {key for key in keys if isinstance(key, str)}


def stages(board: Mapping[str, Any]) -> set[str]:
    """Return the keys of all stages of a board (unchecked JSON)."""
    given = board.get("stages")
    keys = [stage.get("key") for stage in given if isinstance(stage, dict)] if isinstance(given, list) else []
    return {key for key in keys if isinstance(key, str)}


def history(plan: Plan, store: Store, note: Note, score: bool = False) -> list[Past]:
    """Return the cells of earlier versions of a plan's file with results in the store that the plan no longer has.

    If the results of one cell include those of another (when seeds were added), only the larger is returned. `note` is
    called for boards that cannot be read; `score` is that of `report.collect`.
    """
    present = {row.key for row in plan.rows}
    found: dict[tuple[str, str, str], dict[frozenset[str], Past]] = {}
    for one in of_file(store, plan.benchmark.file.name, plan.benchmark.title):
        if not ends(one.board) - present:
            continue
        try:
            before = recorded_plan(one.board)
        except ReidbenchError as error:
            note(f"board {one.digest} in {joined(store)} is skipped in the history: {error}")
            continue
        for past in _past(before, plan, store, present, score):
            keys = frozenset(result.row.key or "" for result in past.results)
            found.setdefault((past.method, past.task, past.evaluator), {})[keys] = past
    return [past for several in found.values() for past in _largest(several)]


def _largest(several: Mapping[frozenset[str], Past]) -> Iterator[Past]:
    """Yield cells whose results are not a subset of another's, oldest first."""
    kept = [past for keys, past in several.items() if not any(keys < other for other in several)]
    yield from sorted(kept, key=lambda past: past.made)


def _past(before: Plan, plan: Plan, store: Store, present: set[str | None], score: bool) -> Iterator[Past]:
    gone = [row for row in before.rows if row.key and row.key not in present]
    board = collect(before.only(gone), store, score=score)
    cells: dict[tuple[str, str, str], list[Result]] = {}
    for result in board.results:
        if result.status == "ok":
            cells.setdefault(result.row.cell, []).append(result)
    for (method, task, evaluator), results in cells.items():
        changed = tuple(_changes(before, plan, results[0].row))
        yield Past(
            method,
            task,
            evaluator,
            changed,
            _made(store, results),
            tuple(results),
            board.summarised(method, task, evaluator),
            board.declarations(evaluator),
        )


def _made(store: Store, results: Sequence[Result]) -> tuple[str, str]:
    days = []
    for result in results:
        try:
            started = store.manifest(result.row.key or "").manifest.get("started", "")
        except (KeyError, BadArtifact):
            continue
        days += [str(started)[:DAY]] if started else []
    return (min(days), max(days)) if days else ("", "")


# ---------------------------------------------------------------------- changes
def _changes(before: Plan, plan: Plan, row: Row) -> Iterator[str]:
    """Yield the differences between an earlier row and the current cell: versions, otherwise parameters."""
    old, new = _used(before.benchmark, row), _used(plan.benchmark, row)
    versions = list(_versions(old, new))
    settings = [] if versions else list(_settings(old, new))
    changes = versions or settings or ["other data or settings"]
    yield from changes[:MOST_CHANGES]
    if len(changes) > MOST_CHANGES:
        yield f"and {len(changes) - MOST_CHANGES} more"


def _used(benchmark: Benchmark, row: Row) -> dict[tuple[str, str, int], Choice] | None:
    """Return the choices behind a row by kind, name and number; None if the file lacks its method or task."""
    recipes = {recipe.name: recipe for recipe in benchmark.methods}
    tasks = {task.name: task for task in benchmark.tasks}
    if row.method not in recipes or row.task not in tasks:
        return None
    task = tasks[row.task]
    refs = [ref for role in ("source", "target", "pool", "auxiliary") for ref in task.refs(role)]
    judges = zip(evaluator_labels(benchmark.evaluate), benchmark.evaluate, strict=True)
    choices = [benchmark.data[ref.name].choice for ref in refs]
    choices += [choice for label, choice in judges if label == row.evaluator]
    for part in parts_of(recipes[row.method], recipes):
        choices += [part.backbone] if part.backbone else []
        choices += [one for _, choice in part.steps for one in choice.parts()]
    found: dict[tuple[str, str, int], Choice] = {}
    for choice in {id(choice): choice for choice in choices}.values():
        number = sum(place[:2] == (choice.kind, choice.name) for place in found)
        found[choice.kind, choice.name, number] = choice
    return found


Used = Mapping[tuple[str, str, int], Choice]


def _versions(old: Used | None, new: Used | None) -> Iterator[str]:
    """Yield components with a different version, and components that the row no longer uses."""
    now = {place[:2]: choice.component.version for place, choice in (new or {}).items()}
    for (kind, name), version in {place[:2]: one.component.version for place, one in (old or {}).items()}.items():
        if (kind, name) not in now and new is not None:
            yield f"{kind} {name} version {version} (no longer used)"
        elif now.get((kind, name), version) != version:
            yield f"{kind} {name} version {version} (now {now[kind, name]})"


def _settings(old: Used | None, new: Used | None) -> Iterator[str]:
    """Yield parameters with other values, or that the file no longer has the method or the task."""
    if new is None:
        yield "no longer in the file"
        return
    for place, choice in (old or {}).items():
        now = new[place].resolved if place in new else {}
        for name, value in choice.resolved.items():
            if name in now and now[name] != value:
                yield f"{place[1]} {name}={value} (now {now[name]})"
