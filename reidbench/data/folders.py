"""Folders of images whose file names carry the labels: the Market-1501 layout and its relatives."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from .dataset import Dataset
from .fingerprint import is_clutter
from .split import JUNK, Sample, Split

MARKET_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


@dataclass(frozen=True)
class FileNameRule:
    """How a file name tells pid and camera: a pattern with the groups `pid` and `cam`, and the first camera's number.

    The whole name has to match, so that a stray file cannot pass for an image of the set.
    """

    pattern: str
    first_camera: int = 1

    def read(self, name: str) -> tuple[int, int] | None:
        """(pid, camid from 0), or None for a name that does not match as a whole."""
        match = re.fullmatch(self.pattern, name)
        return (int(match["pid"]), int(match["cam"]) - self.first_camera) if match else None


# Session, frame and box are there in every Market-like release; other sets number cameras beyond 6.
MARKET_LIKE = FileNameRule(r"(?P<pid>-1|\d{4,})_c(?P<cam>[1-9]\d?)(s\d+)?_\w+\.(jpg|jpeg|png|bmp)")


def read_market_folder(
    root: Path,
    *,
    name: str = "",
    parts: Sequence[str] = ("train", "query", "gallery"),
    rule: FileNameRule = MARKET_LIKE,
    folders: dict[str, str] = MARKET_FOLDERS,
) -> Dataset:
    """Read `bounding_box_train`, `query` and `bounding_box_test` in sorted order.

    Files whose name does not match `rule` are left out and named in `notes`; junk (-1) stays in the gallery,
    where the metrics drop it, and is left out of training. Raises DataError for a missing or empty folder.
    """
    root = Path(root)
    notes: list[str] = []
    splits: dict[str, Split] = {}
    for part in parts:
        samples, strays = _read_part(root / folders[part], folders[part], rule)
        if part == "train":
            samples = [sample for sample in samples if sample.pid != JUNK]
        if strays:
            shown = ", ".join(strays[:5]) + (", ..." if len(strays) > 5 else "")
            notes.append(f"{folders[part]}: {len(strays)} files left out, their names do not match: {shown}")
        splits[part] = Split(root, samples)
    return Dataset(name or root.name, root, splits["train"], splits.get("query"), splits.get("gallery"), tuple(notes))


def _read_part(folder: Path, prefix: str, rule: FileNameRule) -> tuple[list[Sample], list[str]]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder{_depth_hint(folder)}")
    samples, strays = [], []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not is_clutter(entry.name))
    for file in names:
        labels = rule.read(file)
        if labels is None:
            strays.append(file)
        else:
            samples.append(Sample(f"{prefix}/{file}", *labels))
    if not samples:
        raise DataError(f"{folder}: no image with a name like 0002_c1s1_000451_03.jpg among {len(names)} files")
    return samples, strays


def _depth_hint(folder: Path) -> str:
    """An archive unpacked into a folder of its own name is the usual slip."""
    deeper = sorted(folder.parent.glob(f"*/{folder.name}")) if folder.parent.is_dir() else []
    return f"; did you mean {deeper[0].parent} as root?" if deeper else ""
