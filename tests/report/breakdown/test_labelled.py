"""Rows under rules of clothes, modality, tracklets and drawn galleries: broken down right, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reidbench import report
from reidbench.matrix.stage import Plan
from reidbench.report.breakdown.parts import Breakdown, Breaking
from reidbench.report.formats.breakdown import markdown, raw
from reidbench.report.html.ranked import Lister, Thumbnails
from reidbench.report.provenance import Evidence
from reidbench.store.artifacts import Store
from tests.support.labelled_line import DATA, write_labelled_line
from tests.support.lines import run_line

RULES = ("exclude: [same-clothes]", "cross: modality, camera: none", "query_cameras: [0], gallery_cameras: [1]",
         "pool: mean", "shots: 1, shots_per: identity-and-camera, repeats: 3", "cmc: identities")  # fmt: skip
CLOTHES, MODALITY, CAMERAS, POOLED, DRAWN, IDENTITIES = range(len(RULES))
Made = tuple[Plan, Store]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("line")
    write_labelled_line(folder)
    evaluators = ", ".join(f"{{use: euclidean, {params}}}" for params in RULES)
    return run_line(folder, f"[{evaluators}]", "near: {features: near.npz}", data=DATA)


def down(made: Made, kind: Any, judge: int, metric: str = "mAP") -> Breakdown:
    board = report.collect(*made)
    return Breaking(board, Evidence(*made), metric).down(("near", "t", board.evaluators[judge]), kind)


def test_draws_that_leave_queries_without_a_match_have_no_parts(tmp_path: Path) -> None:
    """The mean of the row is over the queries of each draw, and no mean over queries is that number."""
    write_labelled_line(tmp_path)
    rules = "{use: euclidean, shots: 1, repeats: 3}"
    found = down(run_line(tmp_path, rules, "near: {features: near.npz}", data=DATA), "camera", 0)
    some = "5 of its queries have a true match in only some of the drawn galleries"
    assert found.reason == f"{some}, so their mean is not mAP"


@pytest.mark.parametrize("metric", ["mAP", "cmc1"])
@pytest.mark.parametrize("judge", range(len(RULES)), ids=RULES)
def test_parts_by_camera_and_person_add_up_to_the_row(judge: int, metric: str, made: Made) -> None:
    board = report.collect(*made)
    result = board.cell("near", "t", board.evaluators[judge])[0]
    for kind in ("camera", "persons"):
        found = down(made, kind, judge, metric)
        assert found.reason == ""
        assert found.value == pytest.approx(result.metrics[metric])
        counted = [part for part in found.parts if part.queries]
        assert sum(part.value * part.queries for part in counted) / found.queries == pytest.approx(found.value)


def test_images_that_are_no_queries_are_not_said_to_have_no_match(made: Made) -> None:
    """Six query images: with tracklets five queries, of camera 0 four; one, of person 3, has no match."""
    pooled, cameras, plain = (down(made, "camera", judge) for judge in (POOLED, CAMERAS, CLOTHES))
    assert (pooled.queries, pooled.dropped, pooled.others) == (4, 1, 1)
    assert (cameras.queries, cameras.dropped, cameras.others) == (3, 1, 2)
    assert plain.others == 0
    board = report.collect(*made)
    text = markdown(board, [pooled], "camera", "mAP")
    assert "1 of 5 queries are ignored: they have no true match" in text
    assert "1 of 6 query images are not separate queries: the rules pool them or exclude their cameras" in text
    assert raw(pooled, "camera")["others"] == 1
    assert "others" not in raw(plain, "camera")


@pytest.mark.parametrize(
    ("judge", "reason"),
    [
        (CLOTHES, "true matches by camera are not defined under its rules (exclude)"),
        (MODALITY, "true matches by camera are not defined under its rules (cross)"),
        (CAMERAS, "true matches by camera are not defined under its rules (query_cameras, gallery_cameras)"),
        (POOLED, "its rules (pool) do not rank single gallery images for each query image"),
        (DRAWN, "its rules (shots) do not rank single gallery images for each query image"),
        (IDENTITIES, ""),
    ],
)
def test_pairs_of_cameras_are_not_made_up(judge: int, reason: str, made: Made) -> None:
    found = down(made, "camera-pair", judge)
    assert found.reason == reason


def test_cmc_over_identities_has_pairs_of_ap_but_not_of_ranks(made: Made) -> None:
    found = down(made, "camera-pair", IDENTITIES)
    assert sum(part.value * part.queries for part in found.parts) / found.queries == pytest.approx(found.value)


def lists(made: Made, judge: int) -> Any:
    board = report.collect(*made)
    result = board.cell("near", "t", board.evaluators[judge])[0]
    return Lister(Evidence(*made), result, "none", Thumbnails(), {})


@pytest.mark.parametrize(
    ("judge", "query", "listed", "first"),
    [
        # (1, 0, outfit 0) at 0: its row at 1 has the same outfit, that at 3 its camera; the others at 2, 4, 5, 6, 7.
        (CLOTHES, 0, [(2, 0), (0, 1), (2, 1), (1, 1), (2, 0)], 4),
        # Visible, so the infrared rows at 1, 4, 5, 6.
        (MODALITY, 0, [(1, 1), (0, 1), (2, 1), (1, 1)], 1),
        # Infrared, of person 1 at 8: the visible rows at 7, 3 and 2.
        (MODALITY, 2, [(2, 0), (1, 0), (2, 0)], 2),
        # Rows of camera 1 only.
        (CAMERAS, 3, [(1, 1), (2, 1), (0, 1), (1, 1)], 2),
    ],
)
def test_ranked_lists_have_what_a_query_meets(
    judge: int, query: int, listed: list[tuple[int, int]], first: int, made: Made
) -> None:
    found = lists(made, judge).queries([query])[query]
    assert [(shown.pid, shown.camid) for shown in found.gallery] == listed
    assert found.first_hit == first


@pytest.mark.parametrize("judge", [POOLED, DRAWN])
def test_no_ranked_lists_of_tracklets_and_drawn_galleries(judge: int, made: Made) -> None:
    found = lists(made, judge).list(2)
    assert found.best == ()
    assert "do not rank single gallery images" in found.note
