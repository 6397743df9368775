"""Splits carry labels; hidden splits have none to give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reidbench.data import HiddenSplit, Sample, Split, read_market_folder
from reidbench.data.hidden import hidden_order
from reidbench.data.split import BoundTruth
from reidbench.errors import DataError


@pytest.fixture
def train(market: Path) -> Split:
    return read_market_folder(market).train


def test_a_hidden_split_has_no_labels_to_read(train: Split) -> None:
    hidden = train.hide()
    for name in ("pids", "paths", "samples", "labels", "root", "num_pids"):
        assert not hasattr(hidden, name), name
    public = [name for name in dir(hidden) if not name.startswith("_")]
    assert sorted(public) == [
        "attributes",
        "camids",
        "clothes",
        "domains",
        "ids",
        "image",
        "load",
        "match",
        "merge",
        "modality",
        "more",
        "save",
        "sidecar",
        "subset",
        "telling",
        "tracklets",
    ]
    assert not any("00" in name and "_c" in name for name in hidden.ids)  # no file names


def test_hidden_images_are_the_same_in_another_order(train: Split) -> None:
    hidden = train.hide()
    order = hidden_order(len(train))
    assert sorted(order.tolist()) == list(range(len(train)))
    assert order.tolist() != list(range(len(train)))
    for index in range(len(train)):
        assert (hidden.image(index) == train.image(int(order[index]))).all()
        assert hidden.camids[index] == train.camids[order[index]]


def test_hiding_does_not_depend_on_labels(train: Split) -> None:
    poisoned = Split(train.root, [sample._replace(pid=99 - sample.pid) for sample in train.samples])
    first, second = train.hide(), poisoned.hide()
    assert all((first.image(index) == second.image(index)).all() for index in range(len(train)))


def test_labels_are_consecutive(tmp_path: Path) -> None:
    split = Split(tmp_path, [Sample("a", 7, 0), Sample("b", 3, 1), Sample("c", 7, 2)])
    assert split.labels().tolist() == [1, 0, 1]
    assert split.num_pids == 2
    assert split.num_cameras == 3
    with pytest.raises(DataError, match="1 images without an identity"):
        Split(tmp_path, [Sample("a", 0, 0), Sample("b", 1, 0)]).labels()


def test_merged_sets_share_neither_identities_nor_cameras(tmp_path: Path) -> None:
    first = Split(tmp_path / "1", [Sample("a", 1, 0), Sample("b", 5, 1), Sample("c", 0, 0)])
    second = Split(tmp_path / "2", [Sample("a", 1, 0), Sample("b", 5, 3)])
    merged = Split.merge([first, second])
    assert merged.pids.tolist() == [1, 2, 0, 3, 4]
    assert merged.camids.tolist() == [0, 1, 0, 2, 5]
    assert [Path(path).parent.name for path in merged.paths] == ["1", "1", "1", "2", "2"]
    hidden = HiddenSplit.merge([first.hide(), second.hide()])
    assert sorted(hidden.camids.tolist()) == [0, 0, 1, 2, 5]
    assert Split.merge([first]) is first


def test_few_identities_are_whole_and_seeded(train: Split) -> None:
    half = train.few_identities(0.5, seed=0)
    assert half.num_pids == 2
    assert len(half) == 8  # all images of both: 2 cameras x 2 images each
    chosen = {tuple(np.unique(train.few_identities(0.5, seed=seed).pids)) for seed in range(20)}
    assert len(chosen) > 1
    assert train.few_identities(0.5, seed=3).paths == train.few_identities(0.5, seed=3).paths
    assert train.few_identities(3).num_pids == 3
    assert train.few_identities(0.01).num_pids == 2  # one identity cannot be trained on
    with pytest.raises(DataError, match="`identities: 99` exceeds the 4 identities of the train part; lower it"):
        train.few_identities(99)


def test_saved_and_loaded(train: Split, tmp_path: Path) -> None:
    train.save(tmp_path / "labelled")
    train.hide().save(tmp_path / "hidden")
    assert Split.load(tmp_path / "labelled", train.root).samples == train.samples
    hidden = HiddenSplit.load(tmp_path / "hidden", train.root)
    assert (hidden.image(3) == train.hide().image(3)).all()
    assert '"pids"' not in (tmp_path / "hidden").read_text()


def test_sidecars_join_by_name_through_the_harness(train: Split, tmp_path: Path) -> None:
    hidden = train.hide()
    order = hidden_order(len(train))
    for index, path in enumerate(train.paths[:-1]):
        stem = Path(path).stem
        (tmp_path / f"{stem}_fake_3.png").write_bytes((train.root / train.paths[index]).read_bytes())
    sidecar = hidden.sidecar(tmp_path, "{stem}_fake_{k}.png", k=3)
    (missing,) = sidecar.missing()
    assert order[missing] == len(train) - 1
    present = next(index for index in range(len(hidden)) if index != missing)
    assert (sidecar.image(present) == hidden.image(present)).all()
    assert not [
        name for name in dir(sidecar) if not name.startswith("_") and name not in ("exists", "image", "missing")
    ]


def test_truth_is_asked_by_index(train: Split) -> None:
    class Truth:
        def name(self, file: str, suffix: str = "") -> str:
            return file + suffix

    bound = BoundTruth(Truth(), train)
    assert bound.name(2, suffix="!") == Path(train.paths[2]).name + "!"
