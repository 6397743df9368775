"""Features with image names, as written by `reidbench embed`; labels come from the names or a manifest."""

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
    """Image names [N] and features [N, D] of a file."""

    path: Path
    names: tuple[str, ...]
    features: NDArray[Any]


def pair_by_name(given: NamedFeatures) -> Rows:
    """Parse part, pid and camid from names such as query/0002_c1s1_000451_03.jpg and bounding_box_test/...

    Raises DataError if no name has them, and for an image with two different features.
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
            f"{shown(given.path)}: contains no {lacking} images: names must look like {EXAMPLE}, in a folder named "
            f"query, bounding_box_test or gallery, but are {here}; label other names with --manifest FILE.csv "
            "(path,pid,split[,camid])"
        )
    warnings += _left_out(unknown, "no pid and camera in the name")
    warnings += _left_out(elsewhere, "in neither a query nor a gallery folder")
    train = [pid for pid, part in zip(pids, parts, strict=True) if part == "train"]
    kept = ["" if part == "train" else part for part in parts]
    return Rows(given.features[list(first.values())], kept, pids, camids, train, tuple(warnings))


def pair_by_manifest(given: NamedFeatures, manifest: Path, camera: bool, needs: Collection[str] = ()) -> Rows:
    """Take part, pid and camid of each image, and the labels in `needs`, from a manifest.

    A path of the manifest matches names that end with it. Raises DataError if no query or no gallery image is found,
    if two images match one path, or if the manifest has no cameras although `camera` requires them.
    """
    images = read_images(manifest, needs)
    wanted = [image for image in images if image.part != "train"]
    if camera and wanted and all(image.camid is None for image in wanted):
        raise DataError(
            f"{shown(manifest)}: no query or gallery row has a camera (column camid); to score without the camera "
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
                f"{shown(given.path)}: contains no {part} images of {shown(manifest)}; the manifest has {theirs},"
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
        count = f"{len(both)} image{' is' if len(both) == 1 else 's are'}"
        warnings.append(
            f"{count} in both query and gallery of {shown(manifest)}; no query is matched with its own image: {names}"
        )
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
    """Return the rows of images in both query and gallery, in order."""
    of = {part: {row for row, its in zip(rows, parts, strict=True) if its == part} for part in ("query", "gallery")}
    return sorted(of["query"] & of["gallery"])


def _once(given: NamedFeatures) -> tuple[dict[str, int], list[str]]:
    """Return the first row of each name, in order. Raises DataError for a repeated name with other features."""
    first: dict[str, int] = {}
    again = []
    for row, given_name in enumerate(given.names):
        name = posixpath.normpath(given_name.replace("\\", "/"))
        before = first.setdefault(name, row)
        if before != row:
            if not np.array_equal(given.features[before], given.features[row]):
                raise DataError(
                    f"{shown(given.path)}: contains {shown(given_name)} twice, with different features (rows {before} "
                    f"and {row}); remove one of them"
                )
            again.append(given_name)
    return first, list(_left_out(again, "repeated, with equal features"))


def _part(name: str) -> str | None:
    """Return the part named by the innermost folder that names one."""
    folders = reversed(posixpath.dirname(name).lower().split("/"))
    return next((PART_OF[folder] for folder in folders if folder in PART_OF), None)


def _ends(names: Iterable[str], depths: set[int]) -> dict[str, list[str]]:
    """Return the names by path suffix, for each depth in `depths`."""
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
    """Return the row of the image that a path of the manifest matches, or None."""
    if path in first:
        return first[path]
    names = by_end.get(path, [])
    if len(names) > 1:
        raise DataError(
            f"{shown(given.path)}: {shown(path)} of {shown(manifest)} matches both {shown(names[0])} and "
            f"{shown(names[1])}; add more folders of its path to the manifest"
        )
    return first[names[0]] if names else None


def _left_out(names: list[str], why: str, of: str = "") -> tuple[str, ...]:
    """Return the warning about images that are not scored, if any."""
    count = f"{len(names)} image{'' if len(names) == 1 else 's'}"
    return (f"{count}{of} skipped ({why}): {first_names(names)}",) if names else ()
