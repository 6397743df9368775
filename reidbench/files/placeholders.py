"""Detection of placeholder files: empty files, git-lfs pointers, and HTML pages of failed downloads."""

from __future__ import annotations

from pathlib import Path

from reidbench.errors import DataError

from .names import shown


def refuse_placeholder(path: Path) -> None:
    """Raise DataError for a file that is missing, unreadable, empty or a placeholder."""
    try:
        if not path.is_file():
            raise DataError(f"{shown(path)}: {'not a file' if path.exists() else 'no such file'}")
        with path.open("rb") as stream:
            start = stream.read(64)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{shown(path)}: cannot be read: {why}") from None
    if not start:
        raise DataError(f"{shown(path)}: is empty (0 bytes)")
    if start.startswith(b"version https://git-lfs"):
        raise DataError(f"{shown(path)}: a git-lfs pointer, not the file itself; run `git lfs pull`")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise DataError(f"{shown(path)}: an HTML page, not the file itself; look at what was downloaded")
