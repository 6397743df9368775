"""MARS (Zheng et al., ECCV 2016): Market-1501 extended to tracklets, by its six cameras.

The images are in bbox_train and bbox_test, with a folder for each person. info/ comes with the authors' evaluation
code: the order of all images, the tracklets as ranges of it, and which test tracklets are queries. The .mat files
count, not the images' names; where they disagree, `data check` says so. As in test_mars.m all test tracklets are the
gallery, the queries too: without these, 140 of the 1,980 queries have no match by another camera.
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
MOST_BYTES = 1 << 26  # of a variable in a .mat file; the largest of the release has some 200 kB


class _Tracks(NamedTuple):
    """Columns [tracklets]: the first image (from 0) and the one behind the last, pid and camid."""

    first: np.ndarray
    end: np.ndarray
    pids: np.ndarray
    camids: np.ndarray


class _Images(NamedTuple):
    """Columns [images] of train or of the test: path, and the row of the tracklet in its .mat; and what is amiss."""

    paths: list[str]
    tracklets: np.ndarray
    absent: list[tuple[str, int]]  # (path, tracklet)
    strays: list[str]
    notes: list[str]
    faults: list[str]


def open_mars(params: MarsParams, root: Path, cache: Path) -> Dataset:
    """Read the release with its info. Raises DataError for a missing folder or file, and for info that is wrong."""
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
    """Names and contents of the pictures and of info. Raises DataError where a folder or a file is not there."""
    return fingerprint_parts(params, root, *FOLDERS.values(), files=INFO, inside=INSIDE, check=_check_layout)


def _check_layout(root: Path) -> None:
    for folder in FOLDERS.values():
        need_folder(root / folder)
    gone = [file for file in INFO if not (root / file).is_file()]
    if gone:
        hint = "" if (root / "info").is_dir() else depth_hint(root / "info")
        raise DataError(f"{shown(root)}: {', '.join(gone)} missing: the folder info of MARS-evaluation, the authors' "
                        f"code, names the tracklets and the queries{hint}")  # fmt: skip


def _finished(dataset: Dataset, params: MarsParams) -> Dataset:
    """The data set against the published counts; with fewer frames nobody published how many images it has."""
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
        notes.append("gallery: others: the query tracklets are not in the gallery, where the authors' code has them")
    return notes


def _whole(root: Path, file: str, name: str) -> np.ndarray:
    """A variable of whole numbers as int64. Raises DataError where the file has no such one."""
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
        raise DataError(
            f"{where}: no numbers called {name} in it, only {', '.join(map(shown, variables)) or 'nothing'}"
        )
    if not (np.abs(values.astype(np.float64)) <= LARGEST).all() or (values != np.rint(values)).any():  # or NaN
        raise DataError(f"{where}: {name} has numbers that are not whole")
    return values.astype(np.int64)


def _tracks(root: Path, part: str) -> _Tracks:
    """The tracklets of train or test. Raises DataError for rows that are no tracklets, or not one behind the other."""
    file, name = TRACKS[part]
    where, rows = shown(root / file), _whole(root, file, name)
    if rows.ndim != 2 or rows.shape[1] != 4 or not len(rows):
        raise DataError(f"{where}: {name} of shape {list(rows.shape)}, expected a row for each tracklet: first image, "
                        "last image, person, camera")  # fmt: skip
    first, last, pids, cameras = rows.T
    before = np.concatenate([[0], last[:-1]])
    for wrong, what in (
        ((pids < JUNK), "a person below -1"),
        ((cameras < 1) | (cameras > CAMERAS), f"a camera that is not 1 to {CAMERAS}"),
        ((last < first), "a last image before the first"),
        ((first != before + 1), "a first image that does not follow on the tracklet before"),
    ):
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(f"{where}: row {row + 1} of {name}, {rows[row].tolist()}, has {what}")
    return _Tracks(first - 1, last, pids, cameras - 1)


def _queries(root: Path, tracks: _Tracks) -> np.ndarray:
    """Which test tracklets [tracklets] are queries. Raises DataError for numbers that are no tracklets of persons."""
    file, name = QUERIES
    where, numbers = shown(root / file), _whole(root, file, name).ravel()
    wrong = (numbers < 1) | (numbers > len(tracks.pids))
    if wrong.any() or not len(numbers):
        example = f", {numbers[wrong][0]} is not one" if wrong.any() else ""
        raise DataError(f"{where}: {name} must have numbers of test tracklets, 1 to {len(tracks.pids)}{example}")
    if len(np.unique(numbers)) < len(numbers):
        raise DataError(f"{where}: {name} names a tracklet twice")
    nobody = tracks.pids[numbers - 1] < 1
    if nobody.any():
        row = int(numbers[nobody][0])
        raise DataError(f"{where}: {name} asks for tracklet {row}, which has no person (pid {tracks.pids[row - 1]})")
    asked = np.full(len(tracks.pids), False)
    asked[numbers - 1] = True
    return asked


def _images(root: Path, part: str, tracks: _Tracks) -> _Images:
    """The images of train or test in the order of their list, those that are there."""
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
        ([path for path, _ in absent], "images of the list are not there"),
        (strays, "files that the list does not name"),
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
    """The names of all images. Raises DataError for a wrong name, one that comes twice, and too many or too few."""
    names = read_lines(file, "list of pictures")
    while names and not names[-1].strip():
        names.pop()
    for number, name in enumerate(names, start=1):
        if NAME.fullmatch(name) is None:
            raise DataError(f"{shown(file)}:{number}: {shown(name)!r} is not a name like {EXAMPLE}")
    if len(names) != tracks.end[-1]:
        raise DataError(f"{shown(file)}: {len(names)} names, but the tracklets of {info} have {tracks.end[-1]} images")
    first = {name: number for number, name in reversed(list(enumerate(names, start=1)))}
    if len(first) < len(names):
        number, name = next((n, name) for n, name in enumerate(names, start=1) if first[name] != n)
        raise DataError(f"{shown(file)}:{number}: {name} is named twice, first in line {first[name]}")
    return names


def _disagreement(names: Sequence[str], tracks: _Tracks, tracklets: np.ndarray, info: str) -> list[str]:
    """The sentence about images whose names have another person or camera than their tracklet, if there are any."""
    pids = np.array([JUNK if name[2] == "-" else int(name[:4]) for name in names])
    camids = np.array([int(name[5]) - 1 for name in names])
    wrong = np.flatnonzero((pids != tracks.pids[tracklets]) | (camids != tracks.camids[tracklets]))
    if not len(wrong):
        return []
    return [f"{len(wrong)} images whose names have another person or camera than {info}, which counts: "
            f"{first_names([names[int(at)] for at in wrong])}"]  # fmt: skip


def _split(root: Path, images: _Images, tracks: _Tracks, frames: int | None, chosen: np.ndarray | None = None) -> Split:
    """The images of the chosen tracklets (all), of each at most so many frames. Raises DataError where none is left."""
    rows = np.arange(len(images.paths)) if frames is None else _spread(images.tracklets, frames)
    if chosen is not None:
        rows = rows[chosen[images.tracklets[rows]]]
    if not len(rows):
        raise DataError(f"{shown(root)}: a split without a picture: none that info names is there")
    tracklets = images.tracklets[rows]
    paths = [images.paths[row] for row in rows.tolist()]
    more = MoreLabels.of(tracklets=tracklets)
    return Split.of_columns(root, paths, tracks.pids[tracklets], tracks.camids[tracklets], more=more)


def _spread(tracklets: np.ndarray, frames: int) -> np.ndarray:
    """The rows of at most so many evenly spread images of each tracklet; images of one follow on each other."""
    starts = np.flatnonzero(np.diff(tracklets, prepend=-1))
    lengths = np.diff(starts, append=len(tracklets))
    middles = 2 * np.arange(frames) + 1
    picked = [
        start + (np.arange(length) if length <= frames else middles * length // (2 * frames))
        for start, length in zip(starts, lengths, strict=True)
    ]
    return np.concatenate(picked) if picked else starts
