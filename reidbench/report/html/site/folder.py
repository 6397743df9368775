"""The folder of a site: writing replaces an older site file by file and touches nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.files.atomic import write_whole

MARKER = "site.json"
VERSION = 1
MADE_BY = "reidbench site"
OURS = re.compile(r"(?:[a-z]+/)?[a-z0-9-]+\.(?:html|css|js|jpg)")  # paths of a site's files


def check(folder: Path) -> None:
    """Raise ReidbenchError if a site cannot be written to the folder."""
    _listed(folder)


def write(folder: Path, files: Mapping[str, bytes]) -> int:
    """Write the files of a site by their paths from its root, and remove obsolete files of the previous site.

    Returns the number of removed files. Raises ReidbenchError if the folder contains something other than a site, if a
    file would replace one that is not part of the site, or if a file cannot be written.
    """
    before = _listed(folder)
    foreign = [path for path in files if path not in before and (folder / path).exists()]
    if foreign:
        raise ReidbenchError(
            f"{folder / foreign[0]} exists and is not part of this site: move it, or choose another folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _mark(folder, {*before, *files})  # so that an interrupted site is still recognised
        for path, data in files.items():
            _write(folder / path, data)
        gone = [path for path in before if path not in files]
        for path in gone:
            _remove(folder, path)
        _mark(folder, files)
    except OSError as error:
        raise ReidbenchError(f"{error.filename or folder}: cannot be written: {error.strerror}") from None
    return len(gone)


def _listed(folder: Path) -> list[str]:
    """Return the files of the existing site, if any."""
    marker = folder / MARKER
    try:
        if not folder.exists() or not any(folder.iterdir()):
            return []
        found: Any = json.loads(marker.read_bytes())
    except FileNotFoundError:
        raise ReidbenchError(
            f"{folder} is not empty and not a site (no {MARKER}): choose a new or empty folder"
        ) from None
    except NotADirectoryError:
        raise ReidbenchError(f"{folder} is not a folder: choose a new or empty one") from None
    except (OSError, ValueError, RecursionError):
        raise ReidbenchError(f"{marker} cannot be read: choose a new or empty folder") from None
    files = found.get("files") if isinstance(found, dict) and found.get("made by") == MADE_BY else None
    if not isinstance(files, list) or found.get("version") != VERSION or not all(map(_is_ours, files)):
        raise ReidbenchError(
            f"{marker} does not belong to a site that this version can replace: choose a new or empty folder"
        )
    return files


def _mark(folder: Path, files: Mapping[str, bytes] | set[str]) -> None:
    content = {"made by": MADE_BY, "version": VERSION, "files": sorted(files)}
    write_whole(folder / MARKER, (json.dumps(content, indent=1) + "\n").encode())


def _write(file: Path, data: bytes) -> None:
    """Write a file unless it has this content."""
    if file.is_file() and file.stat().st_size == len(data) and file.read_bytes() == data:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, data)


def _remove(folder: Path, path: str) -> None:
    """Remove a file, and its folder if it is empty."""
    (folder / path).unlink(missing_ok=True)
    parent = folder / PurePosixPath(path).parent
    if parent != folder and parent.is_dir() and not any(parent.iterdir()):
        parent.rmdir()


def _is_ours(path: object) -> bool:
    return isinstance(path, str) and OURS.fullmatch(path) is not None
