"""VIPeR, PRID 2011, GRID and CUHK01."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reidbench.errors import DataError
from tests.support.copies import Open, touch


def test_viper(read: Open, tmp_path: Path) -> None:
    touch(
        tmp_path, [f"VIPeR/cam_{cam}/{n:03d}_{angle}.bmp" for n in range(632) for cam, angle in (("a", 0), ("b", 90))]
    )
    touch(tmp_path, ["VIPeR/cam_a/Thumbs.db", "VIPeR/cam_a/list.txt"])
    dataset = read("viper", tmp_path, split=3)
    assert (len(dataset.train), len(dataset.query), len(dataset.gallery)) == (632, 316, 316)  # type: ignore[arg-type]
    assert set(dataset.query.camids) == {0}  # type: ignore[union-attr]
    assert not set(dataset.train.pids) & set(dataset.query.pids)  # type: ignore[union-attr]
    assert dataset.train.pids.min() >= 1  # person 000 is not a distractor
    assert sorted({*dataset.train.pids, *dataset.query.pids}) == list(range(1, 633))  # type: ignore[union-attr]
    back = read("viper", tmp_path, split=3, direction="b-to-a")
    assert back.query.paths == dataset.gallery.paths  # type: ignore[union-attr]
    (tmp_path / "VIPeR/cam_b/017_90.bmp").unlink()
    with pytest.raises(DataError, match=r"1 persons are in one camera only, first \[18\]"):
        read("viper", tmp_path)


def test_prid(read: Open, tmp_path: Path) -> None:
    for camera, persons in (("a", 385), ("b", 749)):
        touch(tmp_path, [f"single_shot/cam_{camera}/person_{n:04d}.png" for n in range(1, persons + 1)])
    dataset = read("prid2011", tmp_path, check="strict")
    assert [len(split) for split in dataset.parts().values()] == [200, 100, 649]
    assert dataset.query.pids.max() <= 200  # type: ignore[union-attr] - person 201 of A is not person 201 of B
    with pytest.raises(DataError, match="the fixed splits are for 200"):
        for camera in "ab":
            (tmp_path / f"single_shot/cam_{camera}/person_0007.png").unlink()
        read("prid2011", tmp_path)


def test_grid(read: Open, tmp_path: Path) -> None:
    from scipy.io import savemat

    for n in range(1, 251):
        touch(tmp_path, [f"underground_reid/probe/{n:04d}_{n % 7 + 1}_25004_107_32_106_221.jpeg"])
        touch(tmp_path, [f"underground_reid/gallery/{n:04d}_{n % 7 + 2}_25023_116_134_128_330.jpeg"])
    touch(tmp_path, [f"underground_reid/gallery/0000_{n % 8 + 1}_{n:05d}_1_2_3_4.jpeg" for n in range(775)])
    dataset = read("grid", tmp_path, check="strict")
    assert [len(split) for split in dataset.parts().values()] == [250, 125, 900]
    assert (dataset.gallery.pids == 0).sum() == 775  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"features_and_partitions\.mat: no such file"):
        read("grid", tmp_path, partition="official")
    cells = np.empty((1, 10), dtype=object)
    for split in range(10):
        chosen = np.arange(1, 126) + split
        cells[0, split] = {"a": np.arange(3), "b": np.arange(7), "ids": chosen} if split == 2 else chosen
    savemat(tmp_path / "underground_reid/features_and_partitions.mat", {"trainIdxAll": cells})
    official = read("grid", tmp_path, partition="official", split=2)
    assert sorted(set(official.train.pids)) == list(range(3, 128))
    assert sorted(set(read("grid", tmp_path, partition="official").train.pids)) == list(range(1, 126))


def test_cuhk01(read: Open, tmp_path: Path) -> None:
    campus = tmp_path / "CUHK01" / "campus"
    touch(campus, [f"{person:04d}{shot:03d}.png" for person in range(1, 972) for shot in range(1, 5)])
    for train, query, persons in ((485, 972, 486), (871, 200, 100)):
        dataset = read("cuhk01", tmp_path, train=train, split=4, check="strict")
        assert dataset.query is not None
        assert dataset.gallery is not None
        assert [len(split) for split in dataset.parts().values()] == [4 * train, query, query]
        assert len(set(dataset.query.pids)) == persons
        assert set(dataset.query.pids) == set(dataset.gallery.pids)
        assert not set(dataset.query.pids) & set(dataset.train.pids)
        for split, camera, shots in ((dataset.query, 0, "12"), (dataset.gallery, 1, "34")):
            assert sorted(split.paths) == [
                f"{pid:04d}00{shot}.png" for pid in sorted(set(split.pids)) for shot in shots
            ]
            assert set(split.camids) == {camera}
        back = read("cuhk01", campus, train=train, split=4, direction="b-to-a")
        assert back.query is not None
        assert (back.query.paths, set(back.query.camids)) == (dataset.gallery.paths, {1})
    (campus / "0007004.png").rename(campus / "0007005.png")
    with pytest.raises(DataError, match=r"CUHK01/campus: not the published cuhk01:485: .*: 0007005\.png"):
        read("cuhk01", tmp_path, check="strict")
    (campus / "0007003.png").unlink()
    with pytest.raises(DataError, match=r"cuhk01: 1 persons are in one camera only, first \[7\]"):
        read("cuhk01", tmp_path)
