"""Folders of images whose file names contain the labels: the Market-1501 layout and similar ones."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reidbench.data.dataset import Dataset
from reidbench.data.fingerprints.fingerprint import reading
from reidbench.data.hidden import UNKNOWN_CAMERA
from reidbench.data.morelabels import UNKNOWN, MoreLabels
from reidbench.data.people import settle_people
from reidbench.data.pictures.images import FOREIGN_ENDINGS
from reidbench.data.split import JUNK, Split
from reidbench.data.walk import FOREIGN, hidden_notes, is_picture, list_names, stray_notes, twin_notes
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.numbers import whole_number

MARKET_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
MARKET_EXAMPLE = "0002_c1s1_000451_03.jpg"
LARGEST = 2**53  # a larger number in a file name is neither a person nor a camera
UNMATCHED = "their names do not match"
CAMERA_ZERO = "camera 0 (c0), but cameras count from 1 here"
_OF_CAMERA_ZERO = re.compile(r"(-1|[0-9]+)_c0+(s[0-9]+)?_.*")


@dataclass(frozen=True)
class FileNameRule:
    """Pattern that extracts pid and camera from a file name, with the groups `pid` and `cam`.

    The pattern must match the whole name without its extension, which may be that of any supported image format in any
    case; a pattern that includes extensions must match the whole name. This keeps stray files out. Digits are 0 to 9.
    Without a group `cam` the camera is unknown (-1). `first_camera` is the number of the first camera. `cameras` lists
    the camera numbers if they are not consecutive: they become 0, 1, ... `highest_pid` is the last person of the set; a
    file with a larger pid is a stray. `shift` is added to the pids (except junk), for sets whose first person is 0.
    With `from_zero`, cameras count from 0 if the set has a camera 0.
    """

    pattern: str
    first_camera: int = 1
    cameras: tuple[int, ...] = ()
    highest_pid: int | None = None
    shift: int = 0
    from_zero: bool = False

    def read(self, name: str) -> tuple[int, int] | None:
        """Return (pid, camid from 0), or None if the name does not match."""
        match = self._match(name)
        if match is None:
            return None
        pid = whole_number(match["pid"])
        if pid is None or pid > (LARGEST if self.highest_pid is None else self.highest_pid):
            return None
        pid = pid if pid == JUNK else pid + self.shift
        if "cam" not in match.re.groupindex:
            return pid, UNKNOWN_CAMERA
        camera = whole_number(match["cam"])
        if self.cameras:
            return (pid, self.cameras.index(camera)) if camera in self.cameras else None
        if camera is None or not self.first_camera <= camera <= LARGEST:
            return None
        return pid, camera - self.first_camera

    def clothes(self, name: str) -> int:
        """Number of the outfit in a name that `read` accepts; UNKNOWN if names have none."""
        if "clothes" not in _compiled(self.pattern).groupindex:
            return UNKNOWN
        match = self._match(name)
        number = whole_number(match["clothes"]) if match else None
        return UNKNOWN if number is None or number > LARGEST else number

    def why_not(self, name: str) -> str:
        """Reason why `read` returns None for a name."""
        if name.lower().endswith(FOREIGN_ENDINGS):
            return FOREIGN
        if self.first_camera and _OF_CAMERA_ZERO.fullmatch(name):
            return CAMERA_ZERO
        return UNMATCHED

    def counting_cameras(self, names: Sequence[str]) -> FileNameRule:
        """Return this rule, or with `from_zero` a rule that counts cameras from 0 if a name has camera 0."""
        zero = replace(self, first_camera=0)
        found = self.from_zero and any(_OF_CAMERA_ZERO.fullmatch(name) and zero.read(name) for name in names)
        return zero if found else self

    def _match(self, name: str) -> re.Match[str] | None:
        if not is_picture(name):
            return None
        pattern = _compiled(self.pattern)
        return pattern.fullmatch(name.rpartition(".")[0]) or pattern.fullmatch(name)


_compiled = functools.cache(re.compile)

# Every Market-like release has session, frame and box; other sets number cameras beyond 6, or from 0.
MARKET_LIKE = FileNameRule(r"(?P<pid>-1|[0-9]{4,})_c(?P<cam>[0-9]+)(s[0-9]+)?_\w+(\.jpg)?", from_zero=True)


def read_market_folder(
    root: Path,
    *,
    name: str = "",
    parts: Sequence[str] = ("train", "query", "gallery"),
    folders: Mapping[str, str] = MARKET_FOLDERS,
    example: str = MARKET_EXAMPLE,
    rule: FileNameRule = MARKET_LIKE,
    train_distractors: bool = False,
) -> Dataset:
    """Read `bounding_box_train`, `query` and `bounding_box_test`, or other `folders` by part, in sorted order.

    Files whose names do not match `rule` are left out and named in the first `notes`. Junk (-1) stays in the gallery,
    where the metrics drop it, and is left out of training with a note. pid 0 in train is a person, unless
    `train_distractors` is set (see settle_people). Raises DataError for a missing or empty folder.
    """
    root = Path(root)
    splits: dict[str, Split] = {"train": Split(root, ())}
    strays: dict[str, list[str]] = {}
    left_out: list[str] = []
    notes: list[str] = []
    places = [root / folders[part] for part in parts]
    counted = rule.counting_cameras([file for place in places if place.is_dir() for file in list_names(place)])
    for part, place in zip(parts, places, strict=True):
        splits[part], others = read_folder(root, place.name, counted, example=example)
        if others:
            strays[part] = [f"{place.name}/{file}" for file in others]
        left_out += stray_notes(place.name, others, counted.why_not)
        notes += hidden_notes(place.name, place) + twin_notes(place.name, splits[part].paths)
    if counted is not rule:
        notes.append("cameras are numbered from 0 here (c0): each number is a separate camera")
    train, query, gallery = splits["train"], splits.get("query"), splits.get("gallery")
    dataset = Dataset(name or root.name, root, train, query, gallery, (*left_out, *notes), strays=strays)
    return settle_people(dataset, train_distractors=train_distractors)


def read_folder(
    root: Path, folder: str, rule: FileNameRule, *, example: str = MARKET_EXAMPLE
) -> tuple[Split, list[str]]:
    """Return (images of one flat folder in sorted order, names that do not match).

    Raises DataError if no name matches.
    """
    place = root / folder
    need_folder(place)
    prefix = f"{folder}/" if folder else ""
    read = {file: rule.read(file) for file in list_names(place)}
    rows = [(prefix + file, *labels) for file, labels in read.items() if labels is not None]
    if not rows:
        raise DataError(f"{shown(place)}: no image with a name like {example} among {len(read)} files")
    more = MoreLabels.of(clothes=[rule.clothes(file) for file, labels in read.items() if labels is not None])
    split = Split.of_columns(root, *zip(*rows, strict=True), more=more)
    return split, [file for file, labels in read.items() if labels is None]


def need_folder(place: Path) -> None:
    """Raise DataError if a folder of a layout is missing or empty, suggesting the intended root if it is nearby."""
    if not place.is_dir():
        raise DataError(f"{shown(place)}: no such folder{depth_hint(place)}")
    with reading(place), os.scandir(place) as entries:
        if next(entries, None) is None:
            raise DataError(f"{shown(place)}: the folder is empty")


def depth_hint(folder: Path) -> str:
    """Suggest the root one level deeper, as for an archive extracted into its own folder, or one level higher."""
    deeper = sorted(folder.parent.glob(f"*/{folder.name}")) if folder.parent.is_dir() else []
    higher = folder.parent.parent / folder.name
    meant = deeper[0] if deeper else higher if higher.is_dir() else None
    return f"; did you mean {shown(meant.parent)} as root?" if meant else ""
