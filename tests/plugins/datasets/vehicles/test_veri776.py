"""VeRi-776: names, the twenty cameras, and the authors' good and junk images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from reidbench.cli.main import app
from reidbench.data import examine
from reidbench.errors import DataError
from reidbench.testing import run_matrix
from tests.support.copies import Open, rows, touch

NAMES = {
    "image_train": ["0001_c001_00016450_0.jpg", "0001_c020_00016460_0.jpg", "0776_c003_00084280_2.jpg"],
    "image_query": ["0002_c002_00030600_0.jpg"],
    "image_test": ["0002_c002_00030600_0.jpg", "0002_c002_00030605_1.jpg", "0002_c003_00084280_0.jpg"],
}


def copy(root: Path) -> Path:
    touch(root, [f"{folder}/{name}" for folder, names in NAMES.items() for name in names])
    return root


def test_vehicles_and_cameras_of_the_names(read: Open, tmp_path: Path) -> None:
    copy(tmp_path / "VeRi")
    (tmp_path / "VeRi/train_label.xml").write_text("<TrainingImages/>")
    dataset = read("veri-776", tmp_path, check="off")  # the folder above is meant too
    assert dataset.name == "veri-776"
    assert rows(dataset.train) == [(1, 0), (1, 19), (776, 2)]
    assert rows(dataset.query) == [(2, 1)]
    assert rows(dataset.gallery) == [(2, 1), (2, 1), (2, 2)]
    assert (dataset.notes, dict(dataset.strays), dataset.one_numbering) == ((), {}, True)


@pytest.mark.parametrize(
    "name", ["0777_c001_00000001_0.jpg", "0000_c001_00000001_0.jpg", "0001_c021_00000001_0.jpg", "0001_c1_1_0.jpg"]
)
def test_other_names_are_left_out(name: str, read: Open, tmp_path: Path) -> None:
    touch(copy(tmp_path), [f"image_test/{name}"])
    dataset = read("veri-776", tmp_path, check="off")
    assert dataset.strays == {"gallery": [f"image_test/{name}"]}
    assert dataset.notes == (f"image_test: 1 files left out, their names do not match: {name}",)


def test_a_check_compares_with_the_published_counts(read: Open, tmp_path: Path) -> None:
    report = examine(read("veri-776", copy(tmp_path)))
    for problem in (
        "train: 3 images, published: 37778: 37775 missing",
        "train: 3 cameras, published: 20",
        "query: 1 images, published: 1678: 1677 missing",
        "gallery: 1 identities, published: 200",
    ):
        assert problem in report.problems
    assert "query: 1 cameras, published: 19 (unverified)" in report.remarks
    done = CliRunner().invoke(app, ["data", "check", "veri-776", str(tmp_path)])
    assert (done.exit_code, "37775 missing" in done.output) == (1, True), done.output


def test_a_missing_folder(read: Open, tmp_path: Path) -> None:
    copy(tmp_path / "copy")
    with pytest.raises(DataError, match=r"image_train: no such folder; did you mean .*copy as root\?"):
        read("veri-776", tmp_path)


MATRIX = """
image_size: [16, 16]
data: {{veri: {{use: veri-776, root: {root}, check: off}}}}
tasks: {{veri: {{target: veri}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{histogram: {{finetune: colour-histogram}}}}
"""


def test_a_query_is_compared_neither_with_itself_nor_with_its_camera(tmp_path: Path) -> None:
    """gt_index has the images of the vehicle in other cameras, jk_index those in its own, the query included.

    Of 16 rows of pixels some are white and the rest black. The query has 10, like its own image and another one of its
    camera, which are dropped. Vehicle 3 (16) is nearer than the image of vehicle 2 in camera 3 (1): rank 2 of 2.
    """
    white = {
        "image_train/0001_c001_00016450_0.png": 3,
        "image_query/0002_c002_00030600_0.png": 10,
        "image_test/0002_c002_00030600_0.png": 10,
        "image_test/0002_c002_00030605_1.png": 9,
        "image_test/0002_c003_00084280_0.png": 1,
        "image_test/0003_c003_00084280_0.png": 16,
    }
    for path, count in white.items():
        pixels = np.zeros((16, 16, 3), np.uint8)
        pixels[:count] = 255
        (tmp_path / "v" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "v" / path)
    (row,) = run_matrix(MATRIX.format(root=tmp_path / "v"), tmp_path).results
    assert row.status == "ok", row.error
    assert row.metrics["mAP"] == 0.5
    assert row.metrics["cmc1"] == 0.0
    assert "query images in gallery" in row.row.protocol
