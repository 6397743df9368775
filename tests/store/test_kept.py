"""Data that a store keeps next to artifacts: manifests alone, boards with their dates, lists of packages."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from reidbench.errors import StoreError
from reidbench.store.artifact import DamagedArtifact, UnreadableArtifact
from reidbench.store.artifacts import Store
from reidbench.store.manifests import sealed


def publish(store: Store, key: str, value: float = 0.5) -> bytes:
    with store.publishing(key) as (folder, manifest):
        (folder / "file").write_text("x")
        manifest |= {"metrics": {"mAP": value}, "notes": ["one was dropped"]}
    return (store.path(key) / "manifest.json").read_bytes()


@pytest.fixture
def manifest(tmp_path: Path) -> bytes:
    return publish(Store(tmp_path / "other"), "k")


def test_a_manifest_alone_can_be_read_and_is_no_artifact(tmp_path: Path, manifest: bytes) -> None:
    store = Store(tmp_path / "store")
    assert store.keep_record("k", manifest)
    assert not store.keep_record("k", sealed({"key": "k", "files": {}}))
    assert store.manifest("k").metrics == {"mAP": 0.5}
    assert store.facts("k", ("notes",)) == {"notes": ["one was dropped"]}
    artifact, found = store.with_facts("k", ("notes",))
    assert (artifact.notes, found["notes"]) == (("one was dropped",), ["one was dropped"])
    assert store.records() == {"k"}
    assert not store.has("k")
    assert store.keys() == set()
    assert store.glance("k") is None
    with pytest.raises(KeyError):
        store.read("k")


def test_no_record_without_files_is_read_as_an_artifact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep_record("k", sealed({"key": "k", "files": {}}))
    with pytest.raises(KeyError):
        store.read("k")


def test_the_artifact_goes_before_its_record_and_takes_its_place(tmp_path: Path, manifest: bytes) -> None:
    store = Store(tmp_path / "store")
    store.keep_record("k", manifest)
    publish(store, "k", 0.7)
    assert store.manifest("k").metrics == {"mAP": 0.7}
    assert store.records() == set()
    store.drop_record("k")
    assert store.read("k").metrics == {"mAP": 0.7}


@pytest.mark.parametrize("wrong", ["another key", "bytes", "text", "number", "fifo"])
def test_a_damaged_record_is_no_manifest(tmp_path: Path, manifest: bytes, wrong: str) -> None:
    store, key = Store(tmp_path / "store"), "other" if wrong == "another key" else "k"
    texts = {"bytes": manifest.replace(b"0.5", b"0.9"), "text": b"{", "number": b"3"}
    if wrong == "fifo":
        store.record_file(key).parent.mkdir(parents=True)
        os.mkfifo(store.record_file(key))
    else:
        store.keep_record(key, texts.get(wrong, manifest))
    for read in (store.manifest, lambda key: store.facts(key, ("notes",)), lambda key: store.with_facts(key, ())):
        with pytest.raises(DamagedArtifact, match="is damaged"):
            read(key)


def test_a_record_that_cannot_be_read_is_not_called_absent(tmp_path: Path, manifest: bytes) -> None:
    store = Store(tmp_path / "store")
    store.record_file("k").mkdir(parents=True)
    with pytest.raises((UnreadableArtifact, DamagedArtifact)):
        store.manifest("k")


def test_no_key_leads_out_of_the_store(tmp_path: Path) -> None:
    for key in ("../k", "a/b", "", ".", "x" * 300):
        with pytest.raises(StoreError, match="is not a valid key of an artifact"):
            Store(tmp_path / "store").keep_record(key, b"{}")
    assert not (tmp_path / "k.json").exists()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("checked", "believe me", "self-reported, re-scored, re-trained"), ("version", "1", "whole number")],
)
def test_fields_that_no_stage_writes_are_damage(tmp_path: Path, field: str, value: object, said: str) -> None:
    store = Store(tmp_path)
    store.keep_record("k", sealed({"key": "k", "files": {}, field: value}))
    with pytest.raises(DamagedArtifact, match=f"{field} is not .*{said}"):
        store.manifest("k")


def test_boards_are_kept_once_with_their_first_date(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert list(store.boards()) == []
    first, second = {"b": 1, "a": [1.5, "ü"]}, {"b": 2}
    digest = store.save_board(first, "2026-02-01T00:00:00Z")
    assert digest == hashlib.sha256(b'{"a":[1.5,"\\u00fc"],"b":1}').hexdigest()[:32]
    assert store.save_board({"a": [1.5, "ü"], "b": 1}, "2027-01-01T00:00:00Z") == digest
    store.save_board(second, "2026-01-01T00:00:00Z")
    found = list(store.boards())
    assert [one.board for one in found] == [second, first]
    assert [one.date for one in found] == ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]
    assert list(found[1].board) == ["b", "a"]  # the order of names is that of the board
    assert [one.source for one in found] == ["", ""]
    store.save_board({"from": "afar"}, "2025-01-01T00:00:00Z", source="a.zip")
    assert next(iter(store.boards())).source == "a.zip"
    store.save_board(second, "2025-06-01T00:00:00Z", source="b.zip")  # an earlier run, of another store
    assert {one.date for one in store.boards() if one.board == second} == {"2025-06-01T00:00:00Z"}
    assert store.save_board({"c": 1}) == list(store.boards())[-1].digest  # now


def test_what_is_no_board_is_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = store.save_board({"a": 1}, "2026-01-01T00:00:00Z")
    (tmp_path / "boards" / f"{'0' * 32}.json").write_text(json.dumps({"date": "x", "source": "", "board": {"a": 1}}))
    (tmp_path / "boards" / "deep.json").write_text("[" * 100_000)
    (tmp_path / "boards" / "folder.json").mkdir()
    os.mkfifo(tmp_path / "boards" / "fifo.json")
    (tmp_path / "boards" / "dangling.json").symlink_to(tmp_path / "nothing")
    (tmp_path / "boards" / ".DS_Store").write_text("x")
    assert [one.digest for one in store.boards()] == [kept]


def test_packages_are_kept_once_by_their_digest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    packages = {"torch": "2.6", "numpy": "1.26"}
    digest = store.keep_environment(packages)
    assert digest == hashlib.sha256(b"numpy==1.26\ntorch==2.6").hexdigest()[:32]
    assert store.environment(digest) == packages
    file = tmp_path / "environments" / f"{digest}.json"
    file.write_text(json.dumps({"torch": "2.7"}))
    assert store.environment(digest) is None
    assert store.environment("../../etc/passwd") is None
    assert store.environment("0" * 32) is None
