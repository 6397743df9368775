"""VIPeR, PRID 2011 and GRID."""

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
    assert dataset.train.pids.min() >= 1  # person 000 is no distractor
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
