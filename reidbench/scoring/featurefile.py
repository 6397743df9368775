"""Feature files of other programs: their arrays under any common name, checked, read without executing code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Labels as numbers by the file's keys, and further fields of FeatureFile about them."""

    values: Mapping[str, Ints]
    about: dict[str, Any]


@dataclass(frozen=True)
class FeatureFile:
    """One feature file: pids and camids (int64 [Q] and [G]), and features [Q, D] and [G, D] or distances [Q, G].

    Without cameras camids are -1. query_images [Q] and gallery_images [G] are image numbers, if the file has them;
    equal numbers mean the same image. query_more and gallery_more have the requested labels beyond identity by name:
    clothes, modality, tracklets. Text labels are numbered, and `pid_texts` and `camid_texts` map numbers to texts.
    `keys` maps roles to the file's keys of features or distances. `warnings` report skipped data, assumptions and
    suspicious values.
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
        """Image numbers as keyword arguments of the ranking functions."""
        return {"query_images": self.query_images, "gallery_images": self.gallery_images}

    @property
    def labels(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Labels in the argument order of the ranking functions."""
        return self.query_pids, self.query_camids, self.gallery_pids, self.gallery_camids


def read_features(
    path: Path | str,
    *,
    camera: bool = True,
    use: Use | None = None,
    manifest: Path | None = None,
    needs: Needs = NO_NEEDS,
) -> FeatureFile:
    """Read a feature file or folder of any supported form. No code in it is executed.

    Without `camera`, camids may be missing. `use` chooses between features and distances if a file has both.
    `manifest` (path,pid,split[,camid]) labels a file of features with image names, such as `reidbench embed` writes.
    `needs` maps labels beyond identity to the rule that requires them; no others are read.
    Raises DataError, with the file, its keys and a remedy, for missing, damaged or mistyped data.
    """
    path = Path(path)
    if not path.is_dir():
        check_name(path)
        refuse_placeholder(path)
    if is_table(path):
        if manifest is not None:
            raise DataError(
                f"{shown(path)}: --manifest is for features with image names, but this table has labels; remove it"
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
    """Raise DataError for a file with an unsupported extension."""
    if path.suffix.lower() not in (".npz", ".mat", ".pt", ".pth", ".csv", ".parquet"):
        hints = {
            ".npy": "; save the arrays as query_features.npy, query_pids.npy, ... in one folder and name the folder",
            ".pkl": "; a pickle can run code; save with numpy.savez",
            ".pickle": "; a pickle can run code; save with numpy.savez",
        }
        hint = hints.get(path.suffix.lower(), "") if path.exists() else ""
        missing = "" if path.exists() else "no such file, and "
        raise DataError(f"{shown(path)}: {missing}not a supported feature file; score reads {FORMS}{hint}")


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
    """Return image numbers of both sides, or nothing, and a warning if the arrays cannot be used.

    Other programs save pixels under these names. Raises DataError for a wrong length, for invalid numbers, and for one
    number of images with different pids.
    """
    roles = [f"{side}_images" for side in SIDES]
    there = [role for role in roles if role in keys.by_role]
    found = {role: array_of(source.path, keys.first(role), value_of(source, keys, role)) for role in there}
    if any(values.ndim > 2 or (values.ndim == 2 and 1 not in values.shape) for values in found.values()):
        return {}, ()  # pixels
    if len(there) < len(roles):
        return {}, tuple(f"{shown(keys.first(role))} is ignored without that of the other side" for role in there)
    if other := [role for role, values in found.items() if values.dtype.kind not in "iuf"]:
        name, kind = shown(keys.first(other[0])), found[other[0]].dtype
        return {}, (f"{name} is ignored: it has {kind} instead of whole numbers, equal for the same image",)
    numbers = mapped(source.path, {keys.first(role): values for role, values in found.items()}).values
    for role in roles:
        pids = f"{role.split('_')[0]}_pids"
        check_length(source.path, keys, role, numbers[keys.first(role)], pids, labels[pids])
    _check_images(source.path, [(keys.first(role), numbers[keys.first(role)]) for role in roles], labels)
    return {role: numbers[keys.first(role)] for role in roles}, ()


def _check_images(path: Path, sides: Sequence[tuple[str, np.ndarray]], labels: Mapping[str, Any]) -> None:
    """Raise DataError if a query and an identity of the gallery have one image number and different pids."""
    (query_name, query), (gallery_name, gallery) = sides
    known = labels["gallery_pids"] > 0  # a query's own image may be junk
    order = np.argsort(gallery[known], kind="stable")
    rows, ordered = np.flatnonzero(known)[order], gallery[known][order]
    for at in np.flatnonzero(np.isin(query, ordered)).tolist():
        low, high = (int(np.searchsorted(ordered, query[at], side)) for side in ("left", "right"))
        wrong = rows[low:high][labels["gallery_pids"][rows[low:high]] != labels["query_pids"][at]]
        if len(wrong):
            raise DataError(
                f"{shown(path)}: {shown(query_name)}[{at}] and {shown(gallery_name)}[{int(wrong[0])}] are both "
                f"{query[at]}, but their pids differ; equal numbers mean the same image, which is not compared with "
                "itself: remove the arrays if they are something else, such as row numbers"
            )


def _what(path: Path, keys: Keys, use: Use | None) -> tuple[str, ...]:
    """Return the roles to score: features or distances."""
    held = [role for role in FEATURES if role in keys]
    if "distances" in keys and len(held) == len(FEATURES) and use is None:
        raise DataError(
            f"{shown(path)}: contains distances ({shown(keys.first('distances'))}) and features "
            f"({', '.join(shown(keys.first(role)) for role in held)}); choose --use features or --use distances"
        )
    if use == "distances" or ("distances" in keys and use is None):
        return ("distances",)
    return FEATURES


def _missing(keys: Keys, roles: list[str]) -> str:
    """Return the message about missing roles, with remedies."""
    text = keys.missing(*roles)
    if set(roles) & set(FEATURES) and "distances" not in keys:
        text += "; a distance matrix [queries, gallery] can replace features, as 'distances' or 'distmat'"
        if "similarities" in keys:
            text += f": negate {shown(keys.first('similarities'))!r}, since smaller is nearer, and name it 'distances'"
    if set(roles) & set(FEATURES) and "distances" in keys:
        text += "; to score its distances remove --use"
    if set(roles) & set(CAMIDS):
        text += "; to score without the camera rule: --no-camera"
    if set(roles) >= {*PIDS, *FEATURES} and "features" in keys:
        text += (
            "; one array of all features requires pids, camids and num_query (number of queries, the first rows) or "
            "part (query or gallery, per row), or the image names, see --manifest"
        )
    return text


def _check_shapes(path: Path, keys: Keys, labels: dict[str, Any], matrices: dict[str, NDArray[Any]]) -> None:
    """Raise DataError if the numbers of rows and labels differ, with the file's keys."""
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
        cure = "; transpose it: one row per query" if given[::-1] == shape else ""
        raise DataError(
            f"{shown(path)}: {shown(keys.first('distances'))} has shape {given} but there are {shape[0]} queries and "
            f"{shape[1]} gallery rows{cure}"
        )


def _labels(
    path: Path, pids: dict[str, Any], camids: dict[str, Any], train: dict[str, Any], *, camera: bool
) -> MappedLabels:
    """Return pids and camids as numbers by key, with warnings; `camera` includes warnings about cameras."""
    persons, cameras = mapped(path, {**pids, **train}), mapped(path, camids)
    warnings = [
        f"the {what} mix numbers and text and are compared as text: '2' and '0002' are two {units}"
        for what, units, found in (("pids", "identities", persons), ("camids", "cameras", cameras))
        if found.mixed
    ]
    query = persons.values[next(iter(pids))]
    trained = persons.values[next(iter(train))] if train else None
    warnings += label_doubts(query, trained, named=bool(persons.texts))
    warnings += camera_doubts(cameras.values) if camera else ()
    values = {**persons.values, **cameras.values}
    return MappedLabels(values, {"pid_texts": persons.texts, "camid_texts": cameras.texts, "warnings": tuple(warnings)})


# ------------------------------------------------------------------ one row per image
def named_features(source: Source, keys: Keys, before: str = "") -> NamedFeatures:
    """Return features with image names; those of one side if `before` is `query_` or `gallery_`.

    Raises DataError if either is missing or malformed.
    """
    features_key, names_key = f"{before}features", f"{before}names"
    if missing := [role for role in (features_key, names_key) if role not in keys]:
        raise DataError(
            f"{shown(source.path)}: {keys.missing(*missing)}; --manifest requires features with image names, as "
            "`reidbench embed` writes them"
        )
    names = array_of(source.path, keys.first(names_key), value_of(source, keys, names_key))
    if names.dtype.kind != "U":
        raise DataError(f"{shown(source.path)}: {shown(keys.first(names_key))} must contain strings, not {names.dtype}")
    features = matrix_of(source, keys, features_key)
    if names.size != len(features):
        raise DataError(
            f"{shown(source.path)}: {shown(keys.first(features_key))} has {len(features)} rows but "
            f"{shown(keys.first(names_key))} has {names.size} entries"
        )
    return NamedFeatures(source.path, tuple(names.ravel().tolist()), features)


def _said_unused(keys: Keys, rows: Rows) -> Rows:
    """Return the rows with a warning if the file has labels that the names or the manifest override."""
    unused = [shown(keys.first(role)) for role in ("pids", "camids") if role in keys]
    if not unused:
        return rows
    text = f"{' and '.join(unused)} of the file {'are' if len(unused) > 1 else 'is'} ignored"
    cure = "to use them, add num_query (number of queries, the first rows) or part (query or gallery, per row)"
    return replace(rows, warnings=(*rows.warnings, f"{text}: labels come from the image names or the manifest; {cure}"))


def _stacked(source: Source, keys: Keys, camera: bool, needs: Needs) -> Rows:
    """Return rows of one array of queries and gallery, split by num_query (the first rows) or by parts."""
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
    """Return the number of queries, the first rows. Raises DataError unless it is between 1 and `rows` - 1."""
    name = keys.first("num_query")
    count = array_of(source.path, name, value_of(source, keys, "num_query"))
    if count.size == 1 and count.dtype.kind in "iuf" and float(count.item()) in range(1, rows):
        return int(count.item())
    given = shown(str(count.item())) if count.size == 1 else f"an array of shape {count.shape}"
    raise DataError(
        f"{shown(source.path)}: {shown(name)} is {given}; it must be a whole number from 1 to {rows - 1}, the number "
        "of queries in the first rows"
    )


def _of_rows(path: Path, rows: Rows, camera: bool = False, needs: Needs = NO_NEEDS) -> FeatureFile:
    """Return query and gallery of rows. `camera` warns about unknown cameras, unless a manifest already has."""
    found = {part: rows.of(part) for part in SIDES}
    for part in SIDES:
        if not len(found[part][0]):
            raise DataError(f"{shown(path)}: contains no {part} images")
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
