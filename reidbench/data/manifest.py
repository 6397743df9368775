"""A CSV manifest: `path,pid,split[,camid,domain,time]`, one line an image. The format for everybody's own data.

Without a column `camid`, or with an empty cell, the camera is unknown (-1): such an image falls under no camera rule.
"""

from __future__ import annotations

import csv
import io
import posixpath
from pathlib import Path

from reidbench.errors import DataError
from reidbench.files.names import shown, stays_inside
from reidbench.files.numbers import HOW, decimal_number, whole_number
from reidbench.files.text import read_text

from .dataset import PARTS, Dataset
from .folders import LARGEST
from .hidden import UNKNOWN_CAMERA
from .people import find_overlap, settle_people
from .split import JUNK, Sample, Split

REQUIRED = ("path", "pid", "split")
OPTIONAL = ("camid", "domain", "time")
EXPECTED = f"{','.join(REQUIRED)}[,{','.join(OPTIONAL)}]"


def read_manifest(file: Path, *, root: Path | None = None, name: str = "") -> Dataset:
    """Read a manifest. Paths are relative to `root`, by default the manifest's folder.

    Links under the root are followed: they are its owner's. Train rows of pid -1 are left out, with a note. Raises
    DataError as `file:line: what is wrong` for a missing column, a label that is not a whole number, an unknown split,
    a path that leaves the root, a path that appears twice in one split, and a file that is not UTF-8.
    """
    file, where = Path(file), shown(file)
    rows: dict[str, list[Sample]] = {part: [] for part in PARTS}
    seen: set[tuple[str, str]] = set()
    if not file.exists():
        raise DataError(f"{where}: no such manifest")
    reader = csv.DictReader(io.StringIO(read_text(file, "CSV text file"), newline=""))
    try:
        _check_header(where, reader.fieldnames)
        for row in reader:
            part, sample = _read_row(f"{where}:{reader.line_num}", row)
            place = part, posixpath.normpath(sample.path)
            if place in seen:
                raise DataError(f"{where}:{reader.line_num}: {shown(sample.path)} appears twice in {part}")
            seen.add(place)
            rows[part].append(sample)
    except csv.Error as error:
        raise DataError(f"{where}:{reader.line_num}: not a CSV text file: {error}") from None
    dataset = _dataset(file, root or file.parent, name or file.stem, rows)
    return find_overlap(settle_people(_with_camera_notes(dataset)))


def _dataset(file: Path, root: Path, name: str, rows: dict[str, list[Sample]]) -> Dataset:
    if not any(rows.values()):
        raise DataError(f"{shown(file)}: no image: a manifest has one line for each, of split train, query or gallery")
    if bool(rows["query"]) != bool(rows["gallery"]):
        there, absent = ("query", "gallery") if rows["query"] else ("gallery", "query")
        raise DataError(f"{shown(file)}: rows with split={there} but none with split={absent}")
    query, gallery = (Split(root, rows[part]) if rows[part] else None for part in ("query", "gallery"))
    return Dataset(name, root, Split(root, rows["train"]), query, gallery)


def _with_camera_notes(dataset: Dataset) -> Dataset:
    """The data set with a note for each split in which images have no camera, where others of the set have one."""
    parts = dataset.parts()
    if not any((split.camids != UNKNOWN_CAMERA).any() for split in parts.values()):
        return dataset
    notes = []
    for part, split in parts.items():
        unknown = (split.camids == UNKNOWN_CAMERA).nonzero()[0]
        if len(unknown):
            first = shown(split.paths[int(unknown[0])])
            notes.append(f"{part}: {len(unknown)} of {len(split)} images have no camera (camid empty or -1), first "
                         f"{first}: the camera rule does not apply to them")  # fmt: skip
    return dataset.with_notes(*notes)


def _check_header(where: str, header: object) -> None:
    if not isinstance(header, list):
        raise DataError(f"{where}: is empty; expected a first line {EXPECTED}")
    missing = [column for column in REQUIRED if column not in header]
    unknown = [column for column in header if column not in REQUIRED + OPTIONAL]
    twice = len(set(header)) < len(header)
    if missing or unknown or twice:
        what = [f"missing {', '.join(missing)}"] * bool(missing)
        what += [f"unknown {shown(', '.join(map(repr, unknown)))}"] * bool(unknown)
        told = "; ".join(what or ["that come twice"])
        raise DataError(f"{where}:1: columns {told}; expected {EXPECTED}{_header_cure(header)}")


def _header_cure(names: list[str]) -> str:
    """What is probably wrong with a first line, as the end of a sentence; empty where nothing is known."""
    other = next((mark for mark in (";", "\t") if mark in "".join(names)), None)
    if other:
        return f"; this file separates columns with {other!r}, not with commas"
    plain = [name.strip().lower() for name in names]
    if plain != names and set(REQUIRED) <= set(plain):
        return "; write the names in small letters, without spaces around them"
    if "" in names:
        return "; a column without a name is in it, as tables write their row numbers: leave it out"
    return ""


def _read_row(where: str, row: dict[str, str]) -> tuple[str, Sample]:
    if None in row or None in row.values():
        raise DataError(f"{where}: this line has another number of columns than the first")
    path, part = row["path"], row["split"]
    if part not in PARTS:
        raise DataError(f"{where}: split {shown(part)!r} is none of {', '.join(PARTS)}")
    if not stays_inside(path):
        raise DataError(f"{where}: path {shown(path)!r} must be relative and stay inside the root")
    pid = _whole_number(where, "pid", row["pid"])
    camid = _whole_number(where, "camid", row["camid"]) if row.get("camid") else UNKNOWN_CAMERA
    if pid < JUNK or camid < UNKNOWN_CAMERA:
        raise DataError(f"{where}: pid {pid} or camid {camid} is negative (only -1 may be: junk, an unknown camera)")
    time = row.get("time") or None
    return part, Sample(path, pid, camid, row.get("domain") or "", None if time is None else _seconds(where, time))


def _seconds(where: str, text: str) -> float:
    number = decimal_number(text)
    if number is None:
        raise DataError(f"{where}: time {shown(text)!r} is not a decimal number of seconds: write it like 12.5")
    return number


def _whole_number(where: str, column: str, text: str) -> int:
    number = whole_number(text)
    if number is None:
        raise DataError(f"{where}: {column} {shown(text)!r} is not a whole number: {HOW}")
    if number > LARGEST:
        raise DataError(f"{where}: {column} {shown(text)} is beyond 2^53")
    return number
