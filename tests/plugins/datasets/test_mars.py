"""MARS: the order of the images, tracklets and queries of info/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from reidbench.data import examine
from reidbench.errors import DataError
from tests.support.copies import Open, rows, touch

# (pid, camera from 1, images) of each tracklet, in the order of info
TRAIN = [(1, 1, 2), (1, 2, 3), (3, 6, 1)]
TEST = [(-1, 1, 1), (0, 3, 2), (2, 1, 3), (2, 2, 2), (4, 1, 1), (4, 5, 4), (4, 5, 1)]
QUERIES = [3, 5]  # (2, 1, 3) and (4, 1, 1)
Tracklets = list[tuple[int, int, int]]


def names(tracklets: Tracklets) -> list[str]:
    found = []
    for number, (pid, camera, images) in enumerate(tracklets, start=1):
        who = "00-1" if pid < 0 else f"{pid:04d}"
        found += [f"{who}C{camera}T{number:04d}F{frame:03d}.jpg" for frame in range(1, images + 1)]
    return found


def ranges(tracklets: Tracklets) -> np.ndarray:
    last = np.cumsum([images for *_, images in tracklets])
    return np.array([[end - n + 1, end, pid, cam] for (pid, cam, n), end in zip(tracklets, last, strict=True)])


def save(root: Path, file: str, name: str, values: Any) -> None:
    savemat(root / "info" / file, {name: np.asarray(values)})


def copy(root: Path, train: Tracklets = TRAIN, test: Tracklets = TEST) -> Path:
    (root / "info").mkdir(parents=True)
    for part, tracklets in (("train", train), ("test", test)):
        listed = names(tracklets)
        touch(root, [f"bbox_{part}/{name[:4]}/{name}" for name in listed])
        (root / f"info/{part}_name.txt").write_text("\n".join(listed) + "\n")
        save(root, f"tracks_{part}_info.mat", f"track_{part}_info", ranges(tracklets).astype(np.int32))
    save(root, "query_IDX.mat", "query_IDX", np.array([QUERIES], dtype=np.uint16))
    return root


def tracklets(split: Any) -> list[int]:
    found: list[int] = split.tracklets.tolist()
    return found


def test_tracklets_of_train_query_and_gallery(read: Open, tmp_path: Path) -> None:
    copy(tmp_path / "MARS")
    dataset = read("mars", tmp_path, check="off", gallery="others")  # the folder above is meant too
    assert dataset.name == "mars:others"
    assert dataset.gallery is not None
    assert rows(dataset.train) == [(1, 0)] * 2 + [(1, 1)] * 3 + [(3, 5)]
    assert tracklets(dataset.train) == [0, 0, 1, 1, 1, 2]
    assert rows(dataset.query) == [(2, 0)] * 3 + [(4, 0)]
    assert tracklets(dataset.query) == [2, 2, 2, 4]
    assert rows(dataset.gallery) == [(-1, 0)] + [(0, 2)] * 2 + [(2, 1)] * 2 + [(4, 4)] * 5
    assert tracklets(dataset.gallery) == [0, 1, 1, 3, 3, 5, 5, 5, 5, 6]
    assert dataset.gallery.paths[:2] == (
        "bbox_test/00-1/00-1C1T0001F001.jpg", "bbox_test/0000/0000C3T0002F001.jpg"
    )  # fmt: skip
    assert "the gallery excludes the query tracklets" in dataset.notes[0]
    whole = read("mars", tmp_path, check="off")
    assert whole.name == "mars:all"
    assert tracklets(whole.gallery) == [0, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 5, 5, 6]
    assert whole.query is not None
    assert (whole.query.paths, whole.train.paths) == (dataset.query.paths, dataset.train.paths)
    assert (whole.notes, dict(whole.strays), dict(whole.absent), whole.faults) == ((), {}, {}, ())


@pytest.mark.parametrize(
    ("frames", "kept"),  # of tracklets of 2, 3, 4 and 1 images
    [(1, [2, 2, 3, 1]), (2, [1, 2, 1, 3, 2, 4, 1]), (9, [1, 2, 1, 2, 3, 1, 2, 3, 4, 1])],
)
def test_evenly_spread_frames(frames: int, kept: list[int], read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "m", test=[(2, 1, 2), (2, 2, 3), (2, 3, 4), (4, 1, 1)])
    save(root, "query_IDX.mat", "query_IDX", [2, 3])
    dataset = read("mars", root, check="off", frames=frames)
    assert dataset.query is not None
    assert dataset.gallery is not None
    assert set(dataset.query.paths) == {path for path in dataset.gallery.paths if path[-9] in "23"}
    assert [int(path[-7:-4]) for path in dataset.gallery.paths] == kept
    assert dataset.name == f"mars:all:{frames} frames"
    assert dataset.notes[0] == f"frames: {frames}: at most {frames} evenly spread frames of each tracklet"


def test_a_check_counts_tracklets_and_names_files(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "m")
    (root / "bbox_test/0002/0002C2T0004F001.jpg").unlink()
    (root / "bbox_test/0004/0004C1T0005F001.jpg").unlink()
    touch(root, ["bbox_test/0002/0002C2T0004F009.jpg", "bbox_train/0001/0001.png", "bbox_train/0001/Thumbs.db"])
    (root / "bbox_train/0003/0003C6T0003F001.jpg").rename(root / "bbox_train/0003/0003C6T0003F001.JPG")
    dataset = read("mars", root)
    assert dict(dataset.strays) == {
        "train": ["bbox_train/0001/0001.png"], "gallery": ["bbox_test/0002/0002C2T0004F009.jpg"]
    }  # fmt: skip
    assert dict(dataset.absent) == {
        "query": ["bbox_test/0004/0004C1T0005F001.jpg"],
        "gallery": ["bbox_test/0002/0002C2T0004F001.jpg", "bbox_test/0004/0004C1T0005F001.jpg"],
    }  # fmt: skip
    assert dataset.train.paths[-1] == "bbox_train/0003/0003C6T0003F001.JPG"
    problems = examine(dataset).problems
    assert "query: 1 tracklets, published: 1980" in problems
    assert "train: 3 tracklets, published: 8298" in problems
    assert "gallery: 12 images, published: 681089: 681077 missing" in problems
    assert "gallery: 6 tracklets, published: 12180" in problems
    with pytest.raises(DataError, match="not the published mars:all"):
        read("mars", root, check="strict")
    few = examine(read("mars", root, frames=2)).problems
    assert "train: 3 tracklets, published: 8298" in few
    assert not any("681089" in problem for problem in few)


def test_names_that_disagree_with_the_tracklets_are_a_fault(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "m")
    table = ranges(TRAIN)
    table[1, 3] = 4  # the camera of (1, 2, 3)
    save(root, "tracks_train_info.mat", "track_train_info", table)
    dataset = read("mars", root, check="off")
    assert dataset.faults == (
        "3 images have a person or camera in their names that differs from info/tracks_train_info.mat, which is used: "
        "0001C2T0002F001.jpg, 0001C2T0002F002.jpg, 0001C2T0002F003.jpg",
    )
    assert rows(dataset.train)[2] == (1, 3)


def changed(at: tuple[int, int], value: float) -> np.ndarray:
    table = ranges(TEST).astype(np.float64)
    table[at] = value
    return table


WRONG = [
    ("tracks_test_info.mat", "tracks", ranges(TEST), r"has no numbers called track_test_info, only tracks"),
    ("tracks_test_info.mat", "track_test_info", "text", r"no numbers called track_test_info"),
    ("tracks_test_info.mat", "track_test_info", ranges(TEST)[:, :3], r"has shape \[7, 3\], but needs a row per"),
    ("tracks_test_info.mat", "track_test_info", changed((2, 2), 1.5), "contains numbers that are not whole"),
    ("tracks_test_info.mat", "track_test_info", changed((2, 2), np.nan), "contains numbers that are not whole"),
    ("tracks_test_info.mat", "track_test_info", changed((2, 2), 1e300), "contains numbers that are not whole"),
    ("tracks_test_info.mat", "track_test_info", changed((2, 2), -2), r"row 3 of .*, \[4, 6, -2, 1\], has a person bel"),
    ("tracks_test_info.mat", "track_test_info", changed((3, 3), 7), r"row 4 of .* has a camera outside 1 to 6"),
    ("tracks_test_info.mat", "track_test_info", changed((2, 1), 3), r"row 3 of .* has a last image before the first"),
    ("tracks_test_info.mat", "track_test_info", changed((2, 0), 5), r"row 3 of .* that does not follow the"),
    ("tracks_test_info.mat", "track_test_info", ranges(TEST)[:-1], r"_name\.txt: has 14 names, but .* have 13 images"),
    ("query_IDX.mat", "query_IDX", [3, 8], r"must contain numbers of test tracklets, 1 to 7, 8 is not one"),
    ("query_IDX.mat", "query_IDX", [0, 3], r"1 to 7, 0 is not one"),
    ("query_IDX.mat", "query_IDX", np.zeros((0, 0)), r"must contain numbers of test tracklets, 1 to 7$"),
    ("query_IDX.mat", "query_IDX", [3, 3], "lists a tracklet twice"),
    ("query_IDX.mat", "query_IDX", [1, 3], r"lists tracklet 1, which has no person \(pid -1\)"),
    ("query_IDX.mat", "query_IDX", [2, 3], r"lists tracklet 2, which has no person \(pid 0\)"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "name", "values", "said"), WRONG, ids=[said[:40] for *_, said in WRONG])
def test_wrong_info(file: str, name: str, values: Any, said: str, read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "m")
    save(root, file, name, values)
    with pytest.raises(DataError, match=said) as caught:
        read("mars", root)
    assert f"{root}/info/" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"no .mat", b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n"])
def test_files_that_are_no_mat_files(data: bytes, read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "m")
    (root / "info/query_IDX.mat").write_bytes(data)
    with pytest.raises(
        DataError, match=r"info/query_IDX\.mat: cannot be read: it is not a level 5 file; save it with -v7"
    ):
        read("mars", root)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: ["x.jpg", *lines[1:]], r"test_name\.txt:1: 'x\.jpg' is not a name like 0001C1T0001F001\.jpg"),
        (lambda lines: [*lines[:4], "", *lines[4:]], r"test_name\.txt:5: '' is not a name like"),
        (lambda lines: [*lines[:4], "../../C1T0001F001.jpg", *lines[5:]], r"test_name\.txt:5: "),
        (lambda lines: [*lines[:4], lines[3], *lines[5:]], r"test_name\.txt:5: duplicate name .*, first in line 4"),
        (
            lambda lines: lines[:-1],
            r"test_name\.txt: has 13 names, but the tracklets of info/tracks_test_info\.mat have 14",
        ),
    ],
)
def test_wrong_names(change: Any, said: str, read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "m")
    (root / "info/test_name.txt").write_text("\r\n".join(change(names(TEST))) + "\r\n\r\n")
    with pytest.raises(DataError, match=said):
        read("mars", root)


def test_missing_folders_and_files(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "MARS")
    with pytest.raises(DataError, match=rf"bbox_train: no such folder; did you mean {root} as root\?"):
        read("mars", root / "info")
    (root / "info/train_name.txt").unlink()
    with pytest.raises(DataError, match=r"info/train_name\.txt missing: the folder info of MARS-evaluation"):
        read("mars", root)
    (root / "info").rename(tmp_path / "info")
    with pytest.raises(DataError, match=rf"the tracklets and the queries; did you mean {tmp_path} as root\?"):
        read("mars", root)
