"""Pipes, sockets, devices, folders and huge files in a store's own folders block no command and break none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import reidbench.training  # noqa: F401 - before any command's time is limited: torch may take as long
from reidbench.store.artifacts import Store
from tests.fuzz.stores import FOLDERS, KINDS, Forger, names_in, put


@pytest.fixture
def forger(matrix: Callable[..., Path], tmp_path: Path) -> Forger:
    other = matrix(methods="{other: {finetune: none}}", seeds="[7]").rename(tmp_path / "other.yaml")
    forger = Forger(tmp_path, matrix(methods="{mine: {finetune: colour-histogram}}", seeds="[0]"), other)
    forger.out.mkdir()
    return forger


def run(forger: Forger, executor: str = "inline") -> None:
    assert forger.attempt(["run", str(forger.matrix), "--executor", executor]) == ""


def table(forger: Forger) -> str:
    """As CSV, the form that has every row."""
    out = forger.out / "table.csv"
    assert forger.attempt(["table", str(forger.matrix), "--format", "csv", "-o", str(out)]) == ""
    return out.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_every_folder(kind: str, forger: Forger) -> None:
    """Under the names of ours and others. Only results that are really there are in a table; the run makes the rest."""
    run(forger)
    expected, matrix = table(forger), str(forger.matrix)
    for folder in FOLDERS:
        for name in names_in(folder, forger.plan.rows[0].key or ""):
            put(forger.root / folder / name, kind)
    for words in (["plan", matrix], ["table", matrix], ["clean", matrix, "--dry-run"], ["curves", "-o", "curves"]):
        assert forger.attempt(words) == "", words
    run(forger)
    assert table(forger) == expected
    assert forger.attempt(["clean", matrix]) == ""
    assert table(forger) == expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pipe", "full folder", "device"])
def test_a_stage_is_made_whatever_has_its_names(kind: str, forger: Forger) -> None:
    """With a worker, which claims, logs and keeps checkpoints under names that something else has."""
    run(forger)
    expected = table(forger)
    shutil.rmtree(forger.root)
    for folder in ("objects", "claims", "logs", "failures", "scratch"):
        for key in forger.keys:
            put(forger.root / folder / names_in(folder, key)[0], kind)
    run(forger, "process")
    assert table(forger) == expected


def test_a_users_own_folder_is_set_aside_and_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store.claim_file("k"), "full folder")
    with store.claim("k") as mine:
        assert mine
    (kept,) = (tmp_path / "damaged").iterdir()
    assert (kept / "a user's own").read_text() == "x"


def test_a_link_under_the_name_of_the_lock_empties_no_file(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    store = Store(tmp_path / "store")
    (store.root / "claims").mkdir(parents=True)
    (store.root / "claims/.lock").symlink_to(tmp_path / "mine")
    with store.exclusively():
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_clean_removes_links_and_not_what_they_name(forger: Forger, tmp_path: Path) -> None:
    run(forger)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/x").write_text("x")
    for folder in ("tmp", "damaged", "scratch", "logs"):
        (forger.root / folder).mkdir(exist_ok=True)
        (forger.root / folder / "x-1").symlink_to(tmp_path / "mine")
    assert forger.attempt(["clean", str(forger.matrix)]) == ""
    assert (tmp_path / "mine/x").read_text() == "x"
    assert not os.path.lexists(forger.root / "damaged/x-1")
