"""A folder for each identity, such as an animal, and a named rule that splits them: anna/2021-05-03.jpg.

Sets of animals have few images and no official split, so the split is a parameter: its rule, share and number are part
of the key and of the notes. It is drawn from hashes of the names, so it is the same on every machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from reidbench.data import UNKNOWN_CAMERA, Dataset, Split, look_through
from reidbench.data.layouts.labelling import Rules, chosen, divide, draw
from reidbench.data.layouts.naming import Picture, numbered
from reidbench.data.layouts.patterns import PathPattern
from reidbench.data.split import JUNK
from reidbench.data.walk import first_names, stray_notes
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.numbers import whole_number

from .common import fingerprint_parts, need_picture, place
from .params import IdentityFoldersParams

LAYOUT = {"none": "{pid}/*", "folder": "{pid}/{camid}/*"}
OUTSIDE = {
    "none": "they are not in the folder of an identity",
    "folder": "they are not in the folder of a camera in the folder of an identity",
}
LEAST = 3  # images, or cameras, of an identity that is both trained and tested on: one to train on, a pair for the test


def open_folders(params: IdentityFoldersParams, root: Path, cache: Path) -> Dataset:
    """Read the folders and split them.

    Raises DataError if no image is in a folder, one is of junk, or a part would be empty.
    """
    root = place(root, cache)
    tree = look_through(root)
    found = {path: _picture(path, params) for path in tree.images}
    pictures = [picture for picture in found.values() if picture is not None]
    strays = [path for path, picture in found.items() if picture is None]
    if not pictures:
        raise DataError(f"{shown(root)}: no image like {_example(params)} among {len(tree.images)} images")
    junk = next((picture.person for picture in pictures if whole_number(picture.person) == JUNK), None)
    if junk is not None:
        raise DataError(
            f"{shown(root / junk)}: {JUNK} is the pid of junk, not an identity; move the folder away, or make a "
            "manifest, which may have junk: reidbench data manifest"
        )
    trained = _open_set(params, pictures) if params.split == "open" else _closed_set(params, pictures)
    parts, alone = divide([picture for picture in pictures if picture.path not in trained], params.draw)
    if "query" not in parts.values():
        raise DataError(f"{shown(root)}: split {params.split}: {_no_query(params)}")
    placed = {
        part: [p for p in pictures if parts.get(p.path, "train") == part] for part in ("train", "query", "gallery")
    }
    notes = [_said(params, placed), *_alone(params, alone), *_only_trained(params, pictures, parts)]
    notes += stray_notes("train", strays, lambda _: OUTSIDE[params.cameras]) + tree.notes("train")
    train, query, gallery = _splits(root, params, pictures, placed)
    found_strays = {"train": strays} if strays else {}
    return Dataset(root.name, root, train, query, gallery, tuple(notes), strays=found_strays, one_numbering=True)


def fingerprint(params: IdentityFoldersParams, root: Path) -> str:
    """Return names and contents of all images. Raises DataError if there are none."""
    return fingerprint_parts(params, root, check=need_picture)


def _picture(path: str, params: IdentityFoldersParams) -> Picture | None:
    """Return an image with the names of its folders, or None if it is not deep enough."""
    folders = path.split("/")[:-1]
    if len(folders) <= (params.cameras == "folder"):
        return None
    camera = folders[1] if params.cameras == "folder" else ""
    return Picture(path, folders[0], camera, {"pid": folders[0], "camid": camera})


def _example(params: IdentityFoldersParams) -> str:
    return "anna/left/1.jpg" if params.cameras == "folder" else "anna/1.jpg"


def _open_set(params: IdentityFoldersParams, pictures: list[Picture]) -> set[str]:
    """Return the images of the identities to train on. Raises DataError if there are too few identities."""
    rules = Rules(PathPattern(LAYOUT[params.cameras]), f"{params.train}% identities", seed=params.draw)
    names = chosen({picture.person for picture in pictures}, rules)
    return {picture.path for picture in pictures if picture.person in names}


def _closed_set(params: IdentityFoldersParams, pictures: list[Picture]) -> set[str]:
    """Return the images to train on of every identity, camera by camera if cameras are known.

    An identity with too few is only trained on.
    """
    trained: set[str] = set()
    for name, units in _units(pictures).items():
        hashes = {unit: draw(params.draw, "train", f"{name}/{unit}") for unit in units}
        order = sorted(units, key=hashes.__getitem__)
        trained.update(path for unit in order[: _share(len(order), params.train)] for path in units[unit])
    return trained


def _share(count: int, percent: int) -> int:
    """Return the number to train on out of `count`: two remain for the test, unless there are fewer than LEAST."""
    return count if count < LEAST else min(max(1, round(count * percent / 100)), count - 2)


def _units(pictures: list[Picture]) -> Mapping[str, Mapping[str, list[str]]]:
    """Return the paths of each identity by camera, or by image if cameras are unknown."""
    units: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for picture in pictures:
        units[picture.person][picture.camera or picture.path].append(picture.path)
    return units


def _splits(
    root: Path, params: IdentityFoldersParams, pictures: list[Picture], placed: Mapping[str, list[Picture]]
) -> Iterator[Split]:
    """Yield train, query and gallery; identities are numbered from 1 and cameras from 0, both in sorted order."""
    pids = numbered("identity", {picture.person for picture in pictures}, 1)
    camids = {"": UNKNOWN_CAMERA}
    if params.cameras == "folder":
        camids = numbered("camera", {picture.camera for picture in pictures}, 0)
    for found in placed.values():
        rows = [(picture.path, pids[picture.person], camids[picture.camera]) for picture in found]
        yield Split.of_columns(root, *zip(*rows, strict=True)) if rows else Split(root, ())


def _said(params: IdentityFoldersParams, placed: Mapping[str, list[Picture]]) -> str:
    """Return a sentence with the rule of the split and its numbers."""
    what = {"open": "of the identities", "closed": "of the images of each identity"}[params.split]
    if params.cameras == "folder" and params.split == "closed":
        what = "of the cameras of each identity"
    tested = {picture.person for part in ("query", "gallery") for picture in placed[part]}
    trained = {picture.person for picture in placed["train"]}
    return (
        f"split {params.split}, draw {params.draw}, {params.train}% {what} for training: {len(trained)} identities in "
        f"train, {len(tested)} in the test, {len(trained & tested)} in both"
    )


def _no_query(params: IdentityFoldersParams) -> str:
    what = "cameras" if params.cameras == "folder" else "images"
    least = LEAST if params.split == "closed" else 2
    return f"no test identity has {least} {what}, so there are no queries"


def _alone(params: IdentityFoldersParams, alone: list[str]) -> list[str]:
    what = "camera" if params.cameras == "folder" else "image"
    told = f"{len(alone)} test identities have one {what} only: they have no query, and their images are in the gallery"
    return [f"{told}: {first_names(alone)}"] * bool(alone)


def _only_trained(params: IdentityFoldersParams, pictures: list[Picture], parts: Mapping[str, str]) -> list[str]:
    """Return a sentence on identities of a closed set that are too small to be tested on."""
    tested = {picture.person for picture in pictures if picture.path in parts}
    few = sorted({picture.person for picture in pictures} - tested) if params.split == "closed" else []
    what = "cameras" if params.cameras == "folder" else "images"
    told = f"{len(few)} identities have fewer than {LEAST} {what} and are only trained on"
    return [f"{told}: {first_names(few)}"] * bool(few)
