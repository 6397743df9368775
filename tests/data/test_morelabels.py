"""Labels beyond identity: kept by every operation on splits, hidden but for the words that are declared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reidbench.data import MORE_LABELS, HiddenSplit, MoreLabels, Sample, Split
from reidbench.data.hidden import hidden_order
from reidbench.errors import DataError

ROWS = (
    Sample("a.png", 1, 0, clothes=0, modality="visible", tracklet=4, attributes={"hat": "yes"}),
    Sample("b.png", 1, 1, clothes=1, modality="infrared", tracklet=7),
    Sample("c.png", 2, 0, clothes=0, modality="visible", attributes={"hat": "no", "bag": "backpack"}),
)


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return Split(tmp_path, ROWS)


def test_rows_come_back_as_they_were_given(split: Split) -> None:
    assert split.samples == ROWS
    assert split.modality == ("visible", "infrared", "visible")
    assert split.tracklets is not None
    assert split.tracklets.tolist() == [4, 7, -1]
    assert split.attributes == {"hat": ("yes", "", "no"), "bag": ("", "", "backpack")}


def test_a_column_of_unknowns_is_no_column(tmp_path: Path) -> None:
    plain = Split(tmp_path, [Sample("a.png", 1, 0), Sample("b.png", 1, 1, attributes={"hat": ""})])
    assert plain.clothes is plain.modality is plain.tracklets is None
    assert plain.attributes == {}
    assert plain.more.known == frozenset()


def test_a_file_keeps_them_and_one_without_them_is_as_before(split: Split, tmp_path: Path) -> None:
    split.save(tmp_path / "train.json")
    assert Split.load(tmp_path / "train.json", split.root).samples == ROWS
    plain = Split(tmp_path, [Sample("a.png", 1, 0)])
    plain.save(tmp_path / "plain.json")
    assert (tmp_path / "plain.json").read_text() == '{"paths": ["a.png"], "pids": [1], "camids": [0]}'


def test_columns_of_another_length_are_refused(split: Split, tmp_path: Path) -> None:
    file = tmp_path / "train.json"
    split.save(file)
    file.write_text(file.read_text().replace('"clothes": [0, 1, 0]', '"clothes": [0, 1]'))
    with pytest.raises(DataError, match="a different number of"):
        Split.load(file, split.root)
    split.hide().save(file)
    file.write_text(file.read_text().replace('"tracklets": [', '"tracklets": [3, '))
    with pytest.raises(DataError, match="different lengths"):
        HiddenSplit.load(file, split.root)


def test_some_rows_and_some_words(split: Split) -> None:
    assert split.subset([2, 0]).samples == (ROWS[2], ROWS[0])
    told = split.telling({"modality", "attributes"})
    assert told.more.known == {"modality", "attributes"}
    assert told.pids.tolist() == split.pids.tolist()
    assert split.telling(frozenset()).samples == tuple(Sample(*row[:5]) for row in ROWS)
    assert split.with_pids([5, 5, 6]).samples == tuple(
        row._replace(pid=pid) for row, pid in zip(ROWS, [5, 5, 6], strict=True)
    )


def test_hidden_images_have_them_in_their_own_order_until_they_are_taken_away(split: Split, tmp_path: Path) -> None:
    hidden = split.hide()
    order = hidden_order(3)
    assert hidden.clothes is not None
    assert hidden.clothes.tolist() == np.array([0, 1, 0])[order].tolist()
    hidden.save(tmp_path / "hidden.json")
    loaded = HiddenSplit.load(tmp_path / "hidden.json", split.root)
    assert loaded.modality == hidden.modality
    nothing = loaded.telling(frozenset())
    assert all(not getattr(nothing, name) for name in MORE_LABELS)


def test_sets_that_are_merged_keep_their_tracklets_apart(split: Split, tmp_path: Path) -> None:
    plain = Split(tmp_path, [Sample("d.png", 1, 0)])
    other = Split(tmp_path, [Sample("e.png", 1, 0, tracklet=4)])
    merged = Split.merge([split, plain, other])
    assert merged.tracklets is not None
    assert merged.tracklets.tolist() == [4, 7, -1, -1, 12]
    assert merged.modality == ("visible", "infrared", "visible", "", "")
    assert merged.attributes["hat"] == ("yes", "", "no", "", "")
    hidden = HiddenSplit.merge([one.hide() for one in (split, plain, other)])
    assert sorted(hidden.tracklets.tolist() if hidden.tracklets is not None else []) == [-1, -1, 4, 7, 12]


def test_merging_sets_without_them_makes_none() -> None:
    assert MoreLabels.merge([(2, MoreLabels()), (1, MoreLabels())]).known == frozenset()
