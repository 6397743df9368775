"""Features beside the names of their images, as `reidbench embed` writes them: labels from the names or a manifest."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.data import UNKNOWN_CAMERA
from reidbench.data.layouts.folders import MARKET_LIKE
from reidbench.data.walk import first_names
from reidbench.errors import DataError
from reidbench.files.names import shown

from .manifests import read_images
from .rows import PART_OF, Rows

EXAMPLE = "query/0002_c1s1_000451_03.jpg"


@dataclass(frozen=True)
class NamedFeatures:
    """Names [N] of images and their features [N, D], as a file has them."""

    path: Path
    names: tuple[str, ...]
    features: NDArray[Any]


def pair_by_name(given: NamedFeatures) -> Rows:
    """Take part, pid and camid from names such as query/0002_c1s1_000451_03.jpg and bounding_box_test/...

    Raises DataError where no name has them, and for an image that is there twice with different features.
    """
    first, warnings = _once(given)
    parts, pids, camids, unknown, elsewhere = [], [], [], [], []
    rule = MARKET_LIKE.counting_cameras([posixpath.basename(name) for name in first])
    for name, row in first.items():
        labels = rule.read(posixpath.basename(name))
        part = _part(name)
        if labels is None:
            unknown.append(given.names[row])
        elif part is None:
            elsewhere.append(given.names[row])
        parts.append(part if labels and part else "")
        pids.append(labels[0] if labels else 0)
        camids.append(labels[1] if labels else UNKNOWN_CAMERA)
    if not {"query", "gallery"} <= set(parts):
        lacking = "query" if "query" not in parts else "gallery"
        here = first_names(elsewhere or unknown or given.names)
        raise DataError(
            f"{shown(given.path)}: no image of the {lacking}: names must read like {EXAMPLE}, below a folder query, "
            f"bounding_box_test or gallery, and here are {here}; for other names label them with "
            "--manifest FILE.csv (path,pid,split[,camid])"
        )
    warnings += _left_out(unknown, "no pid and camera in the name")
    warnings += _left_out(elsewhere, "neither in a folder of the query nor of the gallery")
    train = [pid for pid, part in zip(pids, parts, strict=True) if part == "train"]
    kept = ["" if part == "train" else part for part in parts]
    return Rows(given.features[list(first.values())], kept, pids, camids, train, tuple(warnings))


def pair_by_manifest(given: NamedFeatures, manifest: Path, camera: bool, needs: Collection[str] = ()) -> Rows:
    """Take part, pid and camid of each image, and the labels that it `needs`, from a manifest.

    Its paths are ends of the names.

    Raises DataError where no image of the query or of the gallery is found, where two images fit one path, and where
    the manifest has no cameras although `camera` asks for them.
    """
    images = read_images(manifest, needs)
    wanted = [image for image in images if image.part != "train"]
    if camera and wanted and all(image.camid is None for image in wanted):
        raise DataError(
            f"{shown(manifest)}: no row of query and gallery has a camera (column camid); to score without the camera "
            "rule: --no-camera"
        )
    first, warnings = _once(given)
    by_end = _ends(first, {image.path.count("/") + 1 for image in images})
    rows = {image: _place(given, by_end, first, manifest, image.path) for image in images}
    found = [image for image in wanted if rows[image] is not None]
    for part in ("query", "gallery"):
        if part not in {image.part for image in found}:
            theirs = first_names([image.path for image in wanted if image.part == part]) or "none"
            raise DataError(
                f"{shown(given.path)}: no image of the {part} of {shown(manifest)} is in it; the manifest has {theirs},"
                f" the file {first_names(given.names)}"
            )
    missing = [image.path for image in wanted if rows[image] is None]
    used = set(rows.values())
    surplus = [given.names[row] for row in first.values() if row not in used]
    unknown = [image.path for image in found if image.camid is None]
    warnings += _left_out(missing, "no features", f" of {shown(manifest)}")
    warnings += _left_out(surplus, f"not in {shown(manifest)}")
    if camera and unknown:
        count = f"{len(unknown)} image{'' if len(unknown) == 1 else 's'}"
        warnings.append(f"{count} of unknown camera in {shown(manifest)}, kept for every query: {first_names(unknown)}")
    numbers = [row for image in found if (row := rows[image]) is not None]
    both = _in_both([image.part for image in found], numbers)
    if both:
        names = first_names([given.names[row] for row in both])
        count = f"{len(both)} picture{' is' if len(both) == 1 else 's are'}"
        warnings.append(f"{count} in query and gallery of {shown(manifest)}; no query meets its own picture: {names}")
    return Rows(
        given.features[numbers],
        [image.part for image in found],
        [image.pid for image in found],
        [str(UNKNOWN_CAMERA) if image.camid is None else image.camid for image in found],
        [image.pid for image in images if image.part == "train"],
        tuple(warnings),
        numbers if both else None,
        {word: [image.more[word] for image in found] for word in found[0].more},
    )


def _in_both(parts: list[str], rows: list[int]) -> list[int]:
    """The rows of the file that are pictures of the query and of the gallery, in order."""
    of = {part: {row for row, its in zip(rows, parts, strict=True) if its == part} for part in ("query", "gallery")}
    return sorted(of["query"] & of["gallery"])


def _once(given: NamedFeatures) -> tuple[dict[str, int], list[str]]:
    """The first row of each name, in order; a name that comes again must have the same features."""
    first: dict[str, int] = {}
    again = []
    for row, given_name in enumerate(given.names):
        name = posixpath.normpath(given_name.replace("\\", "/"))
        before = first.setdefault(name, row)
        if before != row:
            if not np.array_equal(given.features[before], given.features[row]):
                raise DataError(
                    f"{shown(given.path)}: {shown(given_name)} is in it twice, with different features (rows {before} "
                    f"and {row}); remove one of them"
                )
            again.append(given_name)
    return first, list(_left_out(again, "the same image again, with equal features"))


def _part(name: str) -> str | None:
    """The part of the nearest folder that is called after one."""
    folders = reversed(posixpath.dirname(name).lower().split("/"))
    return next((PART_OF[folder] for folder in folders if folder in PART_OF), None)


def _ends(names: Iterable[str], depths: set[int]) -> dict[str, list[str]]:
    """The names by their last folders and file, for each number of folders that is asked for."""
    found: dict[str, list[str]] = {}
    for name in names:
        pieces = name.split("/")
        for depth in depths:
            if depth <= len(pieces):
                found.setdefault("/".join(pieces[-depth:]), []).append(name)
    return found


def _place(
    given: NamedFeatures, by_end: Mapping[str, list[str]], first: Mapping[str, int], manifest: Path, path: str
) -> int | None:
    """The row of the image that a path of the manifest means, or None."""
    if path in first:
        return first[path]
    names = by_end.get(path, [])
    if len(names) > 1:
        raise DataError(
            f"{shown(given.path)}: {shown(path)} of {shown(manifest)} may be {shown(names[0])} or {shown(names[1])}; "
            "write more folders of its path into the manifest"
        )
    return first[names[0]] if names else None


def _left_out(names: list[str], why: str, of: str = "") -> tuple[str, ...]:
    """The sentence about images that are not scored, if there are any."""
    count = f"{len(names)} image{'' if len(names) == 1 else 's'}"
    return (f"{count}{of} left out ({why}): {first_names(names)}",) if names else ()
