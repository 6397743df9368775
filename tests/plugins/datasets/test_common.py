"""Folders, archives and file extensions, common to all readers."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.support.copies import PICTURE, Open, rows, touch


# ---------------------------------------------------------------------- folders, archives, pools
def test_a_market_folder_without_cameras(read: Open, tmp_path: Path) -> None:
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        touch(tmp_path, [f"{folder}/0001_anything.jpg", f"{folder}/17.png"])
    dataset = read("market-folder", tmp_path, cameras="none")
    assert rows(dataset.query) == [(1, -1), (17, -1)]


def test_an_archive_is_read_like_its_folder(read: Open, tmp_path: Path) -> None:
    archive = tmp_path / "Market.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for folder in ("bounding_box_train", "query", "bounding_box_test"):
            out.writestr(f"Market-1501-v15.09.15/{folder}/0002_c1s1_000451_03.jpg", PICTURE.getvalue())
    dataset = read("market1501", archive, check="off")
    assert rows(dataset.train) == [(2, 0)]
    assert dataset.train.image(0).shape == (8, 4, 3)


# ---------------------------------------------------------------------- endings
NAMES = {
    "market1501": (("bounding_box_train", "query", "bounding_box_test"), "0002_c1s1_000451_03", {}),
    "market-folder": (("bounding_box_train", "query", "bounding_box_test"), "0002_c1s1_000451_03", {}),
    "dukemtmc-reid": (("bounding_box_train", "query", "bounding_box_test"), "0002_c1_f0046182",
                      {"accept_withdrawal": True}),
    "personx": (("bounding_box_train", "query", "bounding_box_test"), "0002_c3_1", {}),
    "cuhk03-np": (("bounding_box_train", "query", "bounding_box_test"), "0002_c1_1", {}),
    "clonedperson": (("train", "test/query", "test/gallery"), "000002_s00_c00_f1", {}),
    "randperson": (("randperson_subset",), "000002_s00_c00_f1", {}),
    "partial-reid": (("query", "gallery"), "002_01", {}),
    "luperson": (("images",), "x", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ending", ["JPG", "jpeg", "Png", "gif", "TIF", "webp", "bmp"])
def test_every_reader_takes_every_ending(name: str, ending: str, read: Open, tmp_path: Path) -> None:
    folders, stem, params = NAMES[name]
    touch(tmp_path, [f"{folder}/{stem}.{ending}" for folder in folders])
    checked = {} if name in ("market-folder", "partial-reid") else {"check": "off"}
    dataset = read(name, tmp_path, **checked, **params)
    assert sum(map(len, dataset.parts().values())) == len(folders)
    assert dataset.strays == {}
