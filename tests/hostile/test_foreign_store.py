"""A store from elsewhere: intact by its own checksums, and still not to be trusted."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from reidbench.store.artifact import DamagedArtifact
from reidbench.store.artifacts import Store
from reidbench.store.cleaning import leftovers

SECRET = b"not for you"


def foreign(root: Path, files: Any, /, **more: Any) -> Store:
    """An artifact whose manifest is consistent, with any content."""
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
    """Reading one would reveal, by its checksum, whether a file of this disk is what a stranger guesses."""
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    entry = {"sha256": hashlib.sha256(SECRET).hexdigest(), "size": len(SECRET)}
    store = foreign(tmp_path / "store", {str(secret) if name == "ABSOLUTE" else name: entry})
    looked: list[Path] = []
    monkeypatch.setattr(
        "reidbench.store.artifacts.fingerprint_content", lambda file: looked.append(file) or entry["sha256"]
    )
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
    with pytest.raises(DamagedArtifact, match="the file differs from the published one"):
        store.read("k")


def test_a_place_that_is_no_folder_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeyError):
        Store(tmp_path / "file").manifest("k")
    assert Store(tmp_path / "file").failure("k") is None


def test_a_fifo_for_a_manifest_is_not_waited_for(tmp_path: Path) -> None:
    store = foreign(tmp_path / "store", {})
    (store.path("k") / "manifest.json").unlink()
    os.mkfifo(store.path("k") / "manifest.json")
    with pytest.raises(DamagedArtifact, match="damaged"):
        store.manifest("k")


def test_a_fifo_for_a_file_is_not_waited_for(tmp_path: Path) -> None:
    store = foreign(tmp_path / "store", {"a": {"sha256": hashlib.sha256(b"").hexdigest(), "size": 0}})
    os.mkfifo(store.path("k") / "a")
    with pytest.raises(DamagedArtifact, match="the file differs from the published one"):
        store.read("k")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seconds", "x"), ("seconds", -1), ("seconds", 10**400), ("seconds", True), ("metrics", {"mAP": 10**400}),
        ("metrics", {"mAP": float("inf")}), ("metrics", []), ("versions", {"torch": 2}), ("notes", "x"),
        ("notes", [1]),
        ("protocol", 5), ("protocol", None), ("source", ["x"]), ("root", 5), ("root", "a\0b"), ("root", "\ud800"),
        ("stage", []), ("stage", {"label": 5}), ("stage", {"kind": ["a"]}), ("stage", {"parents": 5}),
        ("stage", {"parents": [["a", "k"]]}), ("stage", {"parents": [["a", "../../etc"]]}), ("stage", {"data": [{}]}),
    ],
)  # fmt: skip
def test_fields_that_no_stage_writes(field: str, value: Any, tmp_path: Path) -> None:
    store = foreign(tmp_path / "store", {}, **{field: value})
    with pytest.raises(DamagedArtifact, match=f"damaged: {field}"):
        store.manifest("k")


def test_what_a_file_system_leaves_is_no_artifact(tmp_path: Path) -> None:
    store = foreign(tmp_path / "store", {})
    for folder in ("objects", "scratch", "logs", "failures", "claims", "tmp"):
        for name in ("lost+found", ".Trash-1000"):
            (tmp_path / "store" / folder / name).mkdir(parents=True)
        (tmp_path / "store" / folder / ".DS_Store").touch()
    (tmp_path / "store" / "objects" / "a user's own file").touch()
    assert store.keys() == {"k"}
    assert [one.key for one in leftovers(store, set())] == ["k"]
    store.prepare()


READ = """
import os, sys
from pathlib import Path
from reidbench.store.artifact import UnreadableArtifact
from reidbench.store.artifacts import Store
os.setgid(65534); os.setuid(65534)
store = Store(Path(sys.argv[1]))
assert store.has("k") and store.keys() == {"k"}
try:
    store.read("k")
except UnreadableArtifact as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("what", ["manifest.json", "a", "."])
def test_another_users_artifact_is_there_and_not_damaged(what: str) -> None:
    """The child does not run as root, which reads everything."""
    with tempfile.TemporaryDirectory(dir="/tmp") as given:
        Path(given).chmod(0o755)
        store = foreign(Path(given) / "store", {"a": {"sha256": hashlib.sha256(b"").hexdigest(), "size": 0}})
        (store.path("k") / "a").touch()
        (store.path("k") / what).chmod(0)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", READ, str(store.root)], capture_output=True, text=True, env=environment, check=False
        )
    assert "cannot be read: Permission denied" in done.stdout, done.stderr
    assert "chmod -R a+rX" in done.stdout
