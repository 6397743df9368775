"""Each file of each artifact truncated or with a bit flipped: reported, set aside, repaired, the table unchanged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reidbench.store.artifacts import Store

DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "flip": lambda content: (
        content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 4]) + content[len(content) // 2 + 1 :]
    ),
    "truncate": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "remove": lambda content: None,
}


def files_of(store: Store) -> list[tuple[str, str, Path]]:
    """(kind, key, file) of every file of every artifact, in a fixed order."""
    found = []
    for key in sorted(store.keys()):
        kind = store.manifest(key).manifest["stage"]["kind"]
        found += [(kind, key, file) for file in sorted(store.path(key).rglob("*")) if file.is_file()]
    return sorted(found)


def descendants(store: Store, key: str) -> set[str]:
    """Artifacts that depend on an artifact, directly or not."""
    needs = {}
    for child in store.keys():  # noqa: SIM118 - a method, not a mapping
        stage = store.manifest(child).manifest["stage"]
        needs[child] = {parent for _, parent in stage["parents"]} | {given["key"] for given in stage["data"]}
    found: set[str] = set()
    more = {key}
    while more:
        more = {child for child, parents in needs.items() if parents & (more | found)} - found
        found |= more
    return found


def checksums(store: Store, key: str) -> dict[str, Any]:
    files: dict[str, Any] = dict(store.manifest(key).manifest["files"])
    return files


def damage_and_mend(bench: Any, root: Path, key: str, file: Path, how: str, table: str) -> None:
    """Damage one file, drop what hides it, run, and compare."""
    store = Store(root)
    before = checksums(store, key)
    kept = {other: store.path(other).stat().st_ino for other in store.keys() - descendants(store, key) - {key}}
    for child in descendants(store, key):
        shutil.rmtree(store.path(child))  # a run looks at a parent only for a child that is missing
    content = DAMAGES[how](file.read_bytes())
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    notes = bench.run(root).notes
    assert [note for note in notes if str(file.parent) in note and file.name in note and "set aside" in note], notes
    (aside,) = (root / "damaged").iterdir()
    relative = file.relative_to(store.path(key))
    assert (not (aside / relative).exists()) if content is None else (aside / relative).read_bytes() == content
    shutil.rmtree(aside)
    assert checksums(store, key) == before
    assert {other: store.path(other).stat().st_ino for other in kept} == kept
    assert bench.table(root) == table


def damaged_in_turn(bench: Any, methods: str, hows: list[str], every: int) -> tuple[int, int]:
    """Damage every so manyeth file in each way; (files, damages)."""
    bench.matrix(methods)
    root = bench.folder / "store"
    bench.run(root)
    table = bench.table(root)
    assert "ok" in table
    assert "failed" not in table
    files = files_of(Store(root))[::every]
    for number, (_, key, file) in enumerate(files):
        for how in hows if every == 1 else [hows[number % len(hows)]]:
            damage_and_mend(bench, root, key, file, how, table)
    return len(files), len(files) * (len(hows) if every == 1 else 1)


@pytest.mark.slow
def test_some_files_are_damaged(bench: Any, figure: Callable[[str], None]) -> None:
    files, damages = damaged_in_turn(bench, "{toy: {finetune: faulty}}", ["flip", "truncate"], 3)
    figure(f"damage, a sample: {files} files in {damages} ways: each named, set aside, rerun, identical table")


@pytest.mark.long
def test_every_file_is_damaged_in_turn(bench: Any, figure: Callable[[str], None]) -> None:
    methods = "{toy: {finetune: faulty}, bn: {finetune: none, adapt: adabn}}"
    files, damages = damaged_in_turn(bench, methods, list(DAMAGES), 1)
    figure(
        f"damage: each of {files} files flipped, truncated, emptied and removed in turn, {damages} damages: "
        "each named, set aside, rerun, identical table"
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["flip", "truncate", "empty"])
def test_a_damaged_checkpoint_is_not_used(bench: Any, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    bench.matrix("{toy: {finetune: faulty}}")
    bench.run(bench.folder / "whole")
    bench.epochs()
    store = bench.folder / "store"
    monkeypatch.setenv("FAULTS_STOP_AT", "2")
    bench.run(store)
    assert bench.rows(store)["toy"][0] == "blocked"
    (checkpoint,) = store.glob("scratch/*/checkpoint")
    checkpoint.write_bytes(DAMAGES[how](checkpoint.read_bytes()) or b"")
    monkeypatch.delenv("FAULTS_STOP_AT")
    bench.run(store)
    assert bench.epochs() == ["0 0", "0 1", "0 2", "0 0", "0 1", "0 2"]
    assert bench.table(store) == bench.table(bench.folder / "whole")


def test_damage_of_what_serves_the_store_costs_nothing(bench: Any) -> None:
    """Claims and failure files are small files too, and may be cut short by a full disk or a lost machine."""
    bench.matrix("{toy: {finetune: faulty}}")
    store = bench.folder / "store"
    bench.run(store)
    table = bench.table(store)
    the_plan, _ = bench.plan()
    key = the_plan.rows[0].key
    shutil.rmtree(store / "objects" / key)
    for place in ("claims", "failures"):
        (store / place).mkdir(exist_ok=True)
        for number, content in enumerate(("", "{", "[]", "null", '{"host": 1}', json.dumps({"error": None}), "\xff")):
            (store / place / f"{key if number == 0 else number}.json").write_text(content, encoding="latin-1")
    (store / "tmp" / "stray").write_text("of nobody")
    assert bench.table(store) != table
    bench.run(store)
    assert bench.table(store) == table
