"""Folders of images whose file names carry the labels: the Market-1501 layout and its relatives."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from .dataset import Dataset
from .fingerprint import is_clutter
from .hidden import UNKNOWN_CAMERA
from .names import shown
from .split import JUNK, Split

MARKET_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
LARGEST_PID = 2**53  # a file whose name has more digits names no person
SHOWN = 5  # names that a sentence holds before it says ", ..."


@dataclass(frozen=True)
class FileNameRule:
    """How a file name tells pid and camera: a pattern with the groups `pid` and `cam`, and the first camera's number.

    The whole name has to match, so that a stray file cannot pass for an image of the set. Without a group `cam` the
    camera is unknown (-1). `cameras` lists the numbers in use where they are not consecutive: they become 0, 1, ...
    `highest_pid` is the last person of the set, beyond which a file does not belong to it. `shift` is added to the
    pids (not to junk), for sets that call their first person 0.
    """

    pattern: str
    first_camera: int = 1
    cameras: tuple[int, ...] = ()
    highest_pid: int | None = None
    shift: int = 0

    def read(self, name: str) -> tuple[int, int] | None:
        """(pid, camid from 0), or None for a name that does not match as a whole."""
        match = _compiled(self.pattern).fullmatch(name)
        if match is None:
            return None
        pid = int(match["pid"])
        if pid > LARGEST_PID:
            return None
        if self.highest_pid is not None and pid > self.highest_pid:
            return None
        pid = pid if pid == JUNK else pid + self.shift
        if "cam" not in match.re.groupindex:
            return pid, UNKNOWN_CAMERA
        camera = int(match["cam"])
        if self.cameras:
            return (pid, self.cameras.index(camera)) if camera in self.cameras else None
        return pid, camera - self.first_camera


_compiled = functools.cache(re.compile)

# Session, frame and box are there in every Market-like release; other sets number cameras beyond 6.
MARKET_LIKE = FileNameRule(r"(?P<pid>-1|\d{4,})_c(?P<cam>[1-9]\d?)(s\d+)?_\w+\.(jpg|jpeg|png|bmp)")


def read_market_folder(
    root: Path,
    *,
    name: str = "",
    parts: Sequence[str] = ("train", "query", "gallery"),
    rule: FileNameRule = MARKET_LIKE,
    folders: Mapping[str, str] = MARKET_FOLDERS,
) -> Dataset:
    """Read `bounding_box_train`, `query` and `bounding_box_test` in sorted order.

    Files whose name does not match `rule` are left out and named in `notes`; junk (-1) stays in the gallery,
    where the metrics drop it, and is left out of training. Raises DataError for a missing or empty folder.
    """
    root = Path(root)
    splits: dict[str, Split] = {}
    strays: dict[str, list[str]] = {}
    for part in parts:
        splits[part], strays[part] = read_folder(root, folders[part], rule, keep_junk=part != "train")
    train = splits.get("train", Split(root, ()))
    return Dataset(
        name or root.name,
        root,
        train,
        splits.get("query"),
        splits.get("gallery"),
        tuple(stray_note(folders[part], left_out) for part, left_out in strays.items() if left_out),
        strays={part: [f"{folders[part]}/{file}" for file in files] for part, files in strays.items() if files},
    )


def read_folder(
    root: Path, folder: str, rule: FileNameRule, *, keep_junk: bool = True, example: str = "0002_c1s1_000451_03.jpg"
) -> tuple[Split, list[str]]:
    """(the images of one flat folder in sorted order, the names that do not match). Raises DataError."""
    place = root / folder
    if not place.is_dir():
        raise DataError(f"{shown(place)}: no such folder{depth_hint(place)}")
    paths: list[str] = []
    pids: list[int] = []
    camids: list[int] = []
    strays: list[str] = []
    names = list_names(place)
    prefix = f"{folder}/" if folder else ""
    for file in names:
        labels = rule.read(file)
        if labels is None:
            strays.append(file)
        elif keep_junk or labels[0] != JUNK:
            paths.append(prefix + file)
            pids.append(labels[0])
            camids.append(labels[1])
    if not paths:
        raise DataError(f"{shown(place)}: no image with a name like {example} among {len(names)} files")
    return Split.of_columns(root, paths, pids, camids), strays


def list_names(folder: Path) -> list[str]:
    """What lies in a folder, sorted, without what a desktop leaves behind."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not is_clutter(entry.name))


def walk_images(root: Path) -> Iterator[str]:
    """Paths under `root` of all files that end like an image, folder by folder, sorted.

    Links to folders are followed, but each folder is listed once: links may lead in circles.
    """
    pending = [""]
    listed: set[tuple[int, int]] = set()
    while pending:
        prefix = pending.pop()
        info = (root / prefix).stat()
        if (info.st_dev, info.st_ino) in listed:
            continue
        listed.add((info.st_dev, info.st_ino))
        folders = []
        with os.scandir(root / prefix) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if is_clutter(entry.name):
                    continue
                if entry.is_dir():
                    folders.append(f"{prefix}{entry.name}/")
                elif entry.name.lower().endswith(IMAGE_ENDINGS):
                    yield prefix + entry.name
        pending += reversed(folders)


def stray_note(where: str, files: Sequence[str]) -> str:
    """The sentence about files that were left out."""
    return f"{where}: {len(files)} files left out, their names do not match: {first_names(files)}"


def first_names(files: Sequence[str]) -> str:
    """The first few of many names."""
    return ", ".join(map(shown, files[:SHOWN])) + (", ..." if len(files) > SHOWN else "")


def depth_hint(folder: Path) -> str:
    """An archive unpacked into a folder of its own name is the usual slip."""
    deeper = sorted(folder.parent.glob(f"*/{folder.name}")) if folder.parent.is_dir() else []
    return f"; did you mean {shown(deeper[0].parent)} as root?" if deeper else ""
