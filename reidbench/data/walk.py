"""What is under a folder: pictures that are read, and files that are left out, which a reader counts and names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reidbench.files.names import shown

from .fingerprints.fingerprint import REPEATED, is_clutter, is_residue, reading, walk_files
from .pictures.images import ENDINGS, FOREIGN_ENDINGS

SHOWN = 5  # names that a sentence holds before it says ", ..."
FOREIGN = "pictures of a kind that is not read (convert them to PNG or JPEG)"
NO_PICTURE = "their names do not end like a picture's"
HIDDEN = "hidden pictures (a name or folder begins with a dot)"


@dataclass
class Tree:
    """Paths under a folder, sorted folder by folder: pictures, visible files that are not, and hidden pictures."""

    images: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    def notes(self, where: str) -> list[str]:
        """Sentences about the files that are left out, how many, why and the first names, and about likely copies."""
        left_out = stray_notes(where, self.others, why_no_picture) + stray_notes(where, self.hidden, lambda _: HIDDEN)
        return left_out + twin_notes(where, self.images)


class Present:
    """Pictures that are there, found by the names that a list gives them: another ending is the same picture."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self._by_stem = {without_ending(name): name for name in sorted(self.names, reverse=True)}

    def find(self, name: str) -> str | None:
        """The file's own name: the very one, else one that differs in the ending only (`.PNG`); None if neither is."""
        return name if name in self.names else self._by_stem.get(without_ending(name))


def without_ending(path: str) -> str:
    """A path without the ending of its last part."""
    return path.rpartition(".")[0] if "." in path.rpartition("/")[2] else path


def is_picture(name: str) -> bool:
    """Whether a file of that name is read as a picture: by its ending, in capitals or not."""
    return name.lower().endswith(ENDINGS)


def walk_images(root: Path) -> Iterator[str]:
    """Paths under `root` of all files that end like a picture, folder by folder, sorted.

    Links to folders are followed, but each folder is listed once: links may lead in circles. Raises DataError for a
    folder that cannot be read.
    """
    return filter(is_picture, _walk(root, hidden=False))


def look_through(root: Path) -> Tree:
    """Everything under `root`, sorted as by `walk_images`, but for what a desktop leaves behind."""
    tree = Tree()
    for path in _walk(root, hidden=True):
        if "/." not in f"/{path}":
            (tree.images if is_picture(path) else tree.others).append(path)
        elif is_picture(path):
            tree.hidden.append(path)
    return tree


def list_names(folder: Path) -> list[str]:
    """What a folder holds, sorted, without what a desktop leaves behind; a folder in it ends with `/`.

    Raises DataError where it cannot be read.
    """
    with reading(folder), os.scandir(folder) as entries:
        return sorted(
            entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries if not is_clutter(entry.name)
        )


def hidden_notes(where: str, folder: Path) -> list[str]:
    """The sentence about hidden pictures right in a folder, if there are any."""
    with reading(folder), os.scandir(folder) as entries:
        names = (entry.name for entry in entries if entry.name.startswith("."))
        hidden = sorted(name for name in names if is_picture(name) and not is_residue(name))
    return stray_notes(where, hidden, lambda _: HIDDEN)


def why_no_picture(name: str) -> str:
    """The reason why a file that does not end like a picture is left out."""
    return FOREIGN if name.lower().endswith(FOREIGN_ENDINGS) else NO_PICTURE


def stray_notes(where: str, files: Sequence[str], why: Callable[[str], str]) -> list[str]:
    """The sentences about files that were left out, one for each reason that `why` gives for a file's name."""
    by_reason: dict[str, list[str]] = {}
    for file in files:
        by_reason.setdefault(why(file.rpartition("/")[2]), []).append(file)
    return [f"{where}: {len(found)} files left out, {reason}: {first_names(found)}"
            for reason, found in by_reason.items()]  # fmt: skip


def twin_notes(where: str, files: Sequence[str]) -> list[str]:
    """The sentence about pictures that are there twice under different endings, as a conversion leaves them."""
    stems = Counter(map(without_ending, files))
    twins = [file for file in files if stems[without_ending(file)] > 1] if len(stems) < len(files) else []
    if not twins:
        return []
    return [f"{where}: {len(twins)} pictures share a name but for the ending, and count as different ones: "
            f"{first_names(twins)}"]  # fmt: skip


def first_names(files: Sequence[str]) -> str:
    """The first few of many names."""
    return ", ".join(map(shown, files[:SHOWN])) + (", ..." if len(files) > SHOWN else "")


def _walk(root: Path, *, hidden: bool) -> Iterator[str]:
    """Paths of all files under `root`, whatever they are, as `walk_files` orders them."""
    with reading(root):
        yield from (path for path, kind in walk_files(root, hidden=hidden) if kind != REPEATED)
