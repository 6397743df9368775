"""Lists, maps and reasons of a closer look, on persons on a line and with a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reidbench.errors import ReidbenchError, StoreError
from reidbench.export import networks
from reidbench.matrix.stage import Plan
from reidbench.registry import plugins
from reidbench.report.breakdown.looking import subject as subject_module
from reidbench.report.breakdown.looking.maps import SCALE, coloured
from reidbench.report.breakdown.looking.section import Look, Wanted, look
from reidbench.report.breakdown.looking.subject import Place, recorded
from reidbench.report.html.ranked import Thumbnails
from reidbench.store.artifacts import Store
from tests.support.lines import run_line, write_line

Made = tuple[Plan, Store]
ROWS = (
    "near: {features: near.npz}",
    "right: {features: right.npz}",
    "network: {finetune: none, flip_test: true}",
    "both: {ensemble: [near, network]}",
    "colours: {finetune: colour-histogram}",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("looking")
    write_line(folder)
    return run_line(folder, "[k-reciprocal, euclidean]", *ROWS)


def place(made: Made, method: str, **more: Any) -> Place:
    the_plan, store = made
    rows = [row for row in the_plan.rows if row.method == method and row.seed in (0, None)]
    keys = {row.evaluator: row.key for row in rows if row.key}
    return replace(Place(method, store, the_plan.stages, keys), **more)


def looked(made: Made, *methods: str, **wanted: Any) -> Look:
    return look([place(made, method) for method in methods], Wanted(**wanted), Thumbnails())


def load(made: Made) -> Any:
    registry = plugins.load()
    return lambda artifact: networks.load(made[1], artifact, registry)


def marks(found: Look, row: int = 0, query: int = 0) -> list[tuple[int, str | None, str]]:
    return [(one.rank, one.mark, one.words) for one in found.queries[query].lists[row].pictures]


# ---------------------------------------------------------------------- lists
def test_the_list_of_a_query_by_hand(made: Made) -> None:
    """Query 2 is identity 1 by camera 1 (from 0) at 8: nearest first, its own images by that camera are ignored."""
    found = looked(made, "near", queries=["2"])
    assert marks(found) == [
        (1, "no", "identity 2, camera 0"),
        (0, "ignored", "identity 1, camera 1"),
        (2, "no", "identity 2, camera 1"),
        (3, "no", "distractor, camera 1"),
        (4, "yes", "identity 1, camera 0"),
        (5, "no", "identity 2, camera 0"),
        (0, "ignored", "junk, camera 1"),
        (0, "ignored", "identity 1, camera 1"),
    ]
    own = found.queries[0]
    assert own.title == "Query 2 of 5: identity 1, camera 1"
    assert own.lists[0].sentence == "AP 25.0 %, first true match at rank 4"
    assert [one.distance for one in own.lists[0].pictures[:3]] == ["1.0000", "2.0000", "3.0000"]
    assert found.rows[0].ranking == "ranked as by euclidean"
    assert len(looked(made, "near", queries=["2"], top=1).queries[0].lists[0].pictures) == 1


def test_two_rows_have_the_same_queries(made: Made) -> None:
    """The worst query of "near" has an AP of 1/4; "right" has all true matches first."""
    found = looked(made, "near", "right", worst=1)
    assert found.chosen == "The query with the lowest average precision of near."
    (query,) = found.queries
    assert query.title.startswith("Query 2 of 5")
    assert [one.row for one in query.lists] == ["near", "right"]
    assert [one.sentence.partition(",")[0] for one in query.lists] == ["AP 25.0 %", "AP 100.0 %"]
    assert next(one for one in marks(found, row=1) if one[0] == 1)[1] == "yes"


def test_queries_by_name(made: Made) -> None:
    found = looked(made, "near", queries=["0002_c2s1_000003_00.png", "query/0001_c1s1_000000_00.png", "5"])
    assert [query.title for query in found.queries] == [
        "Query 4 of 5: identity 2, camera 1",
        "Query 1 of 5: identity 1, camera 0",
        "Query 5 of 5: identity 3, camera 0",
    ]
    assert found.queries[2].lists[0].sentence == ""  # without a true match


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("6", "near has queries 1 to 5"),
        ("0", "near has queries 1 to 5"),
        ("9" * 30, "near has queries 1 to 5"),
        ("none\x1b.png", r"--query none\\x1b.png: not a query of near and not an image file"),
    ],
)
def test_unknown_queries(made: Made, query: str, words: str) -> None:
    with pytest.raises(ReidbenchError, match=words):
        looked(made, "near", queries=[query])


def test_an_image_of_ones_own(made: Made, tmp_path: Path) -> None:
    """A copy of a gallery image finds that image first, at distance 0, without marks; junk is ignored."""
    subject = place(made, "network")
    gallery = sorted((made[0].benchmark.file.parent / "line" / "bounding_box_test").iterdir())
    copy = tmp_path / "copy.png"
    copy.write_bytes(gallery[1].read_bytes())
    with pytest.raises(ReidbenchError, match="requires the row's network; add --maps"):
        looked(made, "network", queries=[str(copy)])
    found = look([subject], Wanted([str(copy)], load=load(made)), Thumbnails())
    first = next(one for one in found.queries[0].lists[0].pictures if one.rank == 1)
    assert (first.mark, first.distance) == ("open", "0.0000")
    assert {one.mark for one in found.queries[0].lists[0].pictures} == {"open", "ignored"}
    with pytest.raises(ReidbenchError, match=r"near cannot embed .*: it has features but no network"):
        looked(made, "near", queries=[str(copy)], load=load(made))


# ---------------------------------------------------------------------- maps
def test_maps_of_a_network(made: Made) -> None:
    thumbnails = Thumbnails()
    found = look([place(made, "network")], Wanted(worst=1, load=load(made)), thumbnails)
    (listed,) = found.queries[0].lists
    assert listed.no_maps == ""
    assert listed.query is not None
    shown = [listed.query, *(one for one in listed.pictures if one.rank)][:6]
    names = [name for one in shown for name in (one.thumbnail, one.maps.activation, one.maps.grad_cam)]
    assert all(name in thumbnails.pictures for name in names)
    assert len({thumbnails.pictures[name] for name in names}) > 6
    assert all(not one.maps.activation for one in listed.pictures if not one.rank)
    assert "Selvaraju" in found.maps[0]
    assert "also averages mirror images" in found.maps[0]


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("near", "No maps: it has features but no network"),
        ("both", "No maps: it has features but no network"),
        ("colours", "No maps: ColourHistogram is not a network whose feature is differentiable in the image."),
    ],
)
def test_rows_without_maps_say_why(made: Made, method: str, reason: str) -> None:
    found = looked(made, method, worst=1, load=load(made))
    assert found.queries[0].lists[0].no_maps.startswith(reason)
    assert found.queries[0].lists[0].pictures
    assert found.maps == ()


def test_colours_of_the_scale() -> None:
    assert coloured(np.array([[0, 0.25], [0.5, 1]])).tolist() == [SCALE[[0, 1]].tolist(), SCALE[[2, 4]].tolist()]
    assert coloured(np.array([[0.125]]))[0, 0].tolist() == ((SCALE[0] + SCALE[1]) / 2).tolist()


# ---------------------------------------------------------------------- what is missing, and what may be shown
def test_rankings_that_are_not_reproduced(made: Made) -> None:
    """With a re-ranking evaluator only, projection and histograms are still there."""
    only = place(made, "near")
    only = replace(only, evaluations={"k-reciprocal": only.evaluations["k-reciprocal"]})
    found = look([only], Wanted(worst=2), Thumbnails())
    assert found.chosen == "The 2 queries first in the data set."
    assert all("re-ranking" in query.lists[0].note for query in found.queries)
    assert found.rows[0].projection is not None
    assert found.rows[0].histograms is not None


def test_a_row_that_is_gone(made: Made) -> None:
    lost = replace(place(made, "near"), store=Store(made[0].benchmark.file.parent / "empty"))
    found = look([lost], Wanted(), Thumbnails())
    assert found.rows[0].note == "Nothing to show: its features or labels are no longer in the store."
    assert found.queries == ()


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("gallery_features", lambda one: one[:, :1], "do not have the expected form"),
        ("gallery_features", lambda one: one * np.nan, "do not have the expected form"),
        ("query_features", lambda one: one[0], "do not have the expected form"),
        ("query_pids", lambda one: one[:2], "are of other images than the target's"),
    ],
)
def test_features_of_an_odd_form(
    made: Made, monkeypatch: pytest.MonkeyPatch, name: str, change: Any, reason: str
) -> None:
    real = subject_module.features_of

    def changed(*given: Any) -> dict[str, Any]:
        columns = real(*given)
        return {**columns, name: change(columns[name])}

    monkeypatch.setattr(subject_module, "features_of", changed)
    assert reason in looked(made, "near").rows[0].note


@pytest.mark.parametrize(("pictures", "count"), [("all", True), ("rendered", False), ("none", False)])
def test_whose_images_are_shown(made: Made, pictures: Any, count: bool) -> None:
    thumbnails = Thumbnails()
    found = look([place(made, "near", pictures=pictures)], Wanted(worst=1), thumbnails)
    assert bool(thumbnails.pictures) == count
    assert found.real == (("line",) if count else ())


def test_a_row_of_recorded_stages(made: Made) -> None:
    """A key alone gives the same lists as the plan; other keys are refused."""
    given = place(made, "network")
    key = given.evaluations["euclidean"]
    store = made[1]
    found = look([recorded(store, store.read(key), "all")], Wanted(["2"], load=load(made)), Thumbnails())
    expected = look([given], Wanted(["2"], load=load(made)), Thumbnails())
    assert marks(found) == marks(expected)
    assert found.rows[0].histograms is not None
    assert found.queries[0].lists[0].no_maps == ""
    embed = given.stages[key].parents[0][1]
    with pytest.raises(StoreError, match="requires the key of a result"):
        recorded(store, store.read(embed), "all")


def test_targets_must_be_the_same(made: Made, tmp_path: Path) -> None:
    write_line(tmp_path)
    Image.new("RGB", (4, 8)).save(tmp_path / "line" / "query" / "0009_c1s1_000099_00.png")
    file = np.load(tmp_path / "near.npz")
    names: Sequence[str] = [*file["names"].tolist(), "0009_c1s1_000099_00.png"]
    np.savez(tmp_path / "near.npz", names=names, features=np.concatenate([file["features"], [[1, 5]]]).astype("f4"))
    other = run_line(tmp_path, "euclidean", "near: {features: near.npz}")
    with pytest.raises(ReidbenchError, match="near and near have different targets"):
        look([place(made, "near"), place(other, "near")], Wanted(), Thumbnails())


def test_results_are_deterministic(made: Made) -> None:
    first, second = (looked(made, "network", "near", worst=2, load=load(made)) for _ in range(2))
    words = [json.dumps(str(one.queries) + str(one.rows[0].projection)) for one in (first, second)]
    assert words[0] == words[1]
