"""Forged packs: files of a valid pack are changed, and all checksums and the digest recomputed."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.packs.archive import sums, write_archive
from reidbench.packs.entries import to_json
from reidbench.store.manifests import sealed

Files = dict[str, bytes]
Change = Callable[[Files], None]


def files_of(pack: Path) -> Files:
    """The files of a pack by name."""
    with zipfile.ZipFile(pack) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def indexed(files: Files) -> Files:
    """Update `pack.json` to match the files, recomputing every checksum."""
    about = json.loads(files["pack.json"])
    about["files"] = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for name, content in files.items()
        if name not in ("pack.json", "pack.sig")
    }
    return {**files, "pack.json": to_json(about)}


def packed(files: Files) -> bytes:
    """An archive in the format of packs."""
    stream = io.BytesIO()
    write_archive(stream, files, {name: sums(content) for name, content in files.items()})
    return stream.getvalue()


def forge(pack: Path, out: Path, change: Change) -> Path:
    """Write a pack with changed files and valid checksums."""
    files = files_of(pack)
    change(files)
    out.write_bytes(packed(indexed(files)))
    return out


def board(files: Files) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files["board.json"])
    return found


def edit_board(files: Files, change: Callable[[dict[str, Any]], None]) -> None:
    given = board(files)
    change(given)
    files["board.json"] = to_json(given)
    files["matrix.yaml"] = given["text"].encode()


def edit_manifest(files: Files, key: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest and recompute its checksum."""
    manifest = json.loads(files[f"manifests/{key}.json"])
    change(manifest)
    files[f"manifests/{key}.json"] = sealed(manifest).encode()


def edit_rounded(files: Files, key: str, **numbers: float) -> None:
    files[f"rounded/{key}.json"] = to_json(json.loads(files[f"rounded/{key}.json"]) | numbers)


def key_of(files: Files, kind: str, place: int = 0) -> str:
    """The key of the first stage of a kind on the board, or of a later one."""
    found: str = [stage["key"] for stage in board(files)["stages"] if stage["kind"] == kind][place]
    return found


def with_array(content: bytes) -> np.ndarray:
    found: np.ndarray = np.load(io.BytesIO(content))
    return found
