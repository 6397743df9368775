"""Folders in the Market-1501 layout, read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from reidbench.data import FileNameRule, fingerprint_folder, read_image, read_market_folder
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
    assert "their names do not match" in note
    assert note.startswith("bounding_box_test: 2 files left out")
    assert "0001_c7s1_001051_02.jpg" in note
    assert "copy of 0001_c2s1_001051_02.jpg" in note


def test_junk_is_not_trained_on(folder: Path) -> None:
    picture(folder / "bounding_box_train" / "-1_c1s1_000401_03.jpg")
    dataset = read_market_folder(folder, rule=MARKET1501)
    assert dataset.train.pids.tolist() == [2, 2, 7]
    assert "train: 1 images left out: junk (pid -1)" in dataset.notes


def own(root: Path, *names: str) -> Path:
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        for name in names:
            picture(root / folder / f"{name}.png")
    return root


@pytest.mark.parametrize(("cameras", "camids"), [((0, 1, 12), [0, 1, 12]), ((1, 2, 12), [0, 1, 11])])
def test_cameras_count_from_0_where_one_is_0(cameras: tuple[int, ...], camids: list[int], tmp_path: Path) -> None:
    root = own(tmp_path, *(f"0001_c{camera}s1_000001_00" for camera in cameras))
    dataset = read_market_folder(root)
    for split in dataset.parts().values():
        assert sorted(split.camids.tolist()) == camids
    assert ("cameras are numbered from 0 here (c0): each number is a separate camera" in dataset.notes) == (
        0 in cameras
    )


def test_one_folder_with_camera_0_counts_for_all(tmp_path: Path) -> None:
    root = own(tmp_path, "0001_c1s1_000001_00")
    for file in (root / "query").iterdir():
        file.rename(file.with_name("0001_c0s1_000001_00.png"))
    dataset = read_market_folder(root)
    assert dataset.query is not None
    assert (dataset.train.camids.tolist(), dataset.query.camids.tolist()) == ([1], [0])


def test_the_release_has_no_camera_0_and_says_so(folder: Path) -> None:
    picture(folder / "query" / "0001_c0s1_001051_00.jpg")
    dataset = read_market_folder(folder, rule=MARKET1501)
    assert dataset.strays["query"] == ["query/0001_c0s1_001051_00.jpg"]
    assert any(note.startswith("query: 1 files left out, camera 0 (c0)") for note in dataset.notes)


@pytest.mark.parametrize("ending", ["JPG", "Jpeg", "jfif", "PNG", "bmp", "GIF", "tif", "TIFF", "WebP"])
def test_every_ending_is_read(ending: str, folder: Path) -> None:
    (folder / "query" / f"0003_c2s1_001051_00.{ending}").touch()
    for dataset in (read_market_folder(folder), read_market_folder(folder, rule=MARKET1501)):
        assert dataset.query is not None
        assert dataset.query.pids.tolist() == [1, 3]


def test_what_nobody_reads_is_named_with_its_reason(folder: Path) -> None:
    query = folder / "query"
    names = [
        "0003_c2s1_001051_00.heic",
        "０００３_c2s1_001051_00.jpg",
        "0003_c２s1_001051_00.jpg",
        ".0003_c1s1_0_0.jpg",
    ]
    for name in (*names, "._0001_c1s1_001051_00.jpg", "9" * 30 + "_c1s1_001051_00.jpg"):
        (query / name).touch()
    (query / "0004").mkdir()
    picture(query / "0001_c1s1_001051_00.png")  # a converted copy
    dataset = read_market_folder(folder)
    assert dataset.query is not None
    assert len(dataset.query) == 2
    told = "\n".join(note for note in dataset.notes if note.startswith("query"))
    assert "1 files left out, images of an unsupported format (convert them to PNG or JPEG): 0003_" in told
    assert "4 files left out, their names do not match" in told
    assert "0004/" in told
    assert "1 files left out, hidden images" in told
    assert "2 images share a name except for the extension" in told
    assert "._0001" not in told


def test_a_rule_may_name_its_ending_or_leave_it_out() -> None:
    for pattern in (r"(?P<pid>\d+)_(?P<cam>\d)", r"(?P<pid>\d+)_(?P<cam>\d)\.jpg"):
        rule = FileNameRule(pattern)
        assert rule.read("7_2.jpg") == (7, 1)
        assert rule.read("7_2.txt") is None
        assert rule.read("7_2") is None
        assert rule.read("７_2.jpg") is None
        assert rule.read("7_0.jpg") is None  # no camera below the first becomes the unknown one
    assert FileNameRule(r"(?P<pid>\d+)_(?P<cam>\d)").read("7_2.PNG") == (7, 1)


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
