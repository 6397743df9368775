"""Market-1501's multi-query: the boxes drawn by hand, gt_bbox, of each query's person and camera."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.components import load_attribute
from reidbench.data import examine
from reidbench.errors import DataError
from reidbench.registry import plugins
from tests.support.copies import Open, touch

QUERIES = ["0003_c1s1_000001_00", "0003_c2s1_000005_00", "0005_c2s1_000002_00", "0007_c6s1_000009_00"]
BOXES = {  # of a query's person and camera, and its number among persons and cameras of the queries
    "0003_c1s1_000001_00": 0, "0003_c1s2_000044_00": 0, "0003_c2s1_000005_00": 1, "0005_c2s1_000002_00": 2,
    "0005_c2s1_000003_00": 2, "0005_c2s1_000004_00": 2,
}  # fmt: skip
OTHERS = ["0002_c1s1_000001_00", "0003_c3s1_000001_00", "0005_c1s1_000001_00"]  # of train, of other cameras


def copy(root: Path) -> Path:
    touch(root, ["bounding_box_train/0002_c1s1_000001_01.jpg", "bounding_box_test/0003_c4s1_000001_01.jpg"])
    touch(root, [f"query/{name}.jpg" for name in QUERIES])
    touch(root, [f"gt_bbox/{name}.jpg" for name in (*BOXES, *OTHERS)])
    return root


def test_the_boxes_of_a_query_are_one_tracklet(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "m")
    dataset = read("market1501", root, check="off", queries="multi")
    assert dataset.name == "market1501:multi-query"
    assert dataset.query is not None
    assert dataset.query.tracklets is not None
    found = dict(zip(dataset.query.paths, dataset.query.tracklets.tolist(), strict=True))
    expected = {f"gt_bbox/{name}.jpg": tracklet for name, tracklet in BOXES.items()}
    assert found == expected | {"query/0007_c6s1_000009_00.jpg": 3}  # nobody drew a box of it
    assert dataset.query.pids.tolist() == [3, 3, 3, 5, 5, 5, 7]
    assert dataset.query.camids.tolist() == [0, 0, 1, 1, 1, 1, 5]
    assert dataset.notes == (
        "queries: multi: 6 boxes of gt_bbox for 4 queries, one tracklet per person and camera: evaluate with "
        "multi_query: true",
        "query: 1 images without a box of their person and camera in gt_bbox: query/0007_c6s1_000009_00.jpg",
    )
    assert "query: 4 tracklets, published: 3368" in examine(dataset).problems
    single = read("market1501", root, check="off")
    assert single.query is not None
    assert single.query.paths == tuple(f"query/{name}.jpg" for name in QUERIES)
    assert single.query.tracklets is None
    assert (single.train.paths, single.gallery.paths) == (dataset.train.paths, dataset.gallery.paths)  # type: ignore[union-attr]


def test_strange_boxes_are_named_and_refused(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "m")
    touch(root, ["gt_bbox/holiday.jpg", "query/other.jpg"])
    dataset = read("market1501", root, check="off", queries="multi")
    assert dict(dataset.strays) == {"query": ["query/other.jpg", "gt_bbox/holiday.jpg"]}
    with pytest.raises(DataError, match=r"gt_bbox: 1 files left out, their names do not match: holiday\.jpg"):
        read("market1501", root, check="off", queries="multi", strict=True)
    assert dict(read("market1501", root, check="off").strays) == {"query": ["query/other.jpg"]}


def test_a_copy_without_boxes(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "m")
    (root / "gt_bbox").rename(tmp_path / "gt_bbox")
    with pytest.raises(DataError, match="gt_bbox: no such folder"):
        read("market1501", root, queries="multi")
    assert len(read("market1501", root).query) == len(QUERIES)  # type: ignore[arg-type]


def test_boxes_change_no_key_but_their_own(registry: plugins.Registry, tmp_path: Path) -> None:
    component = registry.get("dataset", "market1501")
    root = copy(tmp_path / "m")

    def key(**params: object) -> str:
        return str(load_attribute(component.fingerprint)(component.params(**params), root))

    single, multi = key(), key(queries="multi")
    assert single != multi
    assert key(queries="single") == single
    touch(root, ["gt_bbox/0003_c1s1_000099_00.jpg"])
    assert (key(), key(queries="multi") != multi) == (single, True)
    assert component.capabilities_with(component.params()) == frozenset()
    assert component.capabilities_with(component.params(queries="multi")) == {"tracklets"}
