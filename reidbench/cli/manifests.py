"""Create a manifest of a user's own images: parse their names, split them, write the CSV and check it."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from reidbench.data import read_manifest
from reidbench.data.layouts.labelling import Labels, Rules, label
from reidbench.data.layouts.naming import Picture
from reidbench.data.layouts.patterns import PathExpression, PathPattern
from reidbench.data.morelabels import UNKNOWN, MoreLabels
from reidbench.data.overlap import find_overlaps, image_numbers, several_persons
from reidbench.data.pictures.images import read_image
from reidbench.data.published import MORE_WORDS, count
from reidbench.data.split import Split
from reidbench.data.walk import first_names, look_through
from reidbench.errors import DataError, ReidbenchError
from reidbench.files.atomic import write_whole
from reidbench.files.cache import cache_folder
from reidbench.files.names import shown
from reidbench.registry import plugins

from .copies import bar
from .options import at_home

IMAGES = "images"  # the parameter of the data set that reads manifests


@dataclass(frozen=True)
class Wanted:
    """Options of `reidbench data manifest`."""

    pattern: str | None
    regex: str | None
    camera: str | None
    split: str
    seed: int
    distractors: str | None
    strict: bool

    def rules(self) -> Rules:
        """Return the rules from names to labels.

        Raises DataError for a bad pattern, ReidbenchError unless exactly one of pattern and regex is given.
        """
        if (self.pattern is None) == (self.regex is None):
            raise ReidbenchError("give either --pattern or --regex, which extracts the identity from each image's name")
        pattern = PathPattern(self.pattern) if self.pattern is not None else PathExpression(self.regex or "")
        return Rules(pattern, self.split, self.camera or "", self.seed, self.distractors)


def make(folder: Path, out: Path, wanted: Wanted) -> bool:
    """Write the manifest `out` of the images in or below a folder, and its map of names.

    Returns whether the labels are consistent. Raises DataError if Rules or `label` rejects the input, or if no image
    matches.
    """
    rules = wanted.rules()
    given, folder, out = out, _place(folder), _place(out)
    if not out.parent.is_dir():
        raise DataError(f"{shown(out.parent)}: no such folder, so {shown(out.name)} cannot be written")
    pictures, notes = _pictures(folder, rules, wanted.strict, {out, map_file(out)})
    labels = label(pictures, rules)
    start = _below(folder, out.parent)
    write_whole(map_file(out), _map(labels, wanted).encode())
    write_whole(out, _csv(labels, start or "").encode())
    for note in (*notes, *labels.notes):
        print(f"note: {note}")
    consistent = _print_checked(out, folder if start is None else out.parent)
    _print_entry(given, None if start is not None else os.path.relpath(folder, out.parent))
    return consistent


def _place(path: Path) -> Path:
    """Return the absolute path without `..`; links are not resolved."""
    return Path(os.path.abspath(at_home(path)))  # noqa: PTH100 - Path.resolve would follow links


def map_file(out: Path) -> Path:
    """Return the file next to a manifest that maps names of persons and cameras to numbers."""
    return out.with_suffix(".map.json")


def _pictures(folder: Path, rules: Rules, strict: bool, own: set[Path]) -> tuple[list[Picture], list[str]]:
    """Return the labels parsed from the names of all images that can be decoded, and notes on skipped images."""
    if not folder.is_dir():
        raise DataError(f"{shown(folder)}: no such folder")
    tree = look_through(folder)
    tree.others = [path for path in tree.others if folder / path not in own]
    read = {path: rules.read(path) for path in tree.images}
    found = [picture for picture in read.values() if picture is not None]
    if not found:
        raise DataError(f"{shown(folder)}: {_no_match(tree.images, rules)}")
    broken = dict(_broken(folder, [picture.path for picture in found]))
    strangers = [path for path, picture in read.items() if picture is None]
    left = [*_left_out(strangers, len(read), f"do not match {shown(rules.pattern.text)}"),
            *_left_out(list(broken), len(read), "cannot be written into a manifest or decoded")]  # fmt: skip
    if strict and left:
        raise DataError(f"{shown(folder)}: {'; '.join(left)}")
    if len(broken) == len(found):
        raise DataError(f"{shown(folder)}: no image can be used: {next(iter(broken.values()))}")
    return [picture for picture in found if picture.path not in broken], [*left, *tree.notes(shown(folder))]


def _no_match(paths: list[str], rules: Rules) -> str:
    if not paths:
        return "contains no images"
    cure = (
        "; write paths with /, not \\" if isinstance(rules.pattern, PathPattern) and "\\" in rules.pattern.text else ""
    )
    return f"none of {len(paths)} images matches {shown(rules.pattern.text)}, first {first_names(paths[:3])}{cure}"


def _left_out(paths: list[str], of: int, why: str) -> list[str]:
    return [f"{len(paths)} of {of} images {why}, first {', '.join(map(shown, paths[:3]))}"] * (len(paths) > 0)


def _broken(folder: Path, paths: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the images that no stage could read, with the reason."""
    with bar("decoding") as progress:
        for number, path in enumerate(paths, start=1):
            try:
                path.encode()
                read_image(folder / path)
            except UnicodeEncodeError:
                yield path, f"{shown(path)}: its name is not UTF-8"
            except DataError as error:
                yield path, str(error)
            progress(number, len(paths))


def _below(folder: Path, place: Path) -> str | None:
    """Return the relative path from a place to a folder, with a trailing /; None if the folder is not below it."""
    if not folder.is_relative_to(place):
        return None
    way = folder.relative_to(place).as_posix()
    return "" if way == "." else f"{way}/"


def _csv(labels: Labels, start: str) -> str:
    """Return the CSV text, one line per image. Columns of labels that no image has are left out."""
    paths, pids, camids, parts = zip(*labels.rows, strict=True)
    columns: dict[str, Sequence[object]] = {"path": [start + path for path in paths], "pid": pids}
    columns |= {"camid": camids} if labels.cameras else {}
    columns |= {"split": parts, **_more_columns(labels.beyond.labels)}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return stream.getvalue()


def _more_columns(labels: MoreLabels) -> dict[str, Sequence[object]]:
    """Return the manifest columns of labels beyond identity; an empty cell means unknown."""
    found: dict[str, Sequence[object]] = {}
    if labels.clothes is not None:
        found["clothes"] = _cells(labels.clothes)
    if labels.modality is not None:
        found["modality"] = labels.modality
    if labels.tracklets is not None:
        found["tracklet"] = _cells(labels.tracklets)
    return found


def _cells(numbers: np.ndarray) -> list[object]:
    return ["" if number == UNKNOWN else number for number in numbers.tolist()]


def _map(labels: Labels, wanted: Wanted) -> str:
    """Return the numbers of persons, cameras and other labels by name, with the options used, as JSON."""
    options = {name: value for name, value in vars(wanted).items() if name != "strict" and value is not None}
    more = labels.beyond
    found = {"pid": labels.persons, "camid": labels.cameras}
    walks = [walk._asdict() for walk in more.walks]
    beyond = {"clothes": more.clothes, "modality": more.modality, "tracklet": walks}
    named = {name: value for name, value in beyond.items() if value}
    return json.dumps({**options, **found, **named}, indent=1, ensure_ascii=False) + "\n"


def _print_checked(out: Path, root: Path) -> bool:
    """Print the manifest's counts, problems and notes. Returns whether the labels are consistent."""
    dataset = read_manifest(out, root=root)
    parts = dataset.parts()
    numbers = image_numbers(dataset, cache_folder())
    overlap = find_overlaps(dataset, numbers)
    several = [*several_persons(parts, numbers, ("train",), "train")]
    test = [part for part in ("query", "gallery") if part in parts]
    if not several and not any(several_persons(parts, numbers, test)):  # else its sentence is one of the overlap's
        several = [*several_persons(parts, numbers, tuple(parts), "train and test")]
    problems = [*dataset.faults, *overlap.problems, *several]
    for part, split in parts.items():
        print(f"{part}: {len(split)} images, {split.num_pids} identities, {split.num_cameras} cameras{_more(split)}")
    for problem in problems:
        print(f"problem: {problem}")
    for note in (*dataset.notes, *overlap.notes, *overlap.remarks):
        if note not in problems:
            print(f"note: {note}")
    return not problems


def _more(split: Split) -> str:
    """Return the numbers of outfits, tracklets and images of each modality, as the end of a sentence."""
    found = count(split)
    told = {what: found.number(what) for what in (*MORE_WORDS, *(f"{word} images" for word in found.modality))}
    return "".join(f", {number} {what}" for what, number in told.items() if number)


def _print_entry(out: Path, images: str | None) -> None:
    """Print the matrix-file entry of the manifest, relative to the working folder, if a loaded data set reads one."""
    print(f"wrote {out}")
    reader = _reader()
    if reader is not None:
        entry = {"use": reader, "root": str(out).replace("$", "$$")} | ({IMAGES: images} if images else {})
        text = yaml.safe_dump({"own": entry}, default_flow_style=None, allow_unicode=True, width=10**6, sort_keys=False)
        print(f"in a matrix file:\ndata:\n  {text}", end="")


def _reader() -> str | None:
    """Return the name of the data set that reads manifests, recognised by its parameter `images`."""
    components = plugins.load().components.items()
    return next(
        (name for (kind, name), one in components if kind == "dataset" and IMAGES in one.params.model_fields), None
    )
