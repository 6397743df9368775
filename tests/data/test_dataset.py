"""Images of an unknown camera: -1 everywhere, never a separate camera, never merged with one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reidbench.data import UNKNOWN_CAMERA, HiddenSplit, Sample, Split, read_manifest
from reidbench.data.published import count


def test_a_manifest_without_cameras(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text("path,pid,split\na.jpg,1,train\nb.jpg,2,query\nc.jpg,2,gallery\n")
    dataset = read_manifest(file)
    assert dataset.query is not None
    assert dataset.train.camids.tolist() == dataset.query.camids.tolist() == [UNKNOWN_CAMERA]
    assert dataset.train.num_cameras == 0
    file.write_text("path,pid,camid,split\na.jpg,1,,train\nb.jpg,1,-1,train\nc.jpg,1,3,train\n")
    assert read_manifest(file).train.camids.tolist() == [-1, -1, 3]
    assert read_manifest(file).train.num_cameras == 1


def test_unknown_cameras_stay_unknown_when_sets_are_merged(tmp_path: Path) -> None:
    known = Split(tmp_path / "1", [Sample("a", 1, 0), Sample("b", 2, 4)])
    unknown = Split(tmp_path / "2", [Sample("a", 1, -1), Sample("b", -1, -1)])
    other = Split(tmp_path / "3", [Sample("a", 1, 0)])
    merged = Split.merge([known, unknown, other])
    assert merged.camids.tolist() == [0, 4, -1, -1, 5]
    assert merged.pids.tolist() == [1, 2, 3, -1, 4]
    hidden = HiddenSplit.merge([split.hide() for split in (known, unknown, other)])
    assert sorted(hidden.camids.tolist()) == [-1, -1, 0, 4, 5]
    assert count(merged).cameras == 3


def test_columns_and_rows_are_the_same_split(tmp_path: Path) -> None:
    rows = [Sample("b", 7, 1, "night", 2.5), Sample("a", -1, -1)]
    split = Split(tmp_path, rows)
    same = Split.of_columns(tmp_path, ["b", "a"], [7, -1], [1, -1], ["night", ""], [2.5, None])
    assert split.samples == same.samples == tuple(rows)
    assert split.subset([1, 0]).samples == tuple(rows[::-1])
    split.save(tmp_path / "x.json")
    assert Split.load(tmp_path / "x.json", tmp_path).samples == tuple(rows)
    (tmp_path / "old.json").write_text('{"samples": [["b", 7, 1, "night", 2.5], ["a", -1, -1, "", null]]}')
    assert Split.load(tmp_path / "old.json", tmp_path).samples == tuple(rows)
    empty = Split(tmp_path, ())
    assert len(empty.hide()) == 0
    assert np.array_equal(Split.merge([empty, split]).pids, [1, -1])
