"""Evaluators under rules for clothes, modality, tracklets, cameras and drawn galleries, alone and in a matrix."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reidbench import Embedded, report
from reidbench.metrics import MetricError, Reranking, rank_distances, rerank
from reidbench.report.queries import metric_per_query, read_arrays, why_unknown
from reidbench.stages.outputs import answer_fault
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from reidbench_baseline import evaluators
from reidbench_baseline.ranking_params import ExpansionParams, RankingParams, ReciprocalParams
from tests.support.evaluations import evaluation


def film(seed: int = 0) -> tuple[Embedded, Embedded]:
    """Tracklets of 1 to 4 images of ten persons under three cameras, in two modalities and three clothes."""
    random = np.random.Generator(np.random.PCG64(seed))
    centres = random.normal(size=(11, 8))
    sides = []
    for count, low in ((24, 1), (70, -1)):
        owners, camids = random.integers(low, 11, count), random.integers(3, size=count)
        frames = np.repeat(np.arange(count), random.integers(1, 5, size=count))
        features = centres[owners[frames]] + 1.2 * random.normal(size=(len(frames), 8))
        clothes = random.integers(-1, 2, count)[frames]
        modality = np.array(["visible", "infrared"])[camids[frames] // 2]
        tracklets = np.where(owners[frames] == 3, -1, frames)
        sides.append(
            Embedded(features.astype(np.float32), owners[frames], camids[frames], None, clothes, modality, tracklets)
        )
    return sides[0], sides[1]


def take(side: Embedded, rows: np.ndarray) -> Embedded:
    columns = (side.pids, side.camids, side.images, side.clothes, side.modality, side.tracklets)
    return Embedded(side.features[rows], *(None if column is None else column[rows] for column in columns))


ALL_RULES: list[dict[str, Any]] = [
    {"exclude": ("same-clothes",), "query_cameras": (0, 1)},
    {"exclude": ("different-clothes",), "invalid": "zero"},
    {"cross": "modality", "cmc": "identities"},
    {"skip_cameras": {0: (1,), 2: (0, 1)}, "gallery": "single-shot", "repeats": 3},
    {"pool": "mean", "invalid": "zero"},
    {"pool": "max", "shots": 1, "shots_per": "identity-and-camera"},
    {"multi_query": True, "gallery_cameras": (0, 1), "ties": "worst"},
    {"shots": 2, "repeats": 3, "draw_seed": 7, "invalid": "zero"},
]


@pytest.mark.parametrize("rules", ALL_RULES)
@pytest.mark.parametrize("kind", ["cosine", "euclidean", "k_reciprocal", "query_expansion"])
def test_answers_can_be_kept_and_read(kind: str, rules: dict[str, Any]) -> None:
    """One entry per query image, and arrays whose means are the metrics, since tables compare rows by them."""
    query, gallery = film()
    params = {"k_reciprocal": ReciprocalParams, "query_expansion": ExpansionParams}.get(kind, RankingParams)(**rules)
    ctx = evaluation(params, query, gallery)
    answer = getattr(evaluators, kind)(ctx)
    assert answer_fault(answer, len(query.pids)) == ""
    part = any(name in rules for name in ("query_cameras", "pool", "multi_query"))
    few = answer.notes["num_queries"] < len(query.pids)
    assert few is part
    assert int(answer.per_query["valid"].sum()) == answer.notes["num_valid"]
    names = ["mAP", "mINP", *([] if "gallery" in rules else ["cmc1", "cmc5"])]
    some = any("in some of the" in note for note in ctx.notes)
    for name in names:
        found = metric_per_query(name, answer.values[name], answer.per_query)
        left_out = some and rules.get("invalid") != "zero"
        assert (found is None) is left_out, name
        assert ("in_some_draws" in answer.per_query) is left_out
        if found is None:
            assert "only some of the drawn galleries" in why_unknown(name, answer.per_query)
        else:
            assert np.nanmean(found) == pytest.approx(answer.values[name], abs=1e-9)


def test_a_drawn_gallery_leaves_no_single_place() -> None:
    answer = evaluators.cosine(evaluation(RankingParams(shots=1), *film()))
    assert set(answer.per_query) == {"ap", "inp", "valid", "cmc1", "cmc5", "cmc10", "cmc20", "in_some_draws"}
    plain = evaluators.cosine(evaluation(RankingParams(), *film()))
    assert set(plain.per_query) == {"ap", "inp", "valid", "first_hit"}


@pytest.mark.parametrize("more", [{}, {"pool": "mean"}, {"gallery_cameras": (0, 2)}])
def test_all_evaluators_draw_the_same_galleries_whatever_the_junk(more: dict[str, Any]) -> None:
    """Re-ranking with full weight on the original distance, and expansion without neighbours, change nothing."""
    query, gallery = film()
    assert np.count_nonzero(gallery.pids[:-1] == -1)
    rules: dict[str, Any] = {"shots": 1, "repeats": 4, "invalid": "zero", **more}
    plain = evaluators.cosine(evaluation(RankingParams(**rules), query, gallery)).values
    again = evaluators.k_reciprocal(evaluation(ReciprocalParams(lambda_=1, k1=2, k2=1, **rules), query, gallery))
    expanded = evaluators.query_expansion(evaluation(ExpansionParams(k=1, alpha=1e6, **rules), query, gallery))
    assert again.values == pytest.approx(plain)
    assert expanded.values == pytest.approx(plain)


def test_re_ranking_is_that_of_the_part_that_queries_meet() -> None:
    """Across modalities: infrared queries are re-ranked with visible images only, and vice versa."""
    query, gallery = film()
    assert query.modality is not None
    assert gallery.modality is not None
    params = ReciprocalParams(cross="modality", k1=6, k2=2)
    found = evaluators.k_reciprocal(evaluation(params, query, gallery))
    aps = np.full(len(query.pids), np.nan)
    for word in ("visible", "infrared"):
        mine = query.modality == word
        theirs = take(gallery, (gallery.modality != word) & (gallery.pids != -1))
        final = rerank(query.features[mine], theirs.features, Reranking("zhong", 6, 2, 0.3))
        ranking = rank_distances(final, query.pids[mine], query.camids[mine], theirs.pids, theirs.camids)
        aps[mine] = ranking.ap
    assert found.per_query["ap"] == pytest.approx(aps, abs=1e-9, nan_ok=True)
    assert found.notes["filtered"]["same_modality"] > 0


def test_query_expansion_takes_neighbours_from_what_a_query_meets() -> None:
    """The nearest gallery image has the query's modality: it is not added, so nothing changes."""
    query = Embedded(np.array([[1.0, 0]]), np.array([1]), np.array([0]), None, None, np.array(["infrared"]))
    features = np.array([[0.9, 0.1], [0.1, 0.9], [0.2, -0.9]])
    gallery = Embedded(features, np.array([2, 1, 3]), np.array([0, 1, 1]), None, None,
                       np.array(["infrared", "visible", "visible"]))  # fmt: skip
    found = evaluators.query_expansion(evaluation(ExpansionParams(k=1, alpha=0, cross="modality"), query, gallery))
    assert found.per_query["first_hit"].tolist() == [2]  # [1, 0] + [0.21, -0.98]: nearer to pid 3
    whole = evaluators.query_expansion(evaluation(ExpansionParams(k=1, alpha=0), query, gallery))
    assert whole.per_query["first_hit"].tolist() == [2]


def test_query_expansion_of_pooled_queries_refuses_shared_pictures() -> None:
    query, gallery = film()
    sides = [
        Embedded(side.features, side.pids, side.camids, np.arange(len(side.pids)), tracklets=side.tracklets)
        for side in (query, gallery)
    ]
    with pytest.raises(MetricError, match="remove pool and multi_query, or use cosine"):
        evaluators.query_expansion(evaluation(ExpansionParams(pool="mean"), *sides))
    assert evaluators.query_expansion(evaluation(ExpansionParams(), *sides)).values["mAP"] > 0


def test_what_was_pooled_and_drawn_is_noted_and_no_image_counts_as_a_lost_query() -> None:
    query, gallery = film()
    ctx = evaluation(RankingParams(pool="mean", shots=1), query, gallery)
    found = evaluators.cosine(ctx)
    queries = len(np.unique(query.tracklets)) - 1 + int((query.tracklets == -1).sum())  # type: ignore[arg-type]
    assert found.notes["num_queries"] == queries
    assert ctx.notes[0].startswith("queries: ")
    assert ctx.notes[1].startswith("gallery: ")
    assert ctx.notes[2].startswith("gallery drawn 10 times: 1 of the rows (tracklets and single images) of each of ")
    lost = [note for note in ctx.notes if note.startswith("left out of all means")]
    assert all(f"of {queries} queries" in note for note in lost)


def test_what_is_counted_over_all_drawn_galleries_says_so() -> None:
    """One own picture and one tie in each of three galleries, which hold all images."""
    query = Embedded(np.ones((1, 2)), np.array([1]), np.array([0]), np.array([5]))
    gallery = Embedded(np.ones((3, 2)), np.array([1, 1, 2]), np.array([0, 1, 1]), np.array([5, 6, 7]))
    for params, over in ((RankingParams(), ""), (RankingParams(shots=9, repeats=3), " (over all drawn galleries)")):
        ctx = evaluation(params, query, gallery)
        found = evaluators.cosine(ctx)
        count = 3 if over else 1
        pairs = "pairs" if over else "pair"
        assert f"left out{over}: {count} {pairs} of a query and its own image in the gallery" in ctx.notes
        assert any(note.startswith(f"ties{over}: {count} {pairs} of a true match") for note in ctx.notes)
        assert found.notes["doubts"][0].startswith("nothing was ranked: for each of the 1 valid queries")


# ---------------------------------------------------------------- in a matrix


def manifest(folder: Path) -> Path:
    """Four persons under three cameras; each in two clothes, camera 2 infrared, two images a tracklet."""
    folder.mkdir()
    random = np.random.Generator(np.random.PCG64(1))
    lines = ["path,pid,split,camid,clothes,modality,tracklet"]
    for number in range(48):
        pid, camid, clothes, tracklet = number // 12 + 1, number // 4 % 3, number // 2 % 2, number // 2
        pixels = random.integers(60 * pid - 59, 60 * pid, size=(32, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
        part, modality = ("query", "gallery")[(camid + clothes) % 2], "infrared" if camid == 2 else "visible"
        lines.append(f"{number:02}.png,{pid},{part},{camid},{clothes},{modality},{tracklet}")
    (folder / "set.csv").write_text("\n".join(lines) + "\n")
    return folder / "set.csv"


@pytest.mark.slow
def test_rules_in_a_matrix(tmp_path: Path, market: Path) -> None:
    """Each rule is in the protocol column, notes accompany the rows, and a data set without the labels is excluded."""
    file = manifest(tmp_path / "set")
    board = run_matrix(
        f"""
image_size: [32, 16]
data:
  own: {{use: csv-manifest, root: {file}}}
  plain: {{use: market-folder, root: {market}}}
tasks: {{own: {{target: own}}, plain: {{target: plain}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{colours: {{finetune: colour-histogram}}}}
evaluate:
  - {{use: cosine, preset: ltcc-cloth-changing}}
  - {{use: cosine, cross: modality, skip_cameras: {{2: [1]}}, shots: 1, repeats: 2, cmc: identities}}
  - {{use: cosine, pool: mean}}
  - {{use: cosine, multi_query: true, query_cameras: [0, 2]}}
""",
        tmp_path,
    )
    found = {(result.row.task, result.row.evaluator): result for result in board.results}
    own = [result for (task, _), result in found.items() if task == "own"]
    assert [result.status for result in own] == ["ok"] * 4
    words = [
        ["AP step", "same clothes excluded"],
        ["across modalities", "camera 1 skipped for queries of camera 2", "gallery 1 shot per identity x2"],
        ["tracklets pooled (mean)"],
        ["multi-query (mean)", "queries of cameras 0+2"],
    ]
    for result, expected in zip(own, words, strict=True):
        assert all(word in result.row.protocol for word in expected), result.row.protocol
    plain = [result for (task, _), result in found.items() if task == "plain"]
    assert [result.status for result in plain] == ["not-applicable"] * 3 + ["failed"]
    assert "clothes" in plain[0].error
    assert "no query image is from camera 2; cameras with images: 0, 1" in plain[3].error
    markdown = report.write(board, "md")
    assert "gallery drawn 2 times: 1 of the images of each of 4 identities" in markdown
    assert "queries: 12 tracklets of 24 images" in markdown
    folder = Store(tmp_path / "store").read(own[2].row.key or "")
    assert read_arrays(folder, "per_query.npz")["ap"].shape == (24,)


@pytest.mark.parametrize("kind", ["cosine", "euclidean", "k_reciprocal", "query_expansion"])
def test_rules_that_would_do_nothing_are_refused(kind: str) -> None:
    query, gallery = film()
    params = {"k_reciprocal": ReciprocalParams, "query_expansion": ExpansionParams}.get(kind, RankingParams)
    nowhere = dataclasses.replace(query, camids=np.full_like(query.camids, -1))
    with pytest.raises(MetricError, match="rule multi_query would have no effect: the camera of every query image"):
        getattr(evaluators, kind)(evaluation(params(multi_query=True), nowhere, gallery))
    bare = dataclasses.replace(gallery, clothes=np.full_like(gallery.pids, -1))
    with pytest.raises(MetricError, match=r"rule exclude=same-clothes would have no effect: .* every gallery image"):
        getattr(evaluators, kind)(evaluation(params(exclude=("same-clothes",)), query, bare))
