"""Feature files of anybody's: what is in them by any of the usual names, checked, read without executing anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.placeholders import refuse_placeholder

from .beyond import SIDES, More, Needs, check_length, more_of_keys, more_of_rows
from .doubts import camera_doubts, label_doubts
from .namedfeatures import NamedFeatures, pair_by_manifest, pair_by_name
from .names import Keys
from .pids import Ints, array_of, mapped
from .rows import Rows
from .sources import Source, matrix_of, open_source, value_of
from .tables import is_table, part_of, read_table

FORMS = ".npz, .mat, .pt, .pth, .csv and .parquet files, and folders of .npy files"
PIDS = ("query_pids", "gallery_pids")
CAMIDS = ("query_camids", "gallery_camids")
FEATURES = ("query_features", "gallery_features")
UNKNOWN_CAMERA = -1
NO_NEEDS: Needs = {}

Use = Literal["features", "distances"]


@dataclass(frozen=True)
class MappedLabels:
    """Labels as numbers by their keys in the file, and what FeatureFile says about them."""

    values: Mapping[str, Ints]
    about: dict[str, Any]


@dataclass(frozen=True)
class FeatureFile:
    """One feature file: pids and camids (int64 [Q] and [G]), and features [Q, D] and [G, D] or distances [Q, G].

    Without cameras camids are -1. query_images [Q] and gallery_images [G] number the pictures where the file does, as
    those of a matrix do: equal numbers are the same picture. query_more and gallery_more have the labels beyond
    identity that were asked for, by name: clothes, modality, tracklets. Labels that are texts are numbered, and
    `pid_texts` and `camid_texts` have the text of each number. `keys` has the names of features or distances in the
    file, by ours. `warnings` are sentences about what was left out, assumed or looks wrong.
    """

    path: Path
    query_pids: Ints
    query_camids: Ints
    gallery_pids: Ints
    gallery_camids: Ints
    query_features: NDArray[Any] | None = None
    gallery_features: NDArray[Any] | None = None
    distances: NDArray[Any] | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    pid_texts: Mapping[int, str] = field(default_factory=dict)
    camid_texts: Mapping[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    query_images: Ints | None = None
    gallery_images: Ints | None = None
    query_more: More = field(default_factory=dict)
    gallery_more: More = field(default_factory=dict)

    @property
    def images(self) -> dict[str, Any]:
        """As the ranking functions take them."""
        return {"query_images": self.query_images, "gallery_images": self.gallery_images}

    @property
    def labels(self) -> tuple[Ints, Ints, Ints, Ints]:
        """As the ranking functions take them."""
        return self.query_pids, self.query_camids, self.gallery_pids, self.gallery_camids


def read_features(
    path: Path | str,
    *,
    camera: bool = True,
    use: Use | None = None,
    manifest: Path | None = None,
    needs: Needs = NO_NEEDS,
) -> FeatureFile:
    """Read a file or folder of any form that score takes; nothing in it is executed.

    Without `camera` the keys of cameras may be missing. `use` chooses where a file has both features and distances.
    `manifest` (path,pid,split[,camid]) labels a file of features with image names, such as `reidbench embed` writes.
    `needs` are labels beyond identity, each with the rule that asks for it; no others are read.
    Raises DataError, one sentence with the file, its keys and what to do, for whatever is missing, damaged or of
    another type.
    """
    path = Path(path)
    if not path.is_dir():
        check_name(path)
        refuse_placeholder(path)
    if is_table(path):
        if manifest is not None:
            raise DataError(
                f"{shown(path)}: --manifest is for features with image names; this table has its own labels"
            )
        return _of_rows(path, read_table(path, camera, needs), camera, needs)
    source = open_source(path)
    assert source is not None  # check_name
    keys = Keys.of(source.names)
    if manifest is not None:
        rows = pair_by_manifest(named_features(source, keys), manifest, camera, needs)
        return _of_rows(path, _said_unused(keys, rows), needs=needs)
    if "features" in keys and not keys.by_role.keys() & {*PIDS, *FEATURES, "distances"}:
        if "pids" in keys and ("num_query" in keys or "parts" in keys):
            return _of_rows(path, _stacked(source, keys, camera, needs), camera, needs)
        if "names" in keys:
            return _of_rows(path, _said_unused(keys, pair_by_name(named_features(source, keys))), needs=needs)
    return _of_keys(source, keys, camera, use, needs)


def check_name(path: Path) -> None:
    """Raise DataError for a file that is of no form which is read, by its ending."""
    if path.suffix.lower() not in (".npz", ".mat", ".pt", ".pth", ".csv", ".parquet"):
        hints = {
            ".npy": "; put the arrays as query_features.npy, query_pids.npy, ... into one folder and name the folder",
            ".pkl": "; a pickle can run code: save with numpy.savez",
            ".pickle": "; a pickle can run code: save with numpy.savez",
        }
        hint = hints.get(path.suffix.lower(), "") if path.exists() else ""
        missing = "" if path.exists() else "no such file, and "
        raise DataError(f"{shown(path)}: {missing}not a feature file by its name; score reads {FORMS}{hint}")


# ------------------------------------------------------------------ one array for queries, one for the gallery
def _of_keys(source: Source, keys: Keys, camera: bool, use: Use | None, needs: Needs) -> FeatureFile:
    what = _what(source.path, keys, use)
    wanted = [*PIDS, *(CAMIDS if camera else ()), *what]
    if missing := [role for role in wanted if role not in keys]:
        raise DataError(f"{shown(source.path)}: {_missing(keys, missing)}")
    texts = [role for role in (*PIDS, *CAMIDS) if role in keys]
    found = _labels(
        source.path,
        {keys.first(role): value_of(source, keys, role) for role in texts if role in PIDS},
        {keys.first(role): value_of(source, keys, role) for role in texts if role in CAMIDS},
        {keys.first("train_pids"): value_of(source, keys, "train_pids")} if "train_pids" in keys else {},
        camera=camera,
    )
    labels: dict[str, Any] = {role: found.values.get(keys.first(role)) for role in (*PIDS, *CAMIDS)}
    matrices: dict[str, Any] = {role: matrix_of(source, keys, role) for role in what}
    _check_shapes(source.path, keys, labels, matrices)
    for side in ("query", "gallery"):
        if labels[f"{side}_camids"] is None:
            labels[f"{side}_camids"] = np.full(len(labels[f"{side}_pids"]), UNKNOWN_CAMERA)
    images, said = _images(source, keys, labels)
    theirs = {role: keys.first(role) for role in what}
    about: dict[str, Any] = {**found.about, **more_of_keys(source, keys, labels, needs)}
    about["warnings"] = (*about["warnings"], *said)
    return FeatureFile(source.path, **labels, **matrices, **images, keys=theirs, **about)


def _images(source: Source, keys: Keys, labels: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Numbers of pictures, where both sides have one for each image; other programs save pixels under these names.

    And a warning where they are something else. Raises DataError for another number of them, and for broken numbers.
    """
    roles = [f"{side}_images" for side in SIDES]
    if not set(roles) <= keys.by_role.keys():
        return {}, ()
    found = {role: array_of(source.path, keys.first(role), value_of(source, keys, role)) for role in roles}
    if any(values.ndim > 2 or (values.ndim == 2 and 1 not in values.shape) for values in found.values()):
        return {}, ()  # pixels
    if other := [role for role, values in found.items() if values.dtype.kind not in "iuf"]:
        name, kind = shown(keys.first(other[0])), found[other[0]].dtype
        return {}, (f"{name} is not used: it has {kind} in place of whole numbers, equal for the same picture",)
    numbers = mapped(source.path, {keys.first(role): values for role, values in found.items()}).values
    for role in roles:
        pids = f"{role.split('_')[0]}_pids"
        check_length(source.path, keys, role, numbers[keys.first(role)], pids, labels[pids])
    return {role: numbers[keys.first(role)] for role in roles}, ()


def _what(path: Path, keys: Keys, use: Use | None) -> tuple[str, ...]:
    """The roles to score by: features or distances."""
    held = [role for role in FEATURES if role in keys]
    if "distances" in keys and len(held) == len(FEATURES) and use is None:
        raise DataError(
            f"{shown(path)}: holds distances ({shown(keys.first('distances'))}) and features "
            f"({', '.join(shown(keys.first(role)) for role in held)}); choose what is scored: --use features, or "
            "--use distances"
        )
    if use == "distances" or ("distances" in keys and use is None):
        return ("distances",)
    return FEATURES


def _missing(keys: Keys, roles: list[str]) -> str:
    """Sentence: what the file lacks, what it has, and how to go on."""
    text = keys.missing(*roles)
    if set(roles) & set(FEATURES) and "distances" not in keys:
        text += "; a matrix of distances [queries, gallery] may stand for features, as 'distances' or 'distmat'"
        if "similarities" in keys:
            text += f": negate {shown(keys.first('similarities'))!r}, for smaller is nearer, and call it 'distances'"
    if set(roles) & set(FEATURES) and "distances" in keys:
        text += "; to score its distances leave --use away"
    if set(roles) & set(CAMIDS):
        text += "; to score without the camera rule: --no-camera"
    if set(roles) >= {*PIDS, *FEATURES} and "features" in keys:
        text += (
            "; one array of all features needs pids, camids and num_query (its first rows) or part (query or gallery, "
            "for each row), or the names of the images, see --manifest"
        )
    return text


def _check_shapes(path: Path, keys: Keys, labels: dict[str, Any], matrices: dict[str, NDArray[Any]]) -> None:
    """Raise DataError where rows and labels differ in number, by the names that the file has for them."""
    for side in ("query", "gallery"):
        pids = labels[f"{side}_pids"]
        for role, values in (
            (f"{side}_camids", labels[f"{side}_camids"]),
            (f"{side}_features", matrices.get(f"{side}_features")),
        ):
            if values is not None:
                check_length(path, keys, role, values, f"{side}_pids", pids)
    shape = tuple(len(labels[role]) for role in PIDS)
    if "distances" in matrices and matrices["distances"].shape != shape:
        given = matrices["distances"].shape
        cure = "; transpose it: one row a query" if given[::-1] == shape else ""
        raise DataError(
            f"{shown(path)}: {shown(keys.first('distances'))} has shape {given} but there are {shape[0]} queries and "
            f"{shape[1]} gallery rows{cure}"
        )


def _labels(
    path: Path, pids: dict[str, Any], camids: dict[str, Any], train: dict[str, Any], *, camera: bool
) -> MappedLabels:
    """pids and camids as numbers, by the same keys, and what is to be said about them; with `camera` of cameras too."""
    persons, cameras = mapped(path, {**pids, **train}), mapped(path, camids)
    warnings = [
        f"the {what} are partly numbers and partly texts, and are compared as texts: '2' and '0002' are two {unit}s"
        for what, unit, found in (("pids", "person", persons), ("camids", "camera", cameras))
        if found.mixed
    ]
    query = persons.values[next(iter(pids))]
    trained = persons.values[next(iter(train))] if train else None
    warnings += label_doubts(query, trained, named=bool(persons.texts))
    warnings += camera_doubts(cameras.values) if camera else ()
    values = {**persons.values, **cameras.values}
    return MappedLabels(values, {"pid_texts": persons.texts, "camid_texts": cameras.texts, "warnings": tuple(warnings)})


# ------------------------------------------------------------------ one row an image
def named_features(source: Source, keys: Keys, before: str = "") -> NamedFeatures:
    """The features and the names of their images; of one side where `before` is `query_` or `gallery_`.

    Raises DataError where one of the two is missing or not what it must be.
    """
    features_key, names_key = f"{before}features", f"{before}names"
    if missing := [role for role in (features_key, names_key) if role not in keys]:
        raise DataError(
            f"{shown(source.path)}: {keys.missing(*missing)}; --manifest labels files of features and image names, "
            "such as `reidbench embed` writes"
        )
    names = array_of(source.path, keys.first(names_key), value_of(source, keys, names_key))
    if names.dtype.kind != "U":
        raise DataError(f"{shown(source.path)}: {shown(keys.first(names_key))} must hold texts, not {names.dtype}")
    features = matrix_of(source, keys, features_key)
    if names.size != len(features):
        raise DataError(
            f"{shown(source.path)}: {shown(keys.first(features_key))} has {len(features)} rows but "
            f"{shown(keys.first(names_key))} has {names.size} entries"
        )
    return NamedFeatures(source.path, tuple(names.ravel().tolist()), features)


def _said_unused(keys: Keys, rows: Rows) -> Rows:
    """The same rows, with a warning where the file has labels beside those of the names or of the manifest."""
    unused = [shown(keys.first(role)) for role in ("pids", "camids") if role in keys]
    if not unused:
        return rows
    text = f"{' and '.join(unused)} of the file {'are' if len(unused) > 1 else 'is'} not used"
    cure = (
        "to use them, add num_query (how many of the first rows are queries) or part (query or gallery, for each row)"
    )
    return replace(rows, warnings=(*rows.warnings, f"{text}: labels come from the image names or the manifest; {cure}"))


def _stacked(source: Source, keys: Keys, camera: bool, needs: Needs) -> Rows:
    """One array of features for queries and gallery: the first num_query rows are queries, or parts says which are."""
    path, cameras = source.path, "camids" in keys
    if camera and not cameras:
        raise DataError(f"{shown(path)}: {keys.missing('camids')}; to score without the camera rule: --no-camera")
    features = matrix_of(source, keys, "features")
    more = [word for word in needs if word in keys]
    roles = ("pids", *(["camids"] if cameras else []), *(["parts"] if "parts" in keys else []), *more)
    columns = {role: array_of(path, keys.first(role), value_of(source, keys, role)).ravel() for role in roles}
    for role, values in columns.items():
        if len(values) != len(features):
            raise DataError(
                f"{shown(path)}: {shown(keys.first('features'))} has {len(features)} rows but "
                f"{shown(keys.first(role))} has {len(values)} entries"
            )
    parts = [part_of(f"{shown(path)}: row {row}", str(part)) for row, part in enumerate(columns.get("parts", ()))]
    if "num_query" in keys:
        count = _num_query(source, keys, len(features))
        parts = parts or ["query"] * count + ["gallery"] * (len(features) - count)
        if (queries := parts.count("query")) != count:
            raise DataError(
                f"{shown(path)}: {shown(keys.first('num_query'))} is {count} but {shown(keys.first('parts'))} has "
                f"{queries} queries; remove one of them"
            )
    train = [pid for pid, part in zip(columns["pids"], parts, strict=True) if part == "train"]
    camids = list(columns["camids"]) if cameras else None
    beyond = {word: columns[word].tolist() for word in more}
    return Rows(features, parts, list(columns["pids"]), camids, train, more=beyond)


def _num_query(source: Source, keys: Keys, rows: int) -> int:
    """Number of the first rows that are queries. Raises DataError for what is not a number of some of them."""
    name = keys.first("num_query")
    count = array_of(source.path, name, value_of(source, keys, "num_query"))
    if count.size == 1 and count.dtype.kind in "iuf" and float(count.item()) in range(1, rows):
        return int(count.item())
    given = shown(str(count.item())) if count.size == 1 else f"an array of shape {count.shape}"
    raise DataError(
        f"{shown(source.path)}: {shown(name)} is {given}; it must be a whole number from 1 to {rows - 1}: how many of "
        "the first rows are queries"
    )


def _of_rows(path: Path, rows: Rows, camera: bool = False, needs: Needs = NO_NEEDS) -> FeatureFile:
    """Query and gallery of rows; `camera` warns of unknown cameras, of which a manifest has warned by name."""
    found = {part: rows.of(part) for part in SIDES}
    for part in SIDES:
        if not len(found[part][0]):
            raise DataError(f"{shown(path)}: no image of the {part} in it")
    cameras = {f"{side}_camids": found[side][2] for side in SIDES}
    labels = _labels(
        path,
        {f"{side}_pids": found[side][1] for side in SIDES},
        {role: values for role, values in cameras.items() if values is not None},
        {"train_pids": np.asarray(rows.train_pids)} if len(rows.train_pids) else {},
        camera=camera,
    )
    arrays: dict[str, Any] = {role: labels.values[role] for role in PIDS}
    for side in SIDES:
        unknown = np.full(len(found[side][0]), UNKNOWN_CAMERA)
        arrays[f"{side}_camids"] = labels.values.get(f"{side}_camids", unknown)
        arrays[f"{side}_features"] = rows.features[found[side][0]]
        if rows.images is not None:
            arrays[f"{side}_images"] = np.asarray(rows.images, np.int64)[found[side][0]]
    arrays |= more_of_rows(path, rows, {side: found[side][0] for side in SIDES}, needs)
    about = {**labels.about, "warnings": (*rows.warnings, *labels.about["warnings"])}
    return FeatureFile(path, **arrays, **about)
