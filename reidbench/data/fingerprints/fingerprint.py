"""Names for the content of data on disk, so that a result knows what it was computed from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from reidbench.errors import DataError
from reidbench.files.names import shown

from .contents import hash_content, hash_files, hashing_everything

ABSENT, REPEATED = "absent", "listed before"
SETTLED = (ABSENT, REPEATED)  # nothing of it is to be read


def fingerprint_files(rows: Iterable[tuple[str, int | str]]) -> str:
    """Hash a manifest of (relative path, content hash); the order of the rows does not matter."""
    digest = hashlib.sha256()
    for path, mark in sorted(rows):
        digest.update(f"{path}\0{mark}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def fingerprint_folder(root: Path, *, only: Sequence[str] = (), full: bool = False) -> str:
    """Hash a folder by the names and contents of its files, or of the files and folders `only` in it.

    Contents are read once: a file is hashed again when its size, times or inode have changed, or when it changed so
    shortly before it was hashed that they prove nothing. Links lead to their target's content. With `full` every file
    is read, and one that cannot be is an error; else a pipe or a dead link counts by its kind. Raises DataError where
    there is no such folder, and for a file that cannot be read.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{shown(root)}: no such folder")
    with reading(root):
        rows = dict(row for part in only or ("",) for row in _walk_part(root, part))
        paths = [path for path, mark in rows.items() if not mark or (full and mark not in SETTLED)]
        with hashing_everything() if full else nullcontext():
            hashed = hash_files(root, paths)
        return fingerprint_files({**rows, **{path: hashed.hex(at) for at, path in enumerate(paths)}}.items())


def fingerprint_paths(root: Path, paths: Collection[str]) -> str:
    """Hash files under `root` by names and contents, each read only when it may have changed.

    One that is not there counts as absent. Raises DataError for a file that cannot be read.
    """
    listed = list(paths)
    hashed = hash_files(root, listed)
    gone = {at for at, error in hashed.errors.items() if isinstance(error, FileNotFoundError | NotADirectoryError)}
    with reading(root):
        return fingerprint_files((path, ABSENT if at in gone else hashed.hex(at)) for at, path in enumerate(listed))


def fingerprint_file(file: Path, cache: Path | None = None) -> str:
    """sha256 of one file's content, read only when it may have changed. Raises DataError when it cannot be read.

    The index of what was read before is in `cache`, by default the user's.
    """
    file = Path(file)
    with reading(file):
        return hash_files(file.parent, [file.name], cache).hex(0)


@contextmanager
def reading(place: Path) -> Iterator[None]:
    """What the file system refuses, as one sentence. Raises DataError for an OSError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{shown(error.filename or place)}: cannot be read: {error.strerror}") from None


def fingerprint_content(file: Path) -> str:
    """sha256 of one file, read now. Raises OSError when it cannot be read, or is a pipe or a device."""
    return hash_content(file).hex()


def _walk_part(root: Path, part: str) -> Iterator[tuple[str, str]]:
    if part and not (root / part).is_dir():
        yield part, "" if (root / part).exists() else ABSENT
        return
    prefix = f"{part}/" if part else ""
    yield from ((prefix + path, mark) for path, mark in walk_files(root / part))


def walk_files(root: Path, *, hidden: bool = False) -> Iterator[tuple[str, str]]:
    """(relative path, "") of every file under `root`, folder by folder, sorted, but for what a desktop leaves behind.

    Links are followed, as readers do, and each folder is listed once, since they may lead in circles. What is not an
    ordinary file comes with what it is: a link to nowhere, a folder that was listed before, a pipe. With `hidden` files
    and folders are among them whose names begin with a dot, such folders last.
    """
    left_behind = is_residue if hidden else is_clutter
    pending, later = [""], list[str]()
    listed: dict[tuple[int, int], str] = {}
    while pending or later:
        prefix = pending.pop() if pending else later.pop()
        info = (root / prefix).stat()
        earlier = listed.setdefault((info.st_dev, info.st_ino), prefix)
        if earlier != prefix:
            yield f"{prefix} = {earlier}", REPEATED
            continue
        folders: list[str] = []
        with os.scandir(root / prefix) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if left_behind(entry.name):
                    continue
                path = f"{prefix}{entry.name}"
                kind = _kind(entry)
                if kind == "folder":
                    (later if "/." in f"/{path}" else folders).append(f"{path}/")
                else:
                    yield path, kind
        pending += reversed(folders)


def _kind(entry: os.DirEntry[str]) -> str:
    """ "" for an ordinary file, `folder`, or what else lies there."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return ""
    except OSError:  # a link in circles
        pass
    return f"a link to {Path(entry.path).readlink()}" if entry.is_symlink() else "no ordinary file"


def is_clutter(name: str) -> bool:
    """Files that a desktop leaves behind and that belong to no data set."""
    return name.startswith(".") or name == "Thumbs.db"


def is_residue(name: str) -> bool:
    """What is no picture whatever its name ends with: a Mac leaves a `._` file beside each file of an archive."""
    return name.startswith("._") or name == "Thumbs.db"
