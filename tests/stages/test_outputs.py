"""Valid answers of a selector, and features of several methods as one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench import Metrics, Selection
from reidbench.data import MoreLabels, Split
from reidbench.errors import DataError
from reidbench.stages.outputs import (
    answer_fault,
    joined_features,
    metric_values,
    more_columns,
    save_arrays,
    selection_fault,
)

SCORES = [0.3, 0.1, 0.2]


@pytest.mark.parametrize(
    ("indices", "scores", "fault"),
    [
        ([2, 0], SCORES, ""),
        ([0], [1, 0, 1], ""),
        ([0], [0.5, 0.5], "a Selection with one score per pool image"),
        ([0], [[0.5], [0.5], [0.5]], "a Selection with one score per pool image"),
        ([0], [0.5, np.nan, np.inf], "scores that are numbers, not NaN or infinity as for index 1"),
        ([], SCORES, "indices that are a list of whole numbers, at least one"),
        ([0.0, 1.0], SCORES, "indices that are a list of whole numbers, at least one"),
        ([True, False, True], SCORES, "indices that are a list of whole numbers, at least one"),
        ([[0, 1]], SCORES, "indices that are a list of whole numbers, at least one"),
        ([1, 1], SCORES, "indices that are different and from 0 to 2"),
        ([3], SCORES, "indices that are different and from 0 to 2"),
        ([-1], SCORES, "indices that are different and from 0 to 2"),
    ],
)
def test_what_a_selector_may_answer(indices: list[Any], scores: list[Any], fault: str) -> None:
    assert selection_fault(Selection(np.array(indices), np.array(scores)), 3) == fault


def test_a_selector_answers_with_a_selection() -> None:
    assert selection_fault((np.array([0]), np.array(SCORES)), 3) == "a Selection with one score per pool image"


def test_an_ensembles_distance_is_the_mean_of_its_members(tmp_path: Path) -> None:
    """Cosine distances of joined features are the mean of those of the members, for any lengths."""
    draws = np.random.default_rng(0)
    files, distances = [], []
    for name, dim in (("a", 3), ("b", 5)):
        query, gallery = draws.normal(size=(2, dim)), draws.normal(size=(4, dim)) * 7
        pids = {"query_pids": np.array([1, 2]), "gallery_pids": np.array([1, 2, 2, 3])}
        camids = {"query_camids": np.zeros(2), "gallery_camids": np.ones(4)}
        save_arrays(tmp_path / f"{name}.npz", {"query_features": query, "gallery_features": gallery, **pids, **camids})
        files.append(tmp_path / f"{name}.npz")
        lengths = np.linalg.norm(query, axis=1)[:, None] * np.linalg.norm(gallery, axis=1)
        distances.append(1 - query @ gallery.T / lengths)
    query, gallery = joined_features(files)
    assert query.features.shape == (2, 8)
    assert gallery.pids.tolist() == [1, 2, 2, 3]
    lengths = np.linalg.norm(query.features, axis=1)[:, None] * np.linalg.norm(gallery.features, axis=1)
    joined = 1 - query.features @ gallery.features.T / lengths
    np.testing.assert_allclose(joined, (distances[0] + distances[1]) / 2, atol=1e-12)
    alone, _ = joined_features(files[:1])
    np.testing.assert_array_equal(alone.features, np.load(files[0])["query_features"])  # one method: as it embeds


def test_picture_numbers_are_those_of_the_first_member(tmp_path: Path) -> None:
    """No member has them, or all do: they depend on the data alone."""
    sides = {"query": np.array([[1.0, 0.0]]), "gallery": np.array([[2.0, 0.0], [0.0, 3.0]])}
    columns = {}
    for side, features in sides.items():
        columns |= {f"{side}_features": features, f"{side}_pids": np.arange(len(features))}
        columns |= {f"{side}_camids": np.zeros(len(features)), f"{side}_images": np.arange(len(features)) + 5}
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for file in files:
        save_arrays(file, columns)
    for some in (files[:1], files):
        query, gallery = joined_features(some)
        assert (query.images.tolist(), gallery.images.tolist()) == ([5], [5, 6])
    save_arrays(files[0], {name: values for name, values in columns.items() if "images" not in name})
    assert [side.images for side in joined_features(files[:1])] == [None, None]
    save_arrays(files[1], columns | {"gallery_features": sides["gallery"] * [[1], [0]]})
    with pytest.raises(DataError, match=r"^member 2 of the ensemble: gallery_features row 1 is a zero vector.*1 of 2"):
        joined_features(files)
    assert joined_features(files[1:])[1].features[1].tolist() == [0, 0]  # alone: the evaluator decides


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), np.int64(3), np.array(0.5), np.float16(0.25)])
def test_a_number_of_any_library_is_a_metric(value: Any) -> None:
    assert metric_values({"mAP": value}) == ({"mAP": float(value)}, "")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "True"),
        (np.True_, "np.True_"),
        ("0.5", "'0.5'"),
        ("1_0", "'1_0'"),
        (None, "None"),
        ([0.5], "[0.5]"),
        (np.array([0.1, 0.2]), "array([0.1, 0.2])"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_text_and_truth_values_are_no_metrics(value: Any, shown: str) -> None:
    assert metric_values({"cmc1": 1.0, "mAP": value})[1] == f"no number for mAP, but {shown}"


@pytest.mark.parametrize("given", [[0.5], {1: 0.5}, {"": 0.5}, {" ": 0.5}, None])
def test_metrics_come_by_name(given: Any) -> None:
    assert metric_values(given) == ({}, f"no mapping of names to numbers, but {given!r}")


class Renamed(str):
    """Text that prints and compares as something else."""

    def __str__(self) -> str:
        return "mINP"

    __repr__ = strip = __str__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


class Names(StrEnum):
    MAP = "mAP"


@pytest.mark.parametrize("name", [Renamed("mAP"), Names.MAP, np.str_("mAP")])
def test_a_name_is_the_text_that_it_holds(name: str) -> None:
    values, fault = metric_values({name: 0.5})
    assert (values, fault, {type(key) for key in values}) == ({"mAP": 0.5}, "", {str})


def test_two_metrics_of_one_name_are_refused() -> None:
    assert metric_values({Renamed("mAP"): 0.5, "mAP": 0.6}) == ({}, "two metrics with the same name: mAP")


def test_a_per_query_array_that_numpy_would_take_for_another() -> None:
    arrays = {"ap": np.zeros(2), "ap.npy": np.ones(2)}
    fault = "returned a per_query array with the reserved name 'ap.npy'; rename it"
    assert answer_fault(Metrics({"mAP": 0.5}, arrays), 2) == fault
    assert answer_fault(Metrics({"mAP": 0.5}, {Renamed("file"): np.zeros(2)}), 2).endswith("name 'file'; rename it")


def test_a_label_of_one_part_is_unknown_in_the_other() -> None:
    query = Split.of_columns(Path(), ["a", "b"], [1, 2], [0, 0], more=MoreLabels.of(modality=["visible", "infrared"]))
    gallery = Split.of_columns(Path(), ["c"], [1], [1], more=MoreLabels.of(tracklets=[4]))
    found = more_columns({"query": query, "gallery": gallery})
    assert {name: column.tolist() for name, column in found.items()} == {
        "query_modality": ["visible", "infrared"],
        "gallery_modality": [""],
        "query_tracklets": [-1, -1],
        "gallery_tracklets": [4],
    }
    assert more_columns({"query": Split(Path(), []), "gallery": Split(Path(), [])}) == {}
