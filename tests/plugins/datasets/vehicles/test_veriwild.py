"""VERI-Wild: lists of both releases, and cameras of vehicle_info.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.data import examine
from reidbench.errors import DataError
from reidbench_datasets.counts import PUBLISHED
from tests.support.copies import Open, rows, touch

LISTS = {
    "train_list.txt": ["00001/000001.jpg", "00001/000002.jpg", "00009/000003.jpg"],
    "test_3000_query.txt": ["00004/000004.jpg"],
    "test_3000.txt": ["00004/000005.jpg", "40671/000006.jpg"],
}
LATER = {
    "train_list_start0.txt": ["00001/000001.jpg 0 23", "00001/000002.jpg 0 3", "00009/000003.jpg 1 8"],
    "test_3000_id_query.txt": ["00004/000004.jpg 4 5"],
    "test_3000_id.txt": ["00004/000005.jpg 4 8", "40671/000006.jpg 40671 9"],
}
CAMERAS = {"00001/000001": 174, "00001/000002": 1, "00009/000003": 3, "00004/000004": 3, "00004/000005": 12,
           "40671/000006": 12}  # fmt: skip


def copy(root: Path, lists: dict[str, list[str]] = LISTS, header: str = "id/image;Camera ID;Time\n") -> Path:
    touch(root, [f"images/{image}.jpg" for image in CAMERAS])
    (root / "train_test_split").mkdir()
    for file, lines in lists.items():
        (root / "train_test_split" / file).write_text("\n".join(lines) + "\n")
    info = "".join(f"{image};{camera};2018-03-11 16:05:45;a;b;c\n" for image, camera in CAMERAS.items())
    (root / "train_test_split/vehicle_info.txt").write_text(header + info)
    return root


@pytest.mark.parametrize("lists", [LISTS, LATER], ids=["first", "later"])
@pytest.mark.parametrize("header", ["id/image;Camera ID;Time\n", ""], ids=["header", "bare"])
def test_vehicles_and_cameras(lists: dict[str, list[str]], header: str, read: Open, tmp_path: Path) -> None:
    """The vehicle is the folder, also where the list has a label from 0."""
    copy(tmp_path / "VERI-Wild", lists, header)
    dataset = read("veri-wild", tmp_path, check="off")
    assert dataset.name == "veri-wild:3000"
    assert rows(dataset.train) == [(1, 173), (1, 0), (9, 2)]
    assert rows(dataset.query) == [(4, 2)]
    assert rows(dataset.gallery) == [(4, 11), (40671, 11)]
    assert (dataset.notes, dict(dataset.strays), dict(dataset.absent)) == ((), {}, {})


def test_a_camera_0_is_the_first(read: Open, tmp_path: Path) -> None:
    info = copy(tmp_path) / "train_test_split/vehicle_info.txt"
    info.write_text(info.read_text().replace("00001/000002;1;", "00001/000002;0;"))
    assert rows(read("veri-wild", tmp_path, check="off").train) == [(1, 174), (1, 0), (9, 3)]


def test_missing_and_strange_images(read: Open, tmp_path: Path) -> None:
    touch(copy(tmp_path), ["images/extra.jpg"])
    (tmp_path / "images/40671/000006.jpg").unlink()
    dataset = read("veri-wild", tmp_path, check="off")
    assert dataset.absent == {"gallery": ["images/40671/000006.jpg"]}
    assert dataset.strays == {"train": ["images/extra.jpg"]}
    assert dataset.notes == (
        "gallery: 1 listed images are missing: images/40671/000006.jpg",
        "images: 1 files left out, their paths are not like 00001/000001.jpg: extra.jpg",
    )


def test_an_image_without_a_camera_is_refused(read: Open, tmp_path: Path) -> None:
    """Otherwise the camera rule would keep all its matches."""
    info = copy(tmp_path) / "train_test_split/vehicle_info.txt"
    info.write_text("".join(line for line in info.read_text().splitlines(True) if "000005" not in line))
    with pytest.raises(
        DataError, match=r"vehicle_info\.txt: no camera for 1 listed images, first images/00004/000005\.jpg; take"
    ):
        read("veri-wild", tmp_path)


@pytest.mark.parametrize("line", ["00001", "00000/000001.jpg", "a/000001.jpg", "00001/000001.jpg 3", "1;2"])
def test_a_line_of_a_list_that_is_not_an_image(line: str, read: Open, tmp_path: Path) -> None:
    (copy(tmp_path) / "train_test_split/test_3000.txt").write_text(f"00004/000005.jpg\n{line}\n")
    with pytest.raises(DataError, match=r"test_3000\.txt:2: .* is not a line like '00001/000001\.jpg'"):
        read("veri-wild", tmp_path)


def test_a_line_without_a_camera_and_missing_lists(read: Open, tmp_path: Path) -> None:
    info = copy(tmp_path) / "train_test_split/vehicle_info.txt"
    info.write_text("id;camera\n00001/000001;x;\n")
    with pytest.raises(DataError, match=r"vehicle_info\.txt:2: '00001/000001;x;' is not a line like"):
        read("veri-wild", tmp_path)
    info.unlink()
    (tmp_path / "train_test_split/test_3000.txt").unlink()
    with pytest.raises(DataError, match=r"test_3000\.txt, train_test_split/vehicle_info\.txt missing: the lists come"):
        read("veri-wild", tmp_path)


def test_published_counts(read: Open, tmp_path: Path) -> None:
    """Train and the large test are the 416,314 images of 40,671 vehicles of the authors' README."""
    parts = PUBLISHED["veri-wild:10000"].parts
    assert sum(parts[part].images or 0 for part in ("train", "query", "gallery")) == parts["all"].images == 416314
    assert sum(parts[part].identities or 0 for part in ("train", "gallery")) == parts["all"].identities == 40671
    report = examine(read("veri-wild", copy(tmp_path)))
    assert "train: 3 images, published: 277797: 277794 missing" in report.problems
    assert "gallery: 2 identities, published: 3000" in report.problems
    assert "gallery: 2 images, published: 38861 (unverified): 38859 missing" in report.remarks
