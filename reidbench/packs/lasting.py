"""The boards that runs have left in a store: tables without the plugins, and results that a file no longer has."""

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
MOST_CHANGES = 6  # named of one row
Note = Callable[[str], None]


def set_words(overrides: Sequence[str] | None) -> list[str]:
    """What `--set` changed, in the words of a command line, as boards have it."""
    return [word for override in overrides or () for word in ("--set", override)]


def record_run(plan: Plan, store: Store, overrides: Sequence[str] | None) -> str:
    """Keep the board of a run that begins. Why it was not kept, or "": a store that cannot be written costs no run."""
    try:
        store.save_board(record(plan, set_words(overrides)))
    except StoreError as error:
        return f"the board is not recorded: {error}"
    return ""


def dated(plan: Plan, store: Store) -> Plan:
    """The plan, each claim with the beginning of the first run in a store that had it, and the rule, as they are."""
    given = plan.benchmark
    if not given.claims or all(claim.since for claim in given.claims):
        return plan
    now = claims.recorded(given)
    found: dict[str, list[str]] = {}
    for one in of_file(store, given.file.name, given.title):
        then = one.board.get("claims")
        if one.board.get("claim_rule") == now["claim_rule"] and isinstance(then, list):
            for claim, date in claims.dates(then, one.date, from_pack=bool(one.source)):
                if claim in map(claims.same, now["claims"]):
                    found.setdefault(claim["say"], []).append(date)
    claimed = (replace(claim, since=claim.since or min(found.get(claim.say, [""]))) for claim in given.claims)
    return replace(plan, benchmark=replace(given, claims=tuple(claimed)))


# ---------------------------------------------------------------------- without the plugins
def board_instead(error: ConfigError, file: Path, overrides: Sequence[str] | None, store: Store) -> tuple[Plan, str]:
    """The plan of the newest board of this very file, where a plugin is gone, and a sentence that says so.

    Raises the error where no component is missing, and with a hint where the store has no such board.
    """
    if not error.unknown:
        raise error
    digest, words = hashlib.sha256(file.read_bytes()).hexdigest(), set_words(overrides)
    found: KeptBoard | None = None
    for one in store.boards():
        same = one.board.get("sha256") == digest and one.board.get("arguments") == words
        if same and (found is None or found.source or not one.source):  # of this store's own runs where there is one
            found = one
    if found is None:
        hint = (
            f"reidbench: {joined(store)} has no board of this very file{' and --set' if words else ''}, from which a "
            "table can be made without the plugin: install it, or name the --store in which the file was run"
        )
        raise ConfigError([*error.problems, hint], error.unknown) from None
    plan = recorded_plan(found.board, file)
    gone = " and ".join(error.unknown)
    when = f" on {found.date[:DAY]}" if found.date else ""
    source = f", and which came with {found.source}" if found.source else ""
    return plan, printable(f"not installed: {gone}; the table is made from the board that was recorded{when}{source}")


# ---------------------------------------------------------------------- history
def of_file(store: Store, file: str, title: str) -> Iterator[KeptBoard]:
    """The boards of a matrix file, by its name or its title, oldest first."""
    for one in store.boards():
        if one.board.get("name") == file or one.board.get("title") == title:
            yield one


@dataclass(frozen=True)
class Kept:
    """What boards keep from `clean`: the results of earlier states, and the keys whose manifests stay.

    `boards` are the digests of the boards that go, where the history is to go.
    """

    results: frozenset[str]
    named: frozenset[str]
    boards: tuple[str, ...]


def kept(store: Store, plans: Sequence[Plan], forget: bool) -> Kept:
    """What the recorded boards of a store keep when all goes that these plans do not need.

    That is the results of earlier states of the plans' files, and the manifests of whatever any board names. With
    `forget` boards of these files with results that the plans no longer have go, and keep nothing.
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
    """The keys of the results of a board, of JSON that nobody has checked."""
    rows = board.get("rows")
    keys = [row.get("key") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return {key for key in keys if isinstance(key, str)}


def stages(board: Mapping[str, Any]) -> set[str]:
    """The keys of all stages of a board, of JSON that nobody has checked."""
    given = board.get("stages")
    keys = [stage.get("key") for stage in given if isinstance(stage, dict)] if isinstance(given, list) else []
    return {key for key in keys if isinstance(key, str)}


def history(plan: Plan, store: Store, note: Note) -> list[Past]:
    """The cells of earlier states of a plan's file with results in the store, which the plan no longer has.

    Results of one cell that differ in nothing but their number, as when seeds were added, are shown once. `note` gets
    the boards that cannot be read.
    """
    present = {row.key for row in plan.rows}
    found: dict[tuple[str, str, str], dict[frozenset[str], Past]] = {}
    for one in of_file(store, plan.benchmark.file.name, plan.benchmark.title):
        if not ends(one.board) - present:
            continue
        try:
            before = recorded_plan(one.board)
        except ReidbenchError as error:
            note(f"board {one.digest} in {joined(store)} is left out of the history: {error}")
            continue
        for past in _past(before, plan, store, present):
            keys = frozenset(result.row.key or "" for result in past.results)
            found.setdefault((past.method, past.task, past.evaluator), {})[keys] = past
    return [past for several in found.values() for past in _largest(several)]


def _largest(several: Mapping[frozenset[str], Past]) -> Iterator[Past]:
    """Those of which no other has all results and more; oldest first."""
    kept = [past for keys, past in several.items() if not any(keys < other for other in several)]
    yield from sorted(kept, key=lambda past: past.made)


def _past(before: Plan, plan: Plan, store: Store, present: set[str | None]) -> Iterator[Past]:
    gone = [row for row in before.rows if row.key and row.key not in present]
    board = collect(before.only(gone), store)
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


# ---------------------------------------------------------------------- what has changed
def _changes(before: Plan, plan: Plan, row: Row) -> Iterator[str]:
    """What makes the keys of a row others than those of its cell now: versions, or else parameters."""
    old, new = _used(before.benchmark, row), _used(plan.benchmark, row)
    versions = list(_versions(old, new))
    settings = [] if versions else list(_settings(old, new))
    changes = versions or settings or ["other data or settings"]
    yield from changes[:MOST_CHANGES]
    if len(changes) > MOST_CHANGES:
        yield f"and {len(changes) - MOST_CHANGES} more"


def _used(benchmark: Benchmark, row: Row) -> dict[tuple[str, str, int], Choice] | None:
    """The choices behind a row by kind, name and number; None where the file has no such method, task or evaluator."""
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
    """Components that had another version; a component that the row no longer has, with its own."""
    now = {place[:2]: choice.component.version for place, choice in (new or {}).items()}
    for (kind, name), version in {place[:2]: one.component.version for place, one in (old or {}).items()}.items():
        if (kind, name) not in now and new is not None:
            yield f"{kind} {name} version {version} (no longer used)"
        elif now.get((kind, name), version) != version:
            yield f"{kind} {name} version {version} (now {now[kind, name]})"


def _settings(old: Used | None, new: Used | None) -> Iterator[str]:
    """Parameters that had other values; that the file no longer has the method or the task."""
    if new is None:
        yield "no longer in the file"
        return
    for place, choice in (old or {}).items():
        now = new[place].resolved if place in new else {}
        for name, value in choice.resolved.items():
            if name in now and now[name] != value:
                yield f"{place[1]} {name}={value} (now {now[name]})"
