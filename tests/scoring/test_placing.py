"""Rows of a file and images of a data set: found by name, content or labels, and never by an order that labels deny."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench.data import Sample, Split
from reidbench.data.overlap import part_numbers
from reidbench.errors import DataError
from reidbench.scoring.placing import Placed, place_features

QUERY = ("query/a.jpg", "query/b.jpg")
GALLERY = ("gallery/a.jpg", "gallery/c.jpg", "gallery/d.jpg")
PATHS = (*QUERY, *GALLERY)
VALUES = np.array([[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]], np.float32)  # of PATHS


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Split]:
    """Two queries and three gallery images, persons 1 to 3, cameras 0 and 1; each file has different content."""
    for path in PATHS:
        (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / path).write_text(path)
    labels = {"query/a.jpg": (1, 0), "query/b.jpg": (2, 0), "gallery/a.jpg": (1, 1), "gallery/c.jpg": (2, 1)}
    rows = {path: Sample(path, *labels.get(path, (3, 1))) for path in PATHS}
    root = tmp_path / "data"
    return {
        "query": Split(root, [rows[path] for path in QUERY]),
        "gallery": Split(root, [rows[path] for path in GALLERY]),
    }


def placed(parts: dict[str, Split], **files: Path) -> Placed:
    return place_features(files if "both" not in files else {"": files["both"]}, parts, "market", part_numbers)


def named(folder: Path, names: Sequence[str], features: Any = VALUES, **more: Any) -> Path:
    file = folder / "f.npz"
    np.savez(file, features=features, names=np.array(names), **more)
    return file


def right(found: Placed) -> bool:
    return bool((found.features["query"] == VALUES[:2]).all() and (found.features["gallery"] == VALUES[2:]).all())


@pytest.mark.parametrize(
    "names",
    [
        PATHS,
        tuple(f"/home/me/market/{path}" for path in PATHS),
        tuple(f"./{path}" for path in PATHS),
        tuple(path.replace("/", "\\") for path in PATHS),
        tuple(path.removesuffix(".jpg") for path in PATHS),
        ("query/a.jpg", "b.jpg", "gallery/a.jpg", "c", "d.jpg"),
    ],
    ids=["path", "more folders", "dot", "backslash", "no ending", "file name"],
)
@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 2, 0, 3, 1)], ids=["in order", "shuffled"])
def test_names(tmp_path: Path, parts: dict[str, Split], names: Sequence[str], order: Sequence[int]) -> None:
    file = named(tmp_path, [names[row] for row in order], VALUES[list(order)])
    found = placed(parts, both=file)
    assert right(found)
    assert found.notes == ()


@pytest.mark.parametrize("ending", ["", ".jpg"])
def test_names_that_are_hashes_of_the_pictures(tmp_path: Path, parts: dict[str, Split], ending: str) -> None:
    names = [hashlib.sha256(path.encode()).hexdigest() + ending for path in PATHS]
    assert right(placed(parts, both=named(tmp_path, names[::-1], VALUES[::-1])))


def test_one_picture_in_query_and_gallery_has_one_hash(tmp_path: Path, parts: dict[str, Split]) -> None:
    (tmp_path / "data" / "gallery" / "a.jpg").write_text("query/a.jpg")
    names = [hashlib.sha256(path.encode()).hexdigest() for path in PATHS if path != "gallery/a.jpg"]
    found = placed(parts, both=named(tmp_path, names, VALUES[[0, 1, 3, 4]]))
    assert (found.features["gallery"][0] == VALUES[0]).all()
    assert (found.features["gallery"][1:] == VALUES[3:]).all()


def test_a_file_for_each_part_tells_equal_file_names_apart(tmp_path: Path, parts: dict[str, Split]) -> None:
    files = {}
    for part, names, values in (("query", "ba", VALUES[[1, 0]]), ("gallery", "dca", VALUES[[4, 3, 2]])):
        files[part] = tmp_path / f"{part}.npz"
        np.savez(files[part], features=values, names=np.array([f"{name}.jpg" for name in names]))
    assert right(placed(parts, **files))


def test_a_name_of_two_images_is_refused(tmp_path: Path, parts: dict[str, Split]) -> None:
    with pytest.raises(
        DataError, match=r"f\.npz: a\.jpg matches both query/a\.jpg and gallery/a\.jpg of market; name images"
    ):
        placed(parts, both=named(tmp_path, ["a.jpg", "b.jpg", "gallery/a.jpg", "c.jpg", "d.jpg"]))


def test_another_folder_is_another_image(tmp_path: Path, parts: dict[str, Split]) -> None:
    """train/c.jpg is surplus, not a second gallery/c.jpg."""
    file = named(tmp_path, [*PATHS, "train/c.jpg"], np.concatenate([VALUES, [[0, 0]]]))
    found = placed(parts, both=file)
    assert right(found)
    assert found.notes == ("f.npz: skipped, since market has no such test image: 1 image (train/c.jpg)",)


def test_missing_images_are_counted_and_the_first_named(tmp_path: Path, parts: dict[str, Split]) -> None:
    with pytest.raises(DataError) as caught:
        placed(parts, both=named(tmp_path, ["query/b.jpg", "e.jpg"], VALUES[:2]))
    assert str(caught.value) == (
        "f.npz: no features for 4 images (query/a.jpg, gallery/a.jpg, gallery/c.jpg, ...), of 5 images of market; "
        "the file also has images that market lacks: 1 image (e.jpg)"
    )


def test_missing_junk_is_called_so(tmp_path: Path, parts: dict[str, Split]) -> None:
    """Other programs leave junk out, with names or without."""
    gallery = parts["gallery"]
    parts["gallery"] = Split(gallery.root, [*gallery.samples, Sample("gallery/-1.jpg", -1, 0)])
    with pytest.raises(DataError, match=r"1 image \(gallery/-1\.jpg\), of 6 images of market; 1 of them junk"):
        placed(parts, both=named(tmp_path, PATHS))
    with pytest.raises(
        DataError, match=r"3 gallery features without names, but market has 4 .* \(1 of them junk, which"
    ):
        placed(parts, both=scored(tmp_path))


def test_doubled_images_with_equal_features_are_noted(tmp_path: Path, parts: dict[str, Split]) -> None:
    file = named(tmp_path, [*PATHS, "b.jpg", "query/b.jpg"], np.concatenate([VALUES, VALUES[[1, 1]]]))
    found = placed(parts, both=file)
    assert right(found)
    assert found.notes == ("f.npz: contained more than once, with equal features: 2 images (query/b.jpg, query/b.jpg)",)


def test_doubled_images_with_different_features_are_refused(tmp_path: Path, parts: dict[str, Split]) -> None:
    file = named(tmp_path, [*PATHS, "b.jpg"], np.concatenate([VALUES, [[3, 5]]]))
    with pytest.raises(DataError, match=r"query/b\.jpg twice, with different features \(as query/b\.jpg and"):
        placed(parts, both=file)


# ------------------------------------------------------------------ labels
def scored(folder: Path, **changes: Any) -> Path:
    arrays: dict[str, Any] = {
        "query_features": VALUES[:2],
        "query_pids": [1, 2],
        "query_camids": [0, 0],
        "gallery_features": VALUES[2:],
        "gallery_pids": [1, 2, 3],
        "gallery_camids": [1, 1, 1],
    }
    file = folder / "s.npz"
    np.savez(file, **{**arrays, **changes})
    return file


def test_labels_in_order(tmp_path: Path, parts: dict[str, Split]) -> None:
    found = placed(parts, both=scored(tmp_path))
    assert right(found)
    assert found.notes == ("s.npz: has no image names; its order is taken from market, whose pids and camids match",)


def test_cameras_counted_from_one(tmp_path: Path, parts: dict[str, Split]) -> None:
    assert right(placed(parts, both=scored(tmp_path, query_camids=[1, 1], gallery_camids=[2, 2, 2])))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"gallery_pids": [1, 3, 2]},
            r"s\.npz: pid 3 for gallery/c\.jpg, which has pid 2 in market \(2 images differ\); the order or the",
        ),
        (
            {"query_camids": [0, 1]},
            r"s\.npz: camid 1 for query/b\.jpg, which has camid 0 in market; the order or the images differ",
        ),
        (
            {"query_features": VALUES[:1], "query_pids": [1], "query_camids": [0]},
            r"s\.npz: 1 query features without names, but market has 2 query images; save the image names",
        ),
        ({"query_pids": ["x", "y"], "gallery_pids": ["x", "y", "z"]}, "its pids are strings"),
        (
            {"query_camids": [-1, -1], "gallery_camids": [-1] * 3},
            "have neither image names nor numeric pids and camids",
        ),
    ],
    ids=["pid", "camid", "count", "texts", "no cameras"],
)
def test_labels_that_differ(tmp_path: Path, parts: dict[str, Split], changes: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        placed(parts, both=scored(tmp_path, **changes))


def test_labels_beside_names_must_be_right_too(tmp_path: Path, parts: dict[str, Split]) -> None:
    assert right(placed(parts, both=named(tmp_path, PATHS, pids=[1, 2, 1, 2, 3], camids=[0, 0, 1, 1, 1])))
    with pytest.raises(
        DataError, match=r"pid 4 for gallery/d\.jpg, which has pid 3 in market; the order or the images differ"
    ):
        placed(parts, both=named(tmp_path, PATHS, pids=[1, 2, 1, 2, 4]))


def test_sided_arrays_with_names(tmp_path: Path, parts: dict[str, Split]) -> None:
    file = tmp_path / "sided.npz"
    np.savez(
        file,
        query_features=VALUES[[1, 0]],
        query_names=np.array(["b.jpg", "a.jpg"]),
        gallery_features=VALUES[2:],
        gallery_names=np.array(["a.jpg", "c.jpg", "d.jpg"]),
    )
    found = placed(parts, both=file)
    assert right(found)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("given", "kept"),
    [("float16", "float32"), ("uint8", "float32"), ("int64", "float64"), ("float64", "float64")],
)
def test_types_of_numbers(tmp_path: Path, parts: dict[str, Split], given: str, kept: str) -> None:
    found = placed(parts, both=named(tmp_path, PATHS, VALUES.astype(given)))
    assert right(found)
    assert {str(values.dtype) for values in found.features.values()} == {kept}
