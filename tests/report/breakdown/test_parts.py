"""Rows in parts: a test set of two cameras and four queries by hand, rules, and what is not there."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench import report
from reidbench.components import Metric
from reidbench.errors import ReidbenchError
from reidbench.matrix.stage import Plan
from reidbench.report.breakdown.pairs import Budget
from reidbench.report.breakdown.parts import Breakdown, Breaking, breakdowns
from reidbench.report.provenance import Evidence
from reidbench.store.artifacts import Store
from tests.support.lines import run_line, write_line

# AP of the queries (1, 0), (1, 1), (2, 0), (2, 1): tests/metrics/ranking/test_cameras.py has it by hand. With features
# that are right all are 1. The fifth query has no true match.
AP = [0.7, 1 / 4, 1 / 2, 5 / 12]
EVALUATE = "[euclidean, {use: euclidean, invalid: zero}, {use: euclidean, camera: none}, k-reciprocal, query-expansion]"
DROP, ZERO, OWN_CAMERA, RERANKED, EXPANDED = range(5)
METHODS = ("near: {features: near.npz}", "seeds: {features: 'seed-{seed}.npz'}", "both: {ensemble: [near, seeds]}")
Made = tuple[Plan, Store]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("line")
    write_line(folder)
    shutil.copy(folder / "near.npz", folder / "seed-0.npz")
    shutil.copy(folder / "right.npz", folder / "seed-1.npz")
    return run_line(folder, EVALUATE, *METHODS)


def down(made: Made, kind: Any, method: str = "near", judge: int = DROP, metric: str = "mAP", **more: Any) -> Breakdown:
    board = report.collect(*made)
    return Breaking(board, Evidence(*made), metric, **more).down((method, "t", board.evaluators[judge]), kind)


def values(found: Breakdown) -> dict[tuple[int, ...], tuple[Any, int]]:
    assert found.reason == ""
    return {part.label: (pytest.approx(part.value), part.queries) for part in found.parts}


def test_cameras_by_hand(made: Made) -> None:
    found = down(made, "camera")
    assert values(found) == {(0,): (0.6, 2), (1,): (1 / 3, 2)}
    assert (found.queries, found.dropped, found.zeroed) == (4, 1, 0)
    assert found.value == pytest.approx(sum(AP) / 4)


def test_persons_by_hand(made: Made) -> None:
    """Errors .3, .75, .5 and 7/12: in all 2.1333, of which person 2 has 1.0833."""
    found = down(made, "persons")
    assert [part.label for part in found.parts] == [(2,), (1,)]
    assert values(found) == {(2,): (11 / 24, 2), (1,): (0.475, 2)}
    shares = [part.share for part in found.parts]
    assert shares == [pytest.approx(1.083333 / 2.133333, abs=1e-5), pytest.approx(1.05 / 2.133333, abs=1e-5)]
    one = down(made, "persons", worst=1)
    assert ([part.label for part in one.parts], one.parts_in_all) == ([(2,)], 2)


def test_pairs_by_hand(made: Made) -> None:
    """With two cameras and the camera rule a query has one other camera; without the rule its own one too.

    Query (1, 0): from the same camera, row 3, behind 1 and 2, of which 1 is its person's: place 2. AP 1/2. Query (2,
    0), at the other end: from the same camera, rows 7 and 2; 6, 4, 3 and 1 are others. AP (1 + 2/6) / 2 without 5,
    which is 2/6 with its place 5 of 7, 6, 4, 3, 2: (1 + 2/5) / 2. Queries (1, 1) and (2, 1): rows 6 and 1 at places 2
    and 6 of 7, 6, 5, 4, 2, 1: 5/12. Row 5 at place 4 of 1, 3, 4, 5: 1/4.
    """
    found = down(made, "camera-pair")
    assert values(found) == {(0, 1): (0.6, 2), (1, 0): (1 / 3, 2)}
    assert found.across == pytest.approx((0.6 + 1 / 3) / 2)
    own = down(made, "camera-pair", judge=OWN_CAMERA)
    assert values(own) == {(0, 0): (0.6, 2), (0, 1): (0.6, 2), (1, 0): (1 / 3, 2), (1, 1): (1 / 3, 2)}
    assert own.across == pytest.approx((0.6 + 1 / 3) / 2)


def test_other_metrics(made: Made) -> None:
    """Rank 1: the nearest row that counts is of the query's person for query (1, 0) alone."""
    assert values(down(made, "camera", metric="cmc1")) == {(0,): (0.5, 2), (1,): (0, 2)}
    assert values(down(made, "camera-pair", metric="cmc1")) == {(0, 1): (0.5, 2), (1, 0): (0, 2)}
    # The last true match: 2/5, 1/4, 1/2 and 2/6.
    assert values(down(made, "camera-pair", metric="mINP")) == {(0, 1): (0.45, 2), (1, 0): (7 / 24, 2)}
    assert values(down(made, "persons", metric="mINP")) == {(1,): (0.325, 2), (2,): (5 / 12, 2)}


def test_a_query_that_counts_as_zero_is_one_of_its_camera_and_of_no_pair(made: Made) -> None:
    found = down(made, "camera", judge=ZERO)
    assert values(found) == {(0,): (1.2 / 3, 3), (1,): (1 / 3, 2)}
    assert (found.queries, found.dropped, found.zeroed) == (5, 0, 1)
    assert values(down(made, "persons", judge=ZERO))[3,] == (0, 1)
    assert values(down(made, "camera-pair", judge=ZERO)) == {(0, 1): (0.6, 2), (1, 0): (1 / 3, 2)}


def test_means_over_seeds(made: Made) -> None:
    """The second seed has 1 everywhere."""
    assert values(down(made, "camera", "seeds")) == {(0,): (0.8, 2), (1,): (2 / 3, 2)}
    assert values(down(made, "camera-pair", "seeds")) == {(0, 1): (0.8, 2), (1, 0): (2 / 3, 2)}
    assert (down(made, "camera", "seeds").results, down(made, "camera", "near").results) == (2, 1)


def test_an_ensemble_is_ranked_as_it_was_scored(made: Made) -> None:
    """Its pairs, weighted by their queries, are its mAP: with two cameras each query has one pair."""
    board = report.collect(*made)
    pairs = down(made, "camera-pair", "both")
    assert pairs.reason == ""
    mean = sum(part.value * part.queries for part in pairs.parts) / 4
    assert mean == pytest.approx(board.summarised("both", "t", board.evaluators[DROP])["mAP"].mean)


@pytest.mark.parametrize(("judge", "reason"), [(RERANKED, "other distances"), (EXPANDED, "changes the ranking")])
def test_pairs_of_what_ranks_otherwise_are_not_made_up(made: Made, judge: int, reason: str) -> None:
    assert reason in down(made, "camera-pair", judge=judge).reason
    assert down(made, "camera", judge=judge).reason == ""


def test_what_cannot_be_broken_down_says_why(made: Made) -> None:
    board, evidence = report.collect(*made), Evidence(*made)
    cell = ("near", "t", board.evaluators[0])
    undeclared = dataclasses.replace(board, declared={})
    assert "does not declare" in Breaking(undeclared, evidence, "mAP").down(cell, "persons").reason
    assert Breaking(undeclared, evidence, "mAP").down(cell, "camera").reason == ""
    unkept = dataclasses.replace(board, queries=lambda key: {})
    assert Breaking(unkept, evidence, "mAP").down(cell, "camera").reason == "its evaluator stores no per-query results"
    other = dataclasses.replace(board, queries=lambda key: {"ap": np.array([0.1, 0.2])})
    assert "do not give mAP" in Breaking(other, evidence, "mAP").down(cell, "camera").reason
    assert "gives no other" in Breaking(board, evidence, "other").down(cell, "camera").reason
    assert (
        "exceeds the budget" in down(made, "camera-pair", budget=Budget(79)).reason
    )  # 5 queries, 8 gallery rows of 2 values
    assert down(made, "camera-pair", budget=Budget(80)).reason == ""


def test_seeds_that_count_other_queries_have_no_mean(made: Made) -> None:
    board = report.collect(*made)
    keys = [result.row.key for result in board.cell("seeds", "t", board.evaluators[0])]

    def queries(key: str) -> dict[str, np.ndarray]:
        mean = next(result.metrics["mAP"] for result in board.results if result.row.key == key)
        return {"ap": np.array([mean, np.nan] if key == keys[0] else [np.nan, mean])}

    changed = dataclasses.replace(board, queries=queries)
    found = Breaking(changed, Evidence(*made), "mAP").down(("seeds", "t", board.evaluators[0]), "camera")
    assert found.reason == "its results count different queries"


def test_less_is_better_and_a_metric_without_an_end(made: Made) -> None:
    """The worst are those with the most; where the best end is open nobody knows what is lacking to it."""
    board = report.collect(*made)
    label = board.evaluators[0]
    lower = dataclasses.replace(board, declared={label: {"mAP": Metric("mAP", better="lower", range=(0, None))}})
    found = Breaking(lower, Evidence(*made), "mAP").down(("near", "t", label), "persons")
    assert [part.label for part in found.parts] == [(1,), (2,)]
    assert found.parts[0].share == pytest.approx(0.95 / sum(AP))
    open_end = dataclasses.replace(board, declared={label: {"mAP": Metric("mAP", range=(0, None))}})
    found = Breaking(open_end, Evidence(*made), "mAP").down(("near", "t", label), "persons")
    assert [part.share for part in found.parts] == [None, None]


def test_unknown_cameras_are_a_part_of_their_own(tmp_path: Path) -> None:
    """A CSV list without cameras: the rule has nothing to go by, so that the own rows stay."""
    write_line(tmp_path)
    lines = ["path,pid,split"]
    for part, split in (("query", "query"), ("bounding_box_test", "gallery"), ("bounding_box_train", "train")):
        for file in sorted((tmp_path / "line" / part).iterdir()):
            pid = int(file.name.split("_")[0])
            lines.append(f"{part}/{file.name},{pid},{split}")
    (tmp_path / "line" / "list.csv").write_text("\n".join(lines) + "\n")
    made = run_line(
        tmp_path, "euclidean", "near: {features: near.npz}", data="{use: csv-manifest, root: line/list.csv}"
    )
    cameras, pairs = down(made, "camera"), down(made, "camera-pair")
    assert [(part.label, part.queries) for part in cameras.parts] == [((-1,), 4)]
    assert [(part.label, part.queries) for part in pairs.parts] == [((-1, -1), 4)]
    assert (cameras.cameraless, pairs.across) == (True, None)
    assert pairs.parts[0].value == pytest.approx(cameras.value)


def copied(made: Made, folder: Path) -> Store:
    shutil.copytree(made[1].root, folder)
    return Store(folder)


def test_what_was_cleaned_away(made: Made, tmp_path: Path) -> None:
    """Without the features cameras are known from the data; without both nothing is, and the reason says so."""
    plan, store = made[0], copied(made, tmp_path / "copy")
    for kind in ("embed", "data"):
        for key in [key for key, stage in plan.stages.items() if stage.kind == kind]:
            shutil.rmtree(store.path(key))
        cameras, pairs = (down((plan, store), wanted) for wanted in ("camera", "camera-pair"))
        assert pairs.reason == "its features or labels are no longer in the store"
        assert (cameras.reason == "") == (kind == "embed")


def test_labels_are_also_beside_features(made: Made, tmp_path: Path) -> None:
    plan, store = made[0], copied(made, tmp_path / "copy")
    (data,) = (key for key, stage in plan.stages.items() if stage.kind == "data")
    shutil.rmtree(store.path(data))
    assert values(down((plan, store), "camera")) == {(0,): (0.6, 2), (1,): (1 / 3, 2)}


def test_a_record_says_that_it_may_be_of_a_pack(made: Made, tmp_path: Path) -> None:
    """As a pack leaves it: the numbers of queries, and of all else the manifests alone."""
    plan, store = made[0], copied(made, tmp_path / "copy")
    for key, stage in plan.stages.items():
        if stage.kind in ("embed", "data"):
            text = (store.path(key) / "manifest.json").read_bytes()
            shutil.rmtree(store.path(key))
            assert store.keep_record(key, text)
    for kind in ("camera", "persons", "camera-pair"):
        assert "come from a pack, which has no labels" in down((plan, store), kind).reason


def test_an_unknown_kind_is_refused(made: Made) -> None:
    with pytest.raises(ReidbenchError, match="known: camera-pair, camera, persons"):
        list(breakdowns(report.collect(*made), Evidence(*made), "colours", "mAP", 1))  # type: ignore[arg-type]
