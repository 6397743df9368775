"""CSV manifest: `path,pid,split` and optional columns, one line per image. The format for a user's own data.

If the column `camid` is missing or a cell is empty, the camera is unknown (-1), and the camera rule does not apply to
the image. The same holds for `clothes`, `modality`, `tracklet` and `attributes` (`name=value;name=value`): see
MoreLabels.
"""

from __future__ import annotations

import csv
import io
import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from reidbench.data.dataset import PARTS, Dataset
from reidbench.data.hidden import UNKNOWN_CAMERA
from reidbench.data.morelabels import UNKNOWN
from reidbench.data.people import find_overlap, settle_people
from reidbench.data.split import JUNK, Sample, Split
from reidbench.errors import DataError, DataErrors
from reidbench.files.names import shown, stays_inside
from reidbench.files.text import read_text

from .cells import read_attributes, read_label, read_modality, read_number, read_seconds
from .walks import Walks

REQUIRED = ("path", "pid", "split")
OPTIONAL = ("camid", "domain", "time", "clothes", "modality", "tracklet", "attributes")
EXPECTED = f"{','.join(REQUIRED)}[,{','.join(OPTIONAL)}]"
OTHER_COLUMNS = "this line does not have as many columns as the first"
LABELS = {  # labels that some images may lack: how a manifest writes that, and its effect
    "camera": ("camid empty or -1", "the camera rule does not apply to them"),
    "clothes": ("empty or -1", "no rule about clothes applies to them"),
    "modality": ("empty", "no rule about modalities applies to them"),
    "tracklet": ("empty or -1", "they stay single when tracklets are pooled"),
    "attributes": ("empty", "they are unknown"),
}
SHOWN = 20  # mistakes that are reported in full; the rest are counted


def read_manifest(file: Path, *, root: Path | None = None, name: str = "") -> Dataset:
    """Read a manifest. Paths are relative to `root`, by default the manifest's folder.

    Links under the root are followed. Train rows of pid -1 are left out, with a note. Raises DataErrors with a line
    `file:line: what is wrong` for each invalid cell, each path that is outside the root or appears twice in one split,
    and each tracklet whose images contradict each other. Raises DataError for a missing column, and a file that is not
    UTF-8.
    """
    file, where = Path(file), shown(file)
    if not file.exists():
        raise DataError(f"{where}: no such manifest")
    rows: dict[str, list[Sample]] = {part: [] for part in PARTS}
    seen: set[tuple[str, str]] = set()
    mistakes, walks = Mistakes(where), Walks()
    for line, row in _lines(file, mistakes):
        wrong = [] if None not in row and None not in row.values() else [OTHER_COLUMNS]
        part, sample = _read_row(row, wrong) if not wrong else ("", None)
        if sample is not None:
            place = part, posixpath.normpath(sample.path)
            wrong += [f"{shown(sample.path)} appears twice in {part}"] * (place in seen)
            wrong += walks.add(line, *place, sample)
            seen.add(place)
            rows[part].append(sample)
        mistakes.add(line, wrong)
    for line, sentence in walks.parted():
        mistakes.add(line, [sentence])
    mistakes.raise_any()
    dataset = _dataset(file, root or file.parent, name or file.stem, rows)
    return find_overlap(settle_people(_with_label_notes(dataset)))


class Mistakes:
    """Mistakes in the lines of a file: the first SHOWN sentences, and their number."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.count = 0
        self._first: list[str] = []

    def add(self, line: int, sentences: Sequence[str]) -> None:
        """Record the mistakes of a line, counted from 1."""
        self.count += len(sentences)
        self._first += [f"{self.where}:{line}: {sentence}" for sentence in sentences[: SHOWN - len(self._first)]]

    def raise_any(self) -> None:
        """Raise DataErrors if there is any mistake."""
        more = self.count - len(self._first)
        if self.count:
            raise DataErrors([*self._first, *([f"{self.where}: {more} more mistakes"] * (more > 0))])


def _lines(file: Path, mistakes: Mistakes) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, cells by column) as far as the text is CSV. Raises DataError for an invalid first line."""
    reader = csv.DictReader(io.StringIO(read_text(file, "CSV text file"), newline=""))
    try:
        _check_header(mistakes.where, reader.fieldnames)
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        mistakes.add(reader.line_num, [f"not a CSV text file: {error}"])


def _dataset(file: Path, root: Path, name: str, rows: dict[str, list[Sample]]) -> Dataset:
    if not any(rows.values()):
        raise DataError(f"{shown(file)}: no images; add one line per image, with split train, query or gallery")
    if bool(rows["query"]) != bool(rows["gallery"]):
        there, absent = ("query", "gallery") if rows["query"] else ("gallery", "query")
        raise DataError(f"{shown(file)}: rows with split={there} but none with split={absent}")
    query, gallery = (Split(root, rows[part]) if rows[part] else None for part in ("query", "gallery"))
    return Dataset(name, root, Split(root, rows["train"]), query, gallery)


def _with_label_notes(dataset: Dataset) -> Dataset:
    """Return the data set with a note for each label that only some images of a split have."""
    parts = dataset.parts()
    known = {part: _known(split) for part, split in parts.items()}
    notes = []
    for label, (written, effect) in LABELS.items():
        if not any(labels[label].any() for labels in known.values()):
            continue
        for part, split in parts.items():
            missing = np.flatnonzero(~known[part][label])
            if len(missing):
                notes.append(f"{part}: {len(missing)} of {len(split)} images have no {label} ({written}), first "
                             f"{shown(split.paths[int(missing[0])])}: {effect}")  # fmt: skip
    return dataset.with_notes(*notes, *_modality_note(parts))


def _modality_note(parts: Mapping[str, Split]) -> list[str]:
    """Note the images of each modality if there are more than two, since a misspelt word is a separate modality."""
    counts = Counter(word for split in parts.values() for word in split.modality or () if word)
    told = ", ".join(f"{word} ({count} images)" for word, count in sorted(counts.items()))
    return [f"{len(counts)} modalities: {told}"] * (len(counts) > 2)


def _known(split: Split) -> dict[str, np.ndarray]:
    """Whether each image [N] has each label of LABELS."""
    rows = [(camid, *more) for camid, more in zip(split.camids.tolist(), split.more.rows(len(split)), strict=True)]
    known = [[value not in (UNKNOWN, "", None) for value in row] for row in rows]
    return dict(zip(LABELS, np.array(known, dtype=bool).reshape(len(rows), len(LABELS)).T, strict=True))


def _check_header(where: str, header: object) -> None:
    if not isinstance(header, list):
        raise DataError(f"{where}: is empty; the first line must be {EXPECTED}")
    missing = [column for column in REQUIRED if column not in header]
    unknown = [column for column in header if column not in REQUIRED + OPTIONAL]
    twice = len(set(header)) < len(header)
    if missing or unknown or twice:
        what = [f"missing {', '.join(missing)}"] * bool(missing)
        what += [f"unknown {shown(', '.join(map(repr, unknown)))}"] * bool(unknown)
        told = "; ".join(what or ["that occur twice"])
        raise DataError(f"{where}:1: columns {told}; expected {EXPECTED}{_header_cure(header)}")


def _header_cure(names: list[str]) -> str:
    """Likely mistake in a first line, as the end of a sentence; empty if unknown."""
    other = next((mark for mark in (";", "\t") if mark in "".join(names)), None)
    if other:
        return f"; this file separates columns with {other!r}, not with commas"
    plain = [name.strip().lower() for name in names]
    if plain != names and set(REQUIRED) <= set(plain):
        return "; write the names in lower case, without spaces around them"
    if "" in names:
        return "; it has a column without a name, such as row numbers: remove it"
    return ""


def _read_row(row: dict[str, str], wrong: list[str]) -> tuple[str, Sample | None]:
    """Split and image of a line; None if a cell is wrong. Each wrong cell adds a sentence to `wrong`."""
    path, part = row["path"], row["split"]
    if part not in PARTS:
        wrong.append(f"split {shown(part)!r} is not one of {', '.join(PARTS)}")
    if not stays_inside(path):
        wrong.append(f"path {shown(path)!r} must be relative and stay inside the root")
    pid = read_number("pid", row["pid"], wrong)
    camid = read_number("camid", row["camid"], wrong) if row.get("camid") else UNKNOWN_CAMERA
    if pid < JUNK or camid < UNKNOWN_CAMERA:
        wrong.append(f"pid {pid} or camid {camid} is negative: write -1 for junk or an unknown camera")
    sample = Sample(
        path,
        pid,
        camid,
        row.get("domain") or "",
        read_seconds(row.get("time"), wrong),
        read_label("clothes", row.get("clothes"), wrong),
        read_modality(row.get("modality"), wrong),
        read_label("tracklet", row.get("tracklet"), wrong),
        read_attributes(row.get("attributes"), wrong),
    )
    return part, None if wrong else sample
