"""Manifests that label features by image name: path,pid,split[,camid,...], one line per image."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reidbench.data.walk import first_names
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.placeholders import refuse_placeholder

from .names import IMAGE_NAMES, NOUNS, PART_NAMES
from .tables import find_column, label_of, open_csv, part_of

COLUMNS = "path,pid,split[,camid]"


@dataclass(frozen=True)
class Image:
    """A row of a manifest. camid is None if the column is missing or the cell is empty.

    `more` has labels beyond identity by column, "" for an empty cell.
    """

    path: str
    part: str
    pid: str
    camid: str | None
    more: Mapping[str, str] = field(default_factory=dict, hash=False)


def read_images(manifest: Path, needs: Collection[str] = ()) -> list[Image]:
    """Return the rows of a manifest in order. Labels may be strings; label columns not in `needs` are ignored.

    Raises DataError as `file:line: what is wrong`.
    """
    refuse_placeholder(manifest)
    where = shown(manifest)
    with open_csv(manifest) as reader:
        names: list[str] = next(reader, [])
        accepted = {"path": IMAGE_NAMES, "pid": NOUNS["pids"], "split": PART_NAMES, "camid": NOUNS["camids"]}
        accepted |= {word: NOUNS[word] for word in needs}
        places = {name: find_column(f"{where}:1", names, found) for name, found in accepted.items()}
        if lacking := [name for name in ("path", "pid", "split") if places[name] is None]:
            has = first_names(names) or "nothing"
            raise DataError(f"{where}:1: missing {', '.join(lacking)}; expected {COLUMNS}; the file has: {has}")
        found: dict[tuple[str, str], Image] = {}
        for row in reader:
            line = f"{where}:{reader.line_num}"
            if not row:
                continue
            if len(row) != len(names):
                raise DataError(f"{line}: this line has {len(row)} columns, the first has {len(names)}")
            image = _image(line, needs, {name: row[place] for name, place in places.items() if place is not None})
            if found.setdefault((image.part, image.path), image) is not image:
                raise DataError(f"{line}: {shown(image.path)} appears twice in {image.part}")
    return list(found.values())


def _image(line: str, needs: Collection[str], row: dict[str, str]) -> Image:
    if not row["path"].strip():
        raise DataError(f"{line}: the path is empty")
    camid = label_of(line, "camid", row["camid"]) if row.get("camid") else None
    path = posixpath.normpath(row["path"].replace("\\", "/"))
    more = {word: label_of(line, word, row[word]) if row[word] else "" for word in needs if word in row}
    return Image(path, part_of(line, row["split"]), label_of(line, "pid", row["pid"]), camid, more)
