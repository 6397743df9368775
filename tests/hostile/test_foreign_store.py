"""A store that somebody else made: whole by its own checksums, and not to be trusted for that."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from reidbench.store import DamagedArtifact, Store

SECRET = b"not for you"


def foreign(root: Path, files: Any, **more: Any) -> Store:
    """An artifact whose manifest agrees with itself, whatever it says."""
    folder = root / "objects" / "k"
    folder.mkdir(parents=True)
    manifest = {"key": "k", "files": files, "metrics": {}, **more}
    text = json.dumps(manifest, sort_keys=True)
    (folder / "manifest.json").write_text(
        json.dumps({**manifest, "checksum": hashlib.sha256(text.encode()).hexdigest()})
    )
    return Store(root)


@pytest.mark.parametrize("name", ["../../../secret", "/secret", "a/../../../../secret", "ABSOLUTE", "..", "", "a\0b"])
def test_files_outside_an_artifact_are_not_even_looked_at(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading one would tell, by its checksum, whether a file of this disk is what a stranger guesses."""
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    entry = {"sha256": hashlib.sha256(SECRET).hexdigest(), "size": len(SECRET)}
    store = foreign(tmp_path / "store", {str(secret) if name == "ABSOLUTE" else name: entry})
    looked: list[Path] = []
    monkeypatch.setattr("reidbench.store.fingerprint_content", lambda file: looked.append(file) or entry["sha256"])
    with pytest.raises(DamagedArtifact, match="damaged"):
        store.read("k")
    assert looked == []


@pytest.mark.parametrize("files", [[], "x", None, 3, {"a": None}, {"a": {}}, {"a": [1]}, {"a": {"size": 0}}])
def test_lists_of_files_that_are_none(files: Any, tmp_path: Path) -> None:
    store = foreign(tmp_path / "store", files)
    (store.path("k") / "a").touch()
    with pytest.raises(DamagedArtifact):
        store.read("k")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"null", b"1e999"])
def test_manifests_that_are_none(content: bytes, tmp_path: Path) -> None:
    store = foreign(tmp_path / "store", {})
    store.read("k")
    (store.path("k") / "manifest.json").write_bytes(content)
    with pytest.raises(DamagedArtifact):
        store.read("k")


def test_a_link_to_another_file_is_read_only_if_it_is_what_was_published(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    store = foreign(tmp_path / "store", {"a": {"sha256": "0" * 64, "size": len(SECRET)}})
    (store.path("k") / "a").symlink_to(tmp_path / "secret")
    with pytest.raises(DamagedArtifact, match="not the bytes that were published"):
        store.read("k")


def test_a_place_that_is_no_folder_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeyError):
        Store(tmp_path / "file").manifest("k")
    assert Store(tmp_path / "file").failure("k") is None
