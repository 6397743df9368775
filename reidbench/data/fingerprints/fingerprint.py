"""Content hashes of data on disk, which identify the data that a result was computed from."""

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
SETTLED = (ABSENT, REPEATED)  # kinds that need no reading


def fingerprint_files(rows: Iterable[tuple[str, int | str]]) -> str:
    """Hash a manifest of (relative path, content hash), independent of the order of the rows."""
    digest = hashlib.sha256()
    for path, mark in sorted(rows):
        digest.update(f"{path}\0{mark}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def fingerprint_folder(root: Path, *, only: Sequence[str] = (), full: bool = False) -> str:
    """Hash a folder by the names and contents of its files, or of the files and folders `only` in it.

    A file is read again only if its size, times or inode have changed, or if it was modified too shortly before it was
    hashed for its times to prove anything. Links resolve to their target's content. With `full` every file is read, and
    an unreadable file is an error; otherwise a pipe or a dead link counts by its kind. Raises DataError if the folder
    is missing or a file cannot be read.
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
    """Hash files under `root` by names and contents, reading only files that may have changed.

    A missing file counts as absent. Raises DataError if a file cannot be read.
    """
    listed = list(paths)
    hashed = hash_files(root, listed)
    gone = {at for at, error in hashed.errors.items() if isinstance(error, FileNotFoundError | NotADirectoryError)}
    with reading(root):
        return fingerprint_files((path, ABSENT if at in gone else hashed.hex(at)) for at, path in enumerate(listed))


def fingerprint_file(file: Path, cache: Path | None = None) -> str:
    """sha256 of one file, read only if it may have changed. Raises DataError if it cannot be read.

    The index of earlier hashes is in `cache`, by default the user's cache folder.
    """
    file = Path(file)
    with reading(file):
        return hash_files(file.parent, [file.name], cache).hex(0)


@contextmanager
def reading(place: Path) -> Iterator[None]:
    """Convert an OSError to a DataError of one sentence."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{shown(error.filename or place)}: cannot be read: {error.strerror}") from None


def fingerprint_content(file: Path) -> str:
    """sha256 of one file, without the index. Raises OSError if it cannot be read, or is a pipe or a device."""
    return hash_content(file).hex()


def _walk_part(root: Path, part: str) -> Iterator[tuple[str, str]]:
    if part and not (root / part).is_dir():
        yield part, "" if (root / part).exists() else ABSENT
        return
    prefix = f"{part}/" if part else ""
    yield from ((prefix + path, mark) for path, mark in walk_files(root / part))


def walk_files(root: Path, *, hidden: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (relative path, "") of every file under `root`, folder by folder, sorted, without desktop clutter.

    Links are followed, as readers do; each folder is listed once, since links may form a cycle. Anything other than a
    regular file comes with its kind: a dead link, a folder listed before, a pipe. With `hidden`, files and folders
    whose names begin with a dot are included, such folders last.
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
    """ "" for a regular file, `folder`, or another kind."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return ""
    except OSError:  # a cycle of links
        pass
    return f"a link to {Path(entry.path).readlink()}" if entry.is_symlink() else "not a regular file"


def is_clutter(name: str) -> bool:
    """Whether a file is desktop clutter, which is not part of a data set."""
    return name.startswith(".") or name == "Thumbs.db"


def is_residue(name: str) -> bool:
    """Whether a file is not an image despite its extension: macOS adds `._` files to archives."""
    return name.startswith("._") or name == "Thumbs.db"
