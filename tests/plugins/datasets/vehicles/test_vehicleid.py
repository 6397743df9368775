"""VehicleID: its lists, and the drawn gallery."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.components import load_attribute
from reidbench.data import examine
from reidbench.errors import DataError
from reidbench.registry import plugins
from reidbench.testing import run_matrix
from reidbench_datasets.counts import PUBLISHED
from tests.support.copies import Open, rows, touch

TRAIN = "0000001 0\n0000002 0\n0000005 7\n"
TEST = "0000003 3\n0000004 3\n0000007 26327\n"


def copy(root: Path, test: int = 800) -> Path:
    touch(root, [f"image/{number:07d}.jpg" for number in range(1, 8)])
    (root / "train_test_split").mkdir()
    (root / "train_test_split/train_list.txt").write_text(TRAIN)
    (root / f"train_test_split/test_list_{test}.txt").write_text(TEST)
    return root


def test_vehicles_of_the_lists(read: Open, tmp_path: Path) -> None:
    """Vehicle 0 is a vehicle, so pids are one more; image 6 belongs to another test."""
    copy(tmp_path / "VehicleID_V1.0")
    dataset = read("vehicleid", tmp_path, check="off")
    assert dataset.name == "vehicleid:800"
    assert rows(dataset.train) == [(1, -1), (1, -1), (8, -1)]
    assert rows(dataset.query) == rows(dataset.gallery) == [(4, -1), (4, -1), (26328, -1)]
    assert dataset.notes == (
        "protocol of VehicleID: evaluate with preset: vehicleid, which draws the gallery ten times",
    )
    assert (dict(dataset.strays), dict(dataset.absent), dataset.one_numbering) == ({}, {}, True)


def test_missing_and_strange_images(read: Open, tmp_path: Path) -> None:
    touch(copy(tmp_path), ["image/car.jpg"])
    (tmp_path / "image/0000005.jpg").unlink()
    (tmp_path / "image/0000002.jpg").rename(tmp_path / "image/0000002.JPEG")
    dataset = read("vehicleid", tmp_path, check="off")
    assert dataset.train.paths == ("image/0000001.jpg", "image/0000002.JPEG")
    assert dataset.absent == {"train": ["image/0000005.jpg"]}
    assert dataset.strays == {"train": ["image/car.jpg"]}
    assert "train: 1 listed images are missing: image/0000005.jpg" in dataset.notes
    assert "image: 1 files left out, their names are not numbers: car.jpg" in dataset.notes
    for number in (3, 4, 7):
        (tmp_path / f"image/{number:07d}.jpg").unlink()
    with pytest.raises(DataError, match="all 3 listed images of query are missing: image/0000003"):
        read("vehicleid", tmp_path)


@pytest.mark.parametrize("line", ["0000003", "0000003 x", "0000003,3", "car.jpg 3", "0000003 3 4", "000003 ３"])
def test_a_line_that_is_not_an_image_and_a_vehicle(line: str, read: Open, tmp_path: Path) -> None:
    (copy(tmp_path) / "train_test_split/test_list_800.txt").write_text(f"0000003 3\n{line}\n")
    with pytest.raises(DataError, match=r"test_list_800\.txt:2: .* is not a line like '0000001 22'"):
        read("vehicleid", tmp_path)


def test_one_image_twice_an_empty_list_and_a_missing_one(read: Open, tmp_path: Path) -> None:
    file = copy(tmp_path) / "train_test_split/test_list_800.txt"
    file.write_text("0000003 3\n0000003 4\n")
    with pytest.raises(DataError, match=r"test_list_800\.txt:2: image/0000003\.jpg is in line 1 too"):
        read("vehicleid", tmp_path)
    file.write_text("\n")
    with pytest.raises(DataError, match=r"test_list_800\.txt: contains no image"):
        read("vehicleid", tmp_path)
    with pytest.raises(DataError, match=r"train_test_split/test_list_1600\.txt missing: the lists come with"):
        read("vehicleid", tmp_path, test=1600)


def test_a_vehicle_in_train_and_test_is_a_fault(read: Open, tmp_path: Path) -> None:
    (copy(tmp_path) / "train_test_split/test_list_800.txt").write_text("0000003 7\n0000004 7\n")
    assert [fault.partition(" are in")[0][:2] for fault in read("vehicleid", tmp_path, check="off").faults] == ["1 "]


def test_published_counts_of_each_test(read: Open, tmp_path: Path) -> None:
    """The lists of train and of all other vehicles share out the 221,567 images of 26,328 vehicles of the README."""
    whole = PUBLISHED["vehicleid:13164"].parts
    train, test = whole["train"], whole["gallery"]
    assert (train.images or 0) + (test.images or 0) == 221567
    assert (train.identities or 0) + (test.identities or 0) == 26328
    for number in (800, 1600, 2400, 3200, 6000, 13164):
        report = examine(read("vehicleid", copy(tmp_path / str(number), number), test=number))
        assert "train: 3 images, published: 113346: 113343 missing" in report.problems
        assert f"gallery: 2 identities, published: {number}" in report.problems


MATRIX = """
image_size: [16, 32]
data:
  small: {{use: vehicleid, root: {small}, check: off}}
  medium: {{use: vehicleid, root: {medium}, test: 1600, check: off}}
tasks:
  small: {{source: small, target: small, evaluate: {{use: cosine, preset: vehicleid}}}}
  medium: {{source: small, target: medium, evaluate: {{use: cosine, preset: vehicleid}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{bot: {{finetune: {{use: bot, epochs: 1, identities: 4, images: 2}}}}}}
"""


@pytest.mark.slow
def test_rows_of_two_tests_share_the_training_and_draw_ten_galleries(
    registry: plugins.Registry, tmp_path: Path
) -> None:
    component = registry.get("dataset", "vehicleid")
    make = load_attribute(component.stand_in)
    roots = [make(component.params(test=test), tmp_path / str(test)) for test in (800, 1600)]
    board = run_matrix(MATRIX.format(small=roots[0], medium=roots[1]), tmp_path)
    assert [result.status for result in board.results] == ["ok", "ok"]
    small, medium = board.results
    assert small.metrics == pytest.approx(medium.metrics)  # the stand-ins of all tests have the same images
    assert "gallery 1 shot per identity x10" in small.row.protocol.split(", ")
    assert any("gallery drawn 10 times: 1 of the images of each of 6 identities" in note for note in small.notes)
    assert len(list((tmp_path / "store/objects").glob("*/embedder.safetensors"))) == 1
