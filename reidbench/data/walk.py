"""List the contents of a folder: images, and other files, which readers count and name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reidbench.files.names import shown

from .fingerprints.fingerprint import REPEATED, is_clutter, is_residue, reading, walk_files
from .pictures.images import ENDINGS, FOREIGN_ENDINGS

SHOWN = 5  # names in a sentence before ", ..."
FOREIGN = "images of an unsupported format (convert them to PNG or JPEG)"
NO_PICTURE = "their extension is not an image's"
HIDDEN = "hidden images (a name or folder begins with a dot)"


@dataclass
class Tree:
    """Sorted paths under a folder: images, other visible files, and hidden images."""

    images: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    def notes(self, where: str) -> list[str]:
        """Sentences about files left out, with their number, reason and first names, and about likely copies."""
        left_out = stray_notes(where, self.others, why_no_picture) + stray_notes(where, self.hidden, lambda _: HIDDEN)
        return left_out + twin_notes(where, self.images)


class Present:
    """Existing images, found by the names in a list; a different extension is the same image."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self._by_stem = {without_ending(name): name for name in sorted(self.names, reverse=True)}

    def find(self, name: str) -> str | None:
        """The file's own name: an exact match, or a name with another extension (`.PNG`); None if there is neither."""
        return name if name in self.names else self._by_stem.get(without_ending(name))


def without_ending(path: str) -> str:
    """A path without the extension of its last part."""
    return path.rpartition(".")[0] if "." in path.rpartition("/")[2] else path


def is_picture(name: str) -> bool:
    """Whether a file of that name is read as an image: by its extension, in any case."""
    return name.lower().endswith(ENDINGS)


def walk_images(root: Path) -> Iterator[str]:
    """Paths under `root` of all files with an image's extension, folder by folder, sorted.

    Links to folders are followed, but each folder is listed once, since links may form a cycle. Raises DataError for a
    folder that cannot be read.
    """
    return filter(is_picture, _walk(root, hidden=False))


def look_through(root: Path) -> Tree:
    """List everything under `root`, sorted as by `walk_images`, without desktop clutter."""
    tree = Tree()
    for path in _walk(root, hidden=True):
        if "/." not in f"/{path}":
            (tree.images if is_picture(path) else tree.others).append(path)
        elif is_picture(path):
            tree.hidden.append(path)
    return tree


def list_names(folder: Path) -> list[str]:
    """Sorted entries of a folder, without desktop clutter; names of folders end with `/`.

    Raises DataError if the folder cannot be read.
    """
    with reading(folder), os.scandir(folder) as entries:
        return sorted(
            entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries if not is_clutter(entry.name)
        )


def hidden_notes(where: str, folder: Path) -> list[str]:
    """Sentence about hidden images directly in a folder, if any."""
    with reading(folder), os.scandir(folder) as entries:
        names = (entry.name for entry in entries if entry.name.startswith("."))
        hidden = sorted(name for name in names if is_picture(name) and not is_residue(name))
    return stray_notes(where, hidden, lambda _: HIDDEN)


def why_no_picture(name: str) -> str:
    """Reason why a file without an image's extension is left out."""
    return FOREIGN if name.lower().endswith(FOREIGN_ENDINGS) else NO_PICTURE


def stray_notes(where: str, files: Sequence[str], why: Callable[[str], str]) -> list[str]:
    """Sentences about files left out, one per reason that `why` returns for a file's name."""
    by_reason: dict[str, list[str]] = {}
    for file in files:
        by_reason.setdefault(why(file.rpartition("/")[2]), []).append(file)
    return [f"{where}: {len(found)} files left out, {reason}: {first_names(found)}"
            for reason, found in by_reason.items()]  # fmt: skip


def twin_notes(where: str, files: Sequence[str]) -> list[str]:
    """Sentence about images that exist under two extensions, as after a conversion."""
    stems = Counter(map(without_ending, files))
    twins = [file for file in files if stems[without_ending(file)] > 1] if len(stems) < len(files) else []
    if not twins:
        return []
    return [f"{where}: {len(twins)} images share a name except for the extension, and count as different images: "
            f"{first_names(twins)}"]  # fmt: skip


def first_names(files: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(map(shown, files[:SHOWN])) + (", ..." if len(files) > SHOWN else "")


def _walk(root: Path, *, hidden: bool) -> Iterator[str]:
    """Paths of all files under `root`, of any kind, in the order of `walk_files`."""
    with reading(root):
        yield from (path for path, kind in walk_files(root, hidden=hidden) if kind != REPEATED)
