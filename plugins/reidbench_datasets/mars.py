"""MARS (Zheng et al., ECCV 2016): Market-1501 extended to tracklets, with the same six cameras.

The images are in bbox_train and bbox_test, with a folder for each person. info/ comes with the authors' evaluation
code: the order of all images, the tracklets as ranges of it, and the test tracklets that are queries. The .mat files
override the images' names; `data check` reports differences. As in test_mars.m the gallery is all test tracklets,
including the queries: without these, 140 of the 1,980 queries have no match in another camera.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reidbench.data import Dataset, Published, Split, find_overlap, look_through, need_folder, settle_people
from reidbench.data.layouts.folders import LARGEST, depth_hint
from reidbench.data.morelabels import MoreLabels
from reidbench.data.split import JUNK
from reidbench.data.walk import Present, first_names
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.text import read_lines
from reidbench.scoring import matfile

from .common import fingerprint_parts, finish, place
from .counts import PUBLISHED
from .modality_params import MarsParams

FOLDERS = {"train": "bbox_train", "test": "bbox_test"}
NAMES = {"train": "info/train_name.txt", "test": "info/test_name.txt"}
TRACKS = {"train": ("info/tracks_train_info.mat", "track_train_info"),
          "test": ("info/tracks_test_info.mat", "track_test_info")}  # fmt: skip
QUERIES = ("info/query_IDX.mat", "query_IDX")
INFO = (*NAMES.values(), *(file for file, _ in TRACKS.values()), QUERIES[0])
INSIDE = ("MARS", "mars")
NAME = re.compile(r"(?P<pid>00-1|[0-9]{4})C(?P<cam>[1-6])T[0-9]{4}F[0-9]{3,4}\.jpg")  # pid, camera, tracklet, frame
EXAMPLE = "0001C1T0001F001.jpg"
CAMERAS = 6
MOST_BYTES = 1 << 26  # of a variable in a .mat file; the largest of the release has about 200 kB


class _Tracks(NamedTuple):
    """Columns [tracklets]: the first image (from 0), the end (exclusive), pid and camid."""

    first: np.ndarray
    end: np.ndarray
    pids: np.ndarray
    camids: np.ndarray


class _Images(NamedTuple):
    """Columns [images] of train or test: path, and row of the tracklet in its .mat; plus faults."""

    paths: list[str]
    tracklets: np.ndarray
    absent: list[tuple[str, int]]  # (path, tracklet)
    strays: list[str]
    notes: list[str]
    faults: list[str]


def open_mars(params: MarsParams, root: Path, cache: Path) -> Dataset:
    """Read the release with its info. Raises DataError for a missing folder or file, and for invalid info."""
    root = place(root, cache, *INSIDE)
    _check_layout(root)
    tracks = {part: _tracks(root, part) for part in FOLDERS}
    asked = _queries(root, tracks["test"])
    images = {part: _images(root, part, one) for part, one in tracks.items()}
    test = images["test"]
    offered = np.full(len(asked), True) if params.gallery == "all" else ~asked
    parts = {"train": _split(root, images["train"], tracks["train"], params.frames)}
    parts |= {
        part: _split(root, test, tracks["test"], params.frames, chosen)
        for part, chosen in (("query", asked), ("gallery", offered))
    }
    absent = {"train": [path for path, _ in images["train"].absent]}
    absent |= {part: [path for path, row in test.absent if chosen[row]]
               for part, chosen in (("query", asked), ("gallery", offered))}  # fmt: skip
    strays = {"train": images["train"].strays, "gallery": test.strays}
    notes = [*_notes(params), *images["train"].notes, *test.notes]
    dataset = Dataset(
        "mars", root, parts["train"], parts["query"], parts["gallery"], tuple(notes),
        strays={part: files for part, files in strays.items() if files},
        absent={part: files for part, files in absent.items() if files},
    ).with_faults(*images["train"].faults, *test.faults)  # fmt: skip
    return _finished(find_overlap(settle_people(dataset)), params)


def fingerprint(params: MarsParams, root: Path) -> str:
    """Return names and contents of the images and of info. Raises DataError if a folder or a file is missing."""
    return fingerprint_parts(params, root, *FOLDERS.values(), files=INFO, inside=INSIDE, check=_check_layout)


def _check_layout(root: Path) -> None:
    for folder in FOLDERS.values():
        need_folder(root / folder)
    gone = [file for file in INFO if not (root / file).is_file()]
    if gone:
        hint = "" if (root / "info").is_dir() else depth_hint(root / "info")
        raise DataError(f"{shown(root)}: {', '.join(gone)} missing: the folder info of MARS-evaluation, the authors' "
                f"code, lists the tracklets and the queries{hint}")  # fmt: skip


def _finished(dataset: Dataset, params: MarsParams) -> Dataset:
    """Compare the data set with the published counts; with fewer frames the number of images is not published."""
    variant = f"mars:{params.gallery}"
    if params.frames is None:
        return finish(dataset, params, variant)
    published = PUBLISHED[variant]
    parts = {part: replace(counts, images=None) for part, counts in published.parts.items()}
    named = f"{variant}:{params.frames} frames"
    return finish(dataset, params, named, Published(parts, f"{published.source}; all frames"))


def _notes(params: MarsParams) -> list[str]:
    notes = []
    if params.frames is not None:
        notes.append(f"frames: {params.frames}: at most {params.frames} evenly spread frames of each tracklet")
    if params.gallery == "others":
        notes.append("gallery: others: the gallery excludes the query tracklets, unlike in the authors' code")
    return notes


def _whole(root: Path, file: str, name: str) -> np.ndarray:
    """Return a variable of whole numbers as int64. Raises DataError if the file has none of this name."""
    where = shown(root / file)
    try:
        variables = matfile.read_variables(root / file, {name}, MOST_BYTES)
    except matfile.DamagedMatError as error:
        raise DataError(f"{where}: cannot be read: {error}") from None
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error.strerror}") from None
    found = variables.get(name)
    values = found.values if found else None
    if values is None or values.dtype.kind not in "iuf":
        raise DataError(f"{where}: has no numbers called {name}, only {', '.join(map(shown, variables)) or 'nothing'}")
    if not (np.abs(values.astype(np.float64)) <= LARGEST).all() or (values != np.rint(values)).any():  # or NaN
        raise DataError(f"{where}: {name} contains numbers that are not whole")
    return values.astype(np.int64)


def _tracks(root: Path, part: str) -> _Tracks:
    """Return the tracklets of train or test. Raises DataError unless rows are consecutive tracklets."""
    file, name = TRACKS[part]
    where, rows = shown(root / file), _whole(root, file, name)
    if rows.ndim != 2 or rows.shape[1] != 4 or not len(rows):
        raise DataError(f"{where}: {name} has shape {list(rows.shape)}, but needs a row per tracklet: first image, "
                "last image, person, camera")  # fmt: skip
    first, last, pids, cameras = rows.T
    before = np.concatenate([[0], last[:-1]])
    for wrong, what in (
        ((pids < JUNK), "a person below -1"),
        ((cameras < 1) | (cameras > CAMERAS), f"a camera outside 1 to {CAMERAS}"),
        ((last < first), "a last image before the first"),
        ((first != before + 1), "a first image that does not follow the previous tracklet"),
    ):
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(f"{where}: row {row + 1} of {name}, {rows[row].tolist()}, has {what}")
    return _Tracks(first - 1, last, pids, cameras - 1)


def _queries(root: Path, tracks: _Tracks) -> np.ndarray:
    """Return a mask of the test tracklets that are queries. Raises DataError for other numbers."""
    file, name = QUERIES
    where, numbers = shown(root / file), _whole(root, file, name).ravel()
    wrong = (numbers < 1) | (numbers > len(tracks.pids))
    if wrong.any() or not len(numbers):
        example = f", {numbers[wrong][0]} is not one" if wrong.any() else ""
        raise DataError(f"{where}: {name} must contain numbers of test tracklets, 1 to {len(tracks.pids)}{example}")
    if len(np.unique(numbers)) < len(numbers):
        raise DataError(f"{where}: {name} lists a tracklet twice")
    nobody = tracks.pids[numbers - 1] < 1
    if nobody.any():
        row = int(numbers[nobody][0])
        raise DataError(f"{where}: {name} lists tracklet {row}, which has no person (pid {tracks.pids[row - 1]})")
    asked = np.full(len(tracks.pids), False)
    asked[numbers - 1] = True
    return asked


def _images(root: Path, part: str, tracks: _Tracks) -> _Images:
    """Return the existing images of train or test in the order of their list."""
    folder = FOLDERS[part]
    names = _listed(root / NAMES[part], tracks, TRACKS[part][0])
    tracklets = np.repeat(np.arange(len(tracks.first)), tracks.end - tracks.first)
    tree = look_through(root / folder)
    there = Present(f"{folder}/{path}" for path in tree.images)
    paths = [f"{folder}/{name[:4]}/{name}" for name in names]
    found = [there.find(path) for path in paths]
    absent = [(path, int(row)) for path, real, row in zip(paths, found, tracklets, strict=True) if real is None]
    strays = sorted(there.names.difference(filter(None, found)))
    notes = [f"{folder}: {len(files)} {what}: {first_names(files)}" for files, what in (
        ([path for path, _ in absent], "listed images are missing"),
        (strays, "files are not in the list"),
    ) if files]  # fmt: skip
    kept = np.array([real is not None for real in found])
    return _Images(
        [real for real in found if real is not None],
        tracklets[kept],
        absent,
        strays,
        notes + tree.notes(folder),
        _disagreement(names, tracks, tracklets, TRACKS[part][0]),
    )


def _listed(file: Path, tracks: _Tracks, info: str) -> list[str]:
    """Return the names of all images. Raises DataError for invalid, duplicate, missing or extra names."""
    names = read_lines(file, "list of images")
    while names and not names[-1].strip():
        names.pop()
    for number, name in enumerate(names, start=1):
        if NAME.fullmatch(name) is None:
            raise DataError(f"{shown(file)}:{number}: {shown(name)!r} is not a name like {EXAMPLE}")
    if len(names) != tracks.end[-1]:
        raise DataError(
            f"{shown(file)}: has {len(names)} names, but the tracklets of {info} have {tracks.end[-1]} images"
        )
    first = {name: number for number, name in reversed(list(enumerate(names, start=1)))}
    if len(first) < len(names):
        number, name = next((n, name) for n, name in enumerate(names, start=1) if first[name] != n)
        raise DataError(f"{shown(file)}:{number}: duplicate name {name}, first in line {first[name]}")
    return names


def _disagreement(names: Sequence[str], tracks: _Tracks, tracklets: np.ndarray, info: str) -> list[str]:
    """Return the fault of images whose names differ from their tracklet in person or camera, if any."""
    pids = np.array([JUNK if name[2] == "-" else int(name[:4]) for name in names])
    camids = np.array([int(name[5]) - 1 for name in names])
    wrong = np.flatnonzero((pids != tracks.pids[tracklets]) | (camids != tracks.camids[tracklets]))
    if not len(wrong):
        return []
    return [f"{len(wrong)} images have a person or camera in their names that differs from {info}, which is used: "
        f"{first_names([names[int(at)] for at in wrong])}"]  # fmt: skip


def _split(root: Path, images: _Images, tracks: _Tracks, frames: int | None, chosen: np.ndarray | None = None) -> Split:
    """Return the images of the chosen tracklets, at most `frames` of each. Raises DataError if none remains."""
    rows = np.arange(len(images.paths)) if frames is None else _spread(images.tracklets, frames)
    if chosen is not None:
        rows = rows[chosen[images.tracklets[rows]]]
    if not len(rows):
        raise DataError(f"{shown(root)}: a split has no image: every image in the info is missing")
    tracklets = images.tracklets[rows]
    paths = [images.paths[row] for row in rows.tolist()]
    more = MoreLabels.of(tracklets=tracklets)
    return Split.of_columns(root, paths, tracks.pids[tracklets], tracks.camids[tracklets], more=more)


def _spread(tracklets: np.ndarray, frames: int) -> np.ndarray:
    """Return rows of at most `frames` evenly spread images of each tracklet; images of a tracklet are consecutive."""
    starts = np.flatnonzero(np.diff(tracklets, prepend=-1))
    lengths = np.diff(starts, append=len(tracklets))
    middles = 2 * np.arange(frames) + 1
    picked = [
        start + (np.arange(length) if length <= frames else middles * length // (2 * frames))
        for start, length in zip(starts, lengths, strict=True)
    ]
    return np.concatenate(picked) if picked else starts
