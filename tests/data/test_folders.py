"""Folders in the Market-1501 layout, read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from reidbench.data import fingerprint_folder, read_image, read_market_folder
from reidbench.errors import DataError
from reidbench_datasets.market import MARKET1501


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 8), (10, 20, 30)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As released: junk, distractors, a doubled ending, and what a desktop leaves behind."""
    for name in ("0002_c1s1_000451_03.jpg", "0002_c3s1_000500_01.jpg", "0007_c6s3_077419_03.jpg"):
        picture(tmp_path / "bounding_box_train" / name)
    picture(tmp_path / "query" / "0001_c1s1_001051_00.jpg")
    gallery = (
        "0001_c2s1_001051_02.jpg",
        "-1_c1s1_000401_03.jpg",
        "0000_c3s2_068767_01.jpg",
        "1501_c5s1_000001_00.jpg.jpg",
    )
    for name in gallery:
        picture(tmp_path / "bounding_box_test" / name)
    (tmp_path / "bounding_box_test" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "bounding_box_test" / ".DS_Store").write_bytes(b"x")
    picture(tmp_path / "bounding_box_test" / "0001_c7s1_001051_02.jpg")  # no seventh camera
    picture(tmp_path / "bounding_box_test" / "copy of 0001_c2s1_001051_02.jpg")
    return tmp_path


def test_pids_cameras_and_order(folder: Path) -> None:
    dataset = read_market_folder(folder, rule=MARKET1501)
    assert [(s.pid, s.camid) for s in dataset.train.samples] == [(2, 0), (2, 2), (7, 5)]
    assert dataset.gallery is not None
    assert [(s.pid, s.camid) for s in dataset.gallery.samples] == [(-1, 0), (0, 2), (1, 1), (1501, 4)]
    assert list(dataset.gallery.paths) == sorted(dataset.gallery.paths)


def test_strays_are_left_out_and_named(folder: Path) -> None:
    (note,) = read_market_folder(folder, rule=MARKET1501).notes
    assert note.startswith("bounding_box_test: 2 files left out")
    assert "0001_c7s1_001051_02.jpg" in note
    assert "copy of 0001_c2s1_001051_02.jpg" in note


def test_junk_is_not_trained_on(folder: Path) -> None:
    picture(folder / "bounding_box_train" / "-1_c1s1_000401_03.jpg")
    assert read_market_folder(folder, rule=MARKET1501).train.pids.tolist() == [2, 2, 7]


def test_missing_folder_and_a_root_too_high(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_market_folder(folder / "query")
    deeper = folder.parent / "outer"
    deeper.mkdir()
    folder.rename(deeper / "Market-1501")
    with pytest.raises(DataError, match=r"did you mean .*outer/Market-1501 as root\?"):
        read_market_folder(deeper)


def test_folder_without_any_image(folder: Path) -> None:
    for file in (folder / "query").iterdir():
        file.unlink()
    (folder / "query" / "readme.txt").write_text("x")
    with pytest.raises(DataError, match=r"no image with a name like 0002_c1s1_000451_03\.jpg among 1 files"):
        read_market_folder(folder)


def test_fingerprint_sees_names_and_contents(folder: Path) -> None:
    before = fingerprint_folder(folder)
    assert fingerprint_folder(folder, full=True) == before
    assert fingerprint_folder(folder) == before
    (folder / "query" / "Thumbs.db").write_bytes(b"clutter does not count")
    assert fingerprint_folder(folder) == before
    file = folder / "query" / "0001_c1s1_001051_00.jpg"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    changed = fingerprint_folder(folder)
    assert changed != before
    assert fingerprint_folder(folder, full=True) == changed
    file.rename(file.with_name("0001_c2s1_001051_00.jpg"))
    assert fingerprint_folder(folder) not in (before, changed)


def test_undecodable_images_are_named(tmp_path: Path) -> None:
    file = tmp_path / "x.jpg"
    with pytest.raises(DataError, match=r"x\.jpg: no such image"):
        read_image(file)
    file.write_text("no image")
    with pytest.raises(DataError, match=r"x\.jpg: cannot be decoded"):
        read_image(file)
    picture(file)
    file.write_bytes(file.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"x\.jpg: cannot be decoded"):
        read_image(file)


def test_an_image_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("RGB", (20, 20)).save(tmp_path / "bomb.png")
    with pytest.raises(DataError, match="cannot be decoded"):
        read_image(tmp_path / "bomb.png")
