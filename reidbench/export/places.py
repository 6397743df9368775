"""Output files of commands: checked before anything is computed, and written atomically."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reidbench.errors import ReidbenchError
from reidbench.files.atomic import written_whole
from reidbench.files.names import shown


def check_place(file: Path) -> None:
    """Raise ReidbenchError if the file cannot be created: its folder is missing, or it is a folder itself."""
    if not file.parent.is_dir():
        raise ReidbenchError(f"{shown(file)}: no such folder {shown(file.parent)}")
    if file.is_dir():
        example = file / f"features{file.suffix}"
        raise ReidbenchError(f"{shown(file)}: this is a folder; name a file, for example {shown(example)}")


@contextmanager
def written(file: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces the file when the block succeeds.

    Raises ReidbenchError if the folder is missing or the file cannot be written.
    """
    check_place(file)
    try:
        with written_whole(file) as beside:
            yield beside
    except OSError as error:
        raise ReidbenchError(f"{file}: cannot be written: {error.strerror}") from None
