"""CUHK03 in its three forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from reidbench.errors import DataError
from tests.support.copies import Open, rows, touch

CUHK = ["1_001_1_01.png", "1_001_2_06.png", "1_002_1_01.png", "1_002_2_06.png", "5_001_1_01.png", "5_001_2_06.png"]


def test_cuhk03_np_from_pictures_and_configuration(read: Open, tmp_path: Path) -> None:
    from scipy.io import savemat

    names = np.array([[name] for name in CUHK], dtype=object)
    savemat(
        tmp_path / "cuhk03_new_protocol_config_labeled.mat",
        {"filelist": names, "labels": np.array([[1, 1, 2, 2, 3, 3]]).T, "train_idx": [[1], [2]],
         "query_idx": [[3], [6]], "gallery_idx": [[4], [5]]},
    )  # fmt: skip
    touch(tmp_path, [f"images_labeled/{name}" for name in [*CUHK, "Thumbs.db"]])
    dataset = read("cuhk03-np", tmp_path, boxes="labeled", check="off")
    assert rows(dataset.train) == [(1, 0), (1, 1)]
    assert rows(dataset.query) == [(2, 0), (3, 1)]
    assert rows(dataset.gallery) == [(2, 1), (3, 0)]
    (tmp_path / "images_labeled" / CUHK[3]).unlink()
    touch(tmp_path, ["images_labeled/1_009_1_01.png"])
    dataset = read("cuhk03-np", tmp_path, boxes="labeled", check="off")
    assert dataset.absent == {"gallery": ["images_labeled/1_002_2_06.png"]}
    assert dataset.strays == {"train": ["images_labeled/1_009_1_01.png"]}
    assert any("1 files left out, not in the list: images_labeled/1_009" in note for note in dataset.notes)
    (tmp_path / "images_labeled" / CUHK[0]).rename(tmp_path / "images_labeled" / CUHK[0].upper())
    train = read("cuhk03-np", tmp_path, boxes="labeled", check="off").train
    assert train.paths == ("images_labeled/1_001_1_01.PNG", "images_labeled/1_001_2_06.png")
    for wrong in ([[0], [1]], [[1], [7]], [[1.5], [2]]):  # 0 would be the last picture of the list
        savemat(
            tmp_path / "cuhk03_new_protocol_config_labeled.mat",
            {"filelist": names, "labels": np.array([[1, 1, 2, 2, 3, 3]]).T, "train_idx": wrong,
             "query_idx": [[3], [6]], "gallery_idx": [[4], [5]]},
        )  # fmt: skip
        with pytest.raises(DataError, match="numbers must be whole, from 1 to 6"):
            read("cuhk03-np", tmp_path, boxes="labeled", check="off")
    with pytest.raises(DataError, match="images_detected: no such folder"):
        read("cuhk03-np", tmp_path)


def test_cuhk03_np_in_market_style(read: Open, tmp_path: Path) -> None:
    for boxes, pid in (("detected", 7), ("labeled", 8)):
        for folder in ("bounding_box_train", "query", "bounding_box_test"):
            touch(tmp_path, [f"{boxes}/{folder}/{pid:04d}_c{camera}_1.png" for camera in (1, 2)])
    assert rows(read("cuhk03-np", tmp_path, check="off").train) == [(7, 0), (7, 1)]
    assert rows(read("cuhk03-np", tmp_path, boxes="labeled", check="off").query) == [(8, 0), (8, 1)]
    assert rows(read("cuhk03-np", tmp_path / "labeled", boxes="labeled", check="off").query) == [(8, 0), (8, 1)]


@pytest.mark.parametrize("source", ["csv", "json"])
def test_cuhk03_classic(source: str, read: Open, tmp_path: Path) -> None:
    touch(tmp_path, [f"images_detected/{name}" for name in CUHK])
    if source == "csv":
        (tmp_path / "testsets.csv").write_text("split,pair,person\n0,1,1\n1,1,2\n1,5,1\n")
    else:  # torchreid's file holds absolute paths of the machine that made it
        tests = [["1_001_1_01.png", "1_001_2_06.png"], ["1_002_1_01.png", "5_001_1_01.png"]]
        entries = [{"query": [[f"/home/somebody/images_detected/{name}", 0, 0] for name in names]} for names in tests]
        (tmp_path / "splits_classic_detected.json").write_text(json.dumps(entries))
    dataset = read("cuhk03-classic", tmp_path, split=1)
    assert rows(dataset.train) == [(10001, 0), (10001, 1)]
    assert rows(dataset.query) == [(10002, 0), (10002, 1), (50001, 8), (50001, 9)]  # five pairs are ten cameras
    assert rows(dataset.gallery) == rows(dataset.query)
    assert "gallery: single-shot" in dataset.notes[0]
    with pytest.raises(DataError, match=r"split 7|cannot read the list"):
        read("cuhk03-classic", tmp_path, split=7)
    with pytest.raises(DataError, match=r"images_labeled: no such folder"):
        read("cuhk03-classic", tmp_path, boxes="labeled")
    if source == "csv":
        for line in ("1,1,２", "1,1", "1,1,2,3", "1_0,1,2"):
            (tmp_path / "testsets.csv").write_text(f"split,pair,person\n{line}\n", encoding="utf-8")
            with pytest.raises(DataError, match=r"testsets\.csv:2: .* is not split,pair,person in whole numbers"):
                read("cuhk03-classic", tmp_path, split=1)
