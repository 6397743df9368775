"""Check that a pack is consistent, and that it matches the plan of its matrix file here."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.matrix import plan
from reidbench.matrix.keys import Keys
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan, Row, Stage
from reidbench.packs.recorded import record
from reidbench.registry.plugins import Registry, printable
from reidbench.tuning.claims import as_claimed

from .components import check_components, without_notes
from .findings import Findings, PackContents, row_words
from .owndata import choice_of, written_roots

# Fields that manifest and board must share. The label is excluded: it depends on the order of methods.
SAME = (
    "key",
    "kind",
    "use",
    "parents",
    "data",
    "backbone",
    "image_size",
    "pictures",
    "seed",
    "few",
    "content",
    "params",
)

# Fields of the board about the whole file.
FILE_FIELDS = (
    "title",
    "seeds",
    "pretrain_seeds",
    "prepare_seed",
    "tasks",
    "expect",
    "threads",
    "precision",
    "claims",
    "claim_rule",
)

UNTITLED = "untitled"  # stem of the copy of a pack's matrix file


def check_manifests(pack: PackContents, the_plan: Plan, findings: Findings) -> None:
    """Compare the manifest of each stage with the board: parents, parameters, settings. Note claimed checks."""
    if pack.board["text"] != pack.text:
        findings.mismatch("the matrix file of the pack differs from the one in its board")
    said: Counter[str] = Counter()
    for key, manifest in pack.manifests.items():
        stage = the_plan.stages.get(key)
        if stage is None:
            findings.mismatch(f"the pack has a manifest of {key}, which is not a stage of its board", key)
            continue
        if wrong := list(_differences(stage, manifest, the_plan)):
            findings.mismatch(f"{stage.label}: the manifest and the board differ in {', '.join(wrong)}", key)
        if "checked" in manifest:
            said[manifest["checked"]] += 1
    for word, count in said.items():
        findings.note(f"the pack labels {count} of its results {word}; this is ignored")


def _differences(stage: Stage, manifest: Mapping[str, Any], the_plan: Plan) -> Iterator[str]:
    board = json.loads(json.dumps(asdict(stage)))
    claimed = manifest.get("stage", {})
    yield from (name for name in SAME if name in claimed and claimed[name] != board[name])
    yield from (name for name in ("key", "kind", "use", "parents", "params") if name not in claimed)
    settings = manifest.get("settings", {})
    given = {"threads": the_plan.benchmark.threads, "precision": the_plan.benchmark.precision}
    yield from (name for name, value in given.items() if settings.get(name, value) != value)


def check_keys(the_plan: Plan, registry: Registry, findings: Findings) -> None:
    """Recompute the keys of all embeddings and evaluations from the board."""
    keys = Keys(the_plan.benchmark)
    for key, stage in the_plan.stages.items():
        if stage.kind not in ("embed", "evaluate") or stage.files:
            continue
        try:
            choice = choice_of("evaluator", stage, registry) if stage.kind == "evaluate" else None
        except ReidbenchError as error:
            findings.note(f"{stage.label}: its key was not recomputed: {error}")
            continue
        settings = {} if choice else stage.params
        found = keys.of_stage(
            stage.kind, choice, stage.parents, stage.data, None, stage.seed, stage.size, settings
        )  # fmt: skip
        if found != key:
            findings.mismatch(
                f"{stage.label}: its key does not match its contents with the versions installed here", key
            )


# ---------------------------------------------------------------------- the matrix file, planned again
def planned_again(pack: PackContents, roots: Mapping[str, Path], registry: Registry, findings: Findings) -> Plan | None:
    """Return the plan of the pack's matrix file with local plugins and data; None, with a note, if that fails."""
    try:
        found = _expanded(pack, roots, registry, findings)
    except ReidbenchError as error:
        findings.note(f"not planned again: {_missing(pack, registry) or str(error).splitlines()[0]}")
        return None
    _compare(pack, found, findings)
    return found


def _expanded(pack: PackContents, roots: Mapping[str, Path], registry: Registry, findings: Findings) -> Plan:
    """Expand the plan. Raises ReidbenchError also for a submitter's root: no local folder is read because of a pack."""
    if unknown := sorted(written_roots(pack.text).keys() - roots.keys()):
        raise ReidbenchError(
            f"name the folder (or the CSV file) of {shown(unknown[0])} with --root {shown(unknown[0])}=PATH"
        )
    with tempfile.TemporaryDirectory(prefix="reidbench-") as folder:
        file = Path(folder) / f"{UNTITLED}.yaml"
        file.write_text(pack.text, encoding="utf-8")
        given = [f"data.{name}.root={json.dumps(str(root.absolute()))}" for name, root in roots.items()]
        try:
            benchmark = reader.read(file, registry, [*_overrides(pack.board["arguments"]), *given])
        except ReidbenchError as error:
            raise ReidbenchError(str(error).replace(f"{folder}{os.sep}", "")) from None
    claimed = {one["name"]: one["tuned"] for one in pack.board["methods"] if one.get("tuned")}
    for row in claimed:
        findings.note(f"{row}: a search chose its values; its trials are not in the pack and not checked")
    return plan.expand(as_claimed(benchmark, claimed))


def _overrides(arguments: Sequence[str]) -> list[str]:
    """Return the values of `--set` in a command line."""
    words = list(arguments)
    after = [words[place + 1] for place, word in enumerate(words[:-1]) if word == "--set"]
    return after + [word.removeprefix("--set=") for word in words if word.startswith("--set=")]


def _missing(pack: PackContents, registry: Registry) -> str:
    """Return a sentence about components of the board that are not installed, or ""."""
    missing = [
        f"{one['kind']} {one['name']}"
        for one in pack.board["components"]
        if (one["kind"], one["name"]) not in registry.components
    ]
    verb = "is" if len(missing) == 1 else "are"
    return f"{', '.join(missing)} {verb} not installed" if missing else ""


def _compare(pack: PackContents, found: Plan, findings: Findings) -> None:
    """Report rows that are not planned or planned differently, and other differences between board and plan."""
    board = pack.board
    again = json.loads(json.dumps(record(found)))
    if again["title"] == UNTITLED:  # a file without a title is called by its name, which the copy does not have
        again["title"] = printable(Path(board["name"]).stem)
    claimed: dict[tuple[Any, ...], Mapping[str, Any]] = {_place(row): row for row in board["rows"]}
    own = {_place(row): row for row in again["rows"]}
    reworded = []
    for place, row in claimed.items():
        if wrong := _otherwise(row, own.get(place)):
            findings.mismatch(f"{_row_words(row)}: {wrong}", *([row["key"]] if row["key"] else []))
        elif row["reason"] != own[place]["reason"]:
            reworded.append(row)
    if reworded:
        count = f"{len(reworded)} missing result{'' if len(reworded) == 1 else 's'}"
        findings.note(f"the reasons of {count} are worded differently here, first {_row_words(reworded[0])}")
    if left_out := [row for place, row in own.items() if place not in claimed]:
        count = f"{len(left_out)} result{'' if len(left_out) == 1 else 's'} that the matrix file plans"
        findings.note(f"the pack leaves out {count}, first {_row_words(left_out[0])}")
    if len(claimed) < len(board["rows"]):
        findings.mismatch("the board has duplicate results")
    for what in FILE_FIELDS:
        theirs, mine = (_said(one, what) for one in (board, again))
        if theirs != mine:
            findings.mismatch(f"the board's {what} {'differ' if what.endswith('s') else 'differs'} from its file")
    check_components(board["components"], again["components"], findings)


def _said(board: Mapping[str, Any], what: str) -> Any:
    """A field of a board, without what its file does not have: dates of claims, and plugins' notes on numbers."""
    found = board.get(what)
    if what == "claims" and found:
        return [{**claim, "since": ""} for claim in found]
    if what == "expect":
        return [{**cell, "numbers": without_notes(cell["numbers"])} for cell in found or ()]
    return found


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("method", "task", "evaluator", "seed", "pretrain_seed"))


def _row_words(row: Mapping[str, Any]) -> str:
    method, task, evaluator, seed, pretrain_seed = _place(row)
    return row_words(Row(method, task, evaluator, seed, pretrain_seed, row["key"]))


def _otherwise(theirs: Mapping[str, Any], mine: Mapping[str, Any] | None) -> str:
    """Return the difference from the row planned here, or ""; profiles depend on the machine and are not compared."""
    if mine is None:
        return "the matrix file does not plan this result"
    names = dict.fromkeys((*mine, "lacks"))  # a row has `lacks` only where it is not the default
    wrong = [name for name in names if mine.get(name) != theirs.get(name) and name not in ("profiles", "reason")]
    if bool(mine["reason"]) != bool(theirs["reason"]):
        wrong.append("reason")
    return f"planned here with a different {', '.join(wrong)}" if wrong else ""


def drawable(again: Plan, the_plan: Plan) -> list[Row]:
    """Return the rows that can be retrained: planned here with the same key."""
    planned = {row.key for row in again.rows if row.key}
    return [row for row in the_plan.rows if row.key in planned]
