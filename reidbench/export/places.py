"""Files that a command writes: refused before anything is computed, and whole or not there at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reidbench.errors import ReidbenchError
from reidbench.files.atomic import written_whole
from reidbench.files.names import shown


def check_place(file: Path) -> None:
    """Raise ReidbenchError where no file of this name can be: its folder is missing, or it is a folder itself."""
    if not file.parent.is_dir():
        raise ReidbenchError(f"{shown(file)}: no folder {shown(file.parent)}")
    if file.is_dir():
        example = file / f"features{file.suffix}"
        raise ReidbenchError(f"{shown(file)}: is a folder; name a file, like {shown(example)}")


@contextmanager
def written(file: Path) -> Iterator[Path]:
    """Give a name beside a file to write to; it becomes the file when the block ends well.

    Raises ReidbenchError when its folder is not there or the system refuses to write it.
    """
    check_place(file)
    try:
        with written_whole(file) as beside:
            yield beside
    except OSError as error:
        raise ReidbenchError(f"{file}: cannot be written: {error.strerror}") from None
