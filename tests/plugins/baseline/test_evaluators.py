"""Evaluators on stored features: definitions by hand, and no training for a new evaluator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reidbench import Embedded, report
from reidbench.metrics import MetricError, Reranking, rank_distances, rerank
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from reidbench_baseline import evaluators
from reidbench_baseline.ranking_params import ExpansionParams, RankingParams, ReciprocalParams


def context(params: Any, *, junk: int = 0, seed: int = 0) -> Any:
    """40 queries and 160 gallery images of 20 identities in 16 dimensions, with some junk."""
    random = np.random.Generator(np.random.PCG64(seed))
    centres = random.normal(size=(21, 16))
    pids = np.concatenate([np.repeat(np.arange(1, 21), 10), np.full(junk, -1)])
    camids = np.concatenate([np.tile(np.arange(5), 40), np.zeros(junk, dtype=int)])
    features = centres[pids] + 1.2 * random.normal(size=(len(pids), 16))
    is_query = np.zeros(len(pids), dtype=bool)
    is_query[:200:5] = True
    sides = [Embedded(features[rows].astype(np.float32), pids[rows], camids[rows]) for rows in (is_query, ~is_query)]
    return with_sides(params, *sides)


def with_sides(params: Any, query: Embedded, gallery: Embedded) -> Any:
    notes: list[str] = []
    return SimpleNamespace(params=params, query=query, gallery=gallery, note=notes.append, notes=notes)


def labels(ctx: Any) -> tuple[np.ndarray, ...]:
    return ctx.query.pids, ctx.query.camids, ctx.gallery.pids, ctx.gallery.camids


def unit(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features.astype(float), axis=1, keepdims=True)


def test_cosine_and_euclidean_are_their_definitions() -> None:
    ctx = context(RankingParams())
    query, gallery = ctx.query.features.astype(float), ctx.gallery.features.astype(float)
    cosine = 1 - unit(query) @ unit(gallery).T
    euclidean = np.linalg.norm(query[:, None] - gallery[None], axis=2)
    for evaluate, distances in ((evaluators.cosine, cosine), (evaluators.euclidean, euclidean)):
        assert evaluate(ctx).values == pytest.approx(rank_distances(distances, *labels(ctx)).metrics(), abs=1e-9)
    assert evaluators.cosine(ctx).values["mAP"] != evaluators.euclidean(ctx).values["mAP"]


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["zhong", "torchreid", "fastreid"])
def test_k_reciprocal_is_the_metric_and_helps(variant: Any) -> None:
    ctx = context(ReciprocalParams(variant=variant, k1=8, k2=3))
    final = rerank(ctx.query.features, ctx.gallery.features, Reranking(variant, 8, 3, 0.3))
    found = evaluators.k_reciprocal(ctx).values
    assert found == pytest.approx(rank_distances(final, *labels(ctx)).metrics(), abs=1e-9)
    assert found["mAP"] > evaluators.cosine(ctx).values["mAP"]


@pytest.mark.parametrize(
    ("evaluate", "params"),
    [
        (evaluators.k_reciprocal, ReciprocalParams(k1=8, k2=3)),
        (evaluators.query_expansion, ExpansionParams(gallery_too=True)),
    ],
)
def test_junk_is_nobodys_neighbour(evaluate: Any, params: Any) -> None:
    clean, dirty = context(params), context(params, junk=30)
    rows = clean.gallery.features.shape[0]
    dirty.query = clean.query
    dirty.gallery = Embedded(
        np.concatenate([clean.gallery.features, clean.query.features[:30]]),
        np.concatenate([clean.gallery.pids, np.full(30, -1)]),
        np.concatenate([clean.gallery.camids, np.zeros(30, dtype=int)]),
    )
    assert len(dirty.gallery.pids) == rows + 30
    assert evaluate(dirty).values == evaluate(clean).values


def test_query_expansion_by_hand() -> None:
    gallery = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], dtype=np.float32)
    query = unit(np.array([[3.0, 4.0]])).astype(np.float32)  # cosines .6, .8, -.6
    one = evaluators._expanded(query, gallery, 1, 0.0)
    assert one == pytest.approx(unit(np.array([[0.6, 0.8 + 1.0]])), abs=1e-6)
    two = evaluators._expanded(query, gallery, 2, 3.0)
    assert two == pytest.approx(unit(np.array([[0.6 + 0.6**3, 0.8 + 0.8**3]])), abs=1e-6)
    opposite = evaluators._expanded(query, gallery, 3, 1.0)  # what points away has no weight
    assert opposite == pytest.approx(unit(np.array([[0.6 + 0.6, 0.8 + 0.8]])), abs=1e-6)


def test_gallery_expansion_adds_k_others() -> None:
    gallery = unit(np.array([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.1]])).astype(np.float32)
    expanded = evaluators._expanded(gallery, gallery, 2, 1.0, keep=0.0)
    assert expanded[0] == pytest.approx(unit(np.array([[1 + 0.8 * 0.8, 0.8 * 0.6]]))[0], abs=1e-5)


def test_expansion_among_all_is_fast_reids() -> None:
    """Twice: the mean of the five most similar of all, including itself, times similarity^3, not normalised."""
    ctx = context(ExpansionParams(among="all", k=4, times=2))
    features = np.concatenate([ctx.query.features, ctx.gallery.features]).astype(float)
    for _ in range(2):
        similarity = unit(features) @ unit(features).T
        expanded = []
        for row in similarity:
            five = np.argsort(-row)[:5]
            expanded.append(np.mean(row[five, None] ** 3 * features[five], axis=0))
        features = np.array(expanded)
    sides = ctx.query, ctx.gallery
    for _ in range(2):
        sides = evaluators._from_all(*sides, ctx.params)
    found = np.concatenate([side.features for side in sides])
    np.testing.assert_allclose(found, features, rtol=1e-4, atol=1e-5)
    distances = 1 - unit(features[:40]) @ unit(features[40:]).T
    answer = evaluators.query_expansion(ctx).values
    assert answer == pytest.approx(rank_distances(distances, *labels(ctx)).metrics(), abs=1e-6)
    assert answer != evaluators.query_expansion(context(ExpansionParams(k=4, times=2))).values


def test_an_own_picture_is_not_added_among_all() -> None:
    """Query 0 is gallery row 0, so that its nearest is query 1, and that of query 1 one of the equal two."""
    query = Embedded(np.array([[2.0, 0.0], [3.0, 4.0]]), np.array([1, 1]), np.array([0, 1]), np.array([5, 6]))
    gallery = Embedded(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([1, 2]), np.array([2, 3]), np.array([5, 7]))
    found, _ = evaluators._from_all(query, gallery, ExpansionParams(among="all", k=1, alpha=1.0))
    assert found.features == pytest.approx(np.array([[2 + 0.6 * 3, 0.6 * 4], [3, 4 + 0.8]]) / 2)


def test_expansion_from_the_gallery_again() -> None:
    """A second pass starts from the expanded queries; the gallery stays unless it is expanded, too."""
    ctx = context(ExpansionParams(k=3, times=2))
    gallery = unit(ctx.gallery.features)
    query = unit(ctx.query.features)
    for _ in range(2):
        similarity = query @ gallery.T
        kept = np.where(similarity >= np.sort(similarity, 1)[:, -3:-2], similarity.clip(0, None) ** 3, 0)
        query = unit(query + kept @ gallery)
    answer = evaluators.query_expansion(ctx).values
    assert answer == pytest.approx(rank_distances(1 - query @ gallery.T, *labels(ctx)).metrics(), abs=1e-6)
    with pytest.raises(ValueError, match="remove gallery_too"):
        ExpansionParams(among="all", gallery_too=True)


def test_an_own_picture_is_not_added_to_its_query() -> None:
    gallery = unit(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])).astype(np.float32)
    query = gallery[:1]
    numbers = np.array([5]), np.array([5, 6, 7])
    assert evaluators._expanded(query, gallery, 1, 0.0)[0] == pytest.approx([1, 0])
    expected = unit(np.array([[1.0, 1.0]]))  # the row itself and the nearest other
    assert evaluators._expanded(query, gallery, 1, 0.0, own=numbers) == pytest.approx(expected)
    every = np.array([5]), np.array([5, 5, 5])
    assert evaluators._expanded(query, gallery, 2, 0.0, own=every)[0] == pytest.approx([1, 0])
    none = np.array([9]), np.array([5, 6, 7])
    plain = evaluators._expanded(query, gallery, 2, 1.0)
    np.testing.assert_array_equal(evaluators._expanded(query, gallery, 2, 1.0, own=none), plain)


EVERY = [
    (evaluators.cosine, RankingParams(camera="none")),
    (evaluators.euclidean, RankingParams(camera="none")),
    (evaluators.k_reciprocal, ReciprocalParams(k1=8, k2=3, camera="none")),
    (evaluators.query_expansion, ExpansionParams(camera="none")),
    (evaluators.query_expansion, ExpansionParams(camera="none", among="all")),
]


@pytest.mark.parametrize(("evaluate", "params"), EVERY)
def test_no_query_finds_its_own_picture(evaluate: Any, params: Any) -> None:
    """Query 0 is added to the gallery with another camera, together with junk: no metric improves."""
    ctx = context(params, junk=3)
    query, gallery = ctx.query, ctx.gallery
    more = Embedded(
        np.concatenate([query.features[:1], gallery.features]),
        np.concatenate([query.pids[:1], gallery.pids]),
        np.concatenate([query.camids[:1] + 1, gallery.camids]),
    )
    plain, fooled = evaluate(ctx), evaluate(with_sides(params, query, more))
    assert fooled.per_query["first_hit"][0] == 1
    numbers = np.arange(len(query.pids)), np.concatenate([[0], 1000 + np.arange(len(gallery.pids))])
    numbered = with_sides(params, replace(query, images=numbers[0]), replace(more, images=numbers[1]))
    found = evaluate(numbered)
    assert found.notes["filtered"]["same_image"] == 1
    assert numbered.notes == ["left out: 1 pair of a query and its own image in the gallery"]
    if evaluate is not evaluators.k_reciprocal:  # there the picture is a neighbour of others, as it is in the gallery
        assert found.per_query["ap"][0] == pytest.approx(plain.per_query["ap"][0], abs=1e-9)
    assert found.per_query["ap"][0] < fooled.per_query["ap"][0]


@pytest.mark.parametrize(("evaluate", "params"), EVERY)
def test_equal_vectors_are_noted_with_their_bounds(evaluate: Any, params: Any) -> None:
    """All 40 x 8 true matches are tied with the 152 others; best is perfect, worst has each behind all others."""
    ctx = context(params)
    same = [replace(side, features=np.ones_like(side.features)) for side in (ctx.query, ctx.gallery)]
    equal = with_sides(params, *same)
    ties = evaluate(equal).notes["ties"]
    assert (ties["pairs"], ties["queries"], ties["undecided"]) == (40 * 8 * 152, 40, 40)
    assert ties["best"] == pytest.approx({"mAP": 1, "mINP": 1, "cmc1": 1})
    last = np.mean([n / (152 + n) for n in range(1, 9)])
    assert ties["worst"] == pytest.approx({"mAP": last, "mINP": 8 / 160, "cmc1": 0})
    nothing, bounds = equal.notes
    assert nothing.startswith("nothing was ranked: for each of the 40 valid queries all gallery rows are at equal")
    assert f"mAP {100 * last:.2f} to 100.00 %, rank-1 0.00 to 100.00 %" in bounds


@pytest.mark.parametrize(("evaluate", "params"), EVERY)
def test_zero_vectors_are_refused_under_cosine(evaluate: Any, params: Any) -> None:
    ctx = context(params)
    features = ctx.gallery.features.copy()
    features[[3, 9]] = 0
    ctx.gallery = replace(ctx.gallery, features=features)
    if evaluate is evaluators.euclidean:
        assert evaluate(ctx).values["mAP"] > 0
        return
    with pytest.raises(MetricError, match=r"gallery_features row 3 is a zero vector.*2 of 160 rows"):
        evaluate(ctx)


def test_ties_are_noted_where_a_table_can_show_them() -> None:
    """Sixteen dimensions as signs: few codes, many ties; the real features have none."""
    ctx = context(RankingParams())
    assert evaluators.cosine(ctx).notes["ties"] == {"pairs": 0}
    assert ctx.notes == []
    codes = [replace(side, features=np.sign(side.features)) for side in (ctx.query, ctx.gallery)]
    coded = with_sides(ctx.params, *codes)
    found = evaluators.cosine(coded)
    ties = found.notes["ties"]
    assert ties["pairs"] > 0
    for end, rule in (("best", "best"), ("worst", "worst")):
        params = RankingParams(ties=rule)  # type: ignore[arg-type]
        assert evaluators.cosine(with_sides(params, *codes)).values["mAP"] == pytest.approx(ties[end]["mAP"])
    (note,) = coded.notes
    assert note.startswith(f"ties: {ties['pairs']} pairs of a true match and another image at equal distance, in ")
    assert f"mAP {100 * ties['worst']['mAP']:.2f} to {100 * ties['best']['mAP']:.2f} %" in note


def test_a_gallery_of_one_person_is_noted() -> None:
    features = np.eye(3, dtype=np.float32)
    gallery = Embedded(features, np.full(3, 7), np.arange(3))
    ctx = with_sides(RankingParams(), Embedded(features[:1] + features[1:2], np.array([7]), np.array([9])), gallery)
    assert evaluators.cosine(ctx).values["mAP"] == 1
    assert ctx.notes == [
        "without another identity in their gallery: 1 of 1 valid queries, which score 100 % with any features"
    ]


@pytest.mark.parametrize(("rule", "words"), [("drop", "left out of all means"), ("zero", "counted as 0 in all means")])
def test_queries_without_a_true_match_are_noted(rule: Any, words: str) -> None:
    """The second of four queries is not in the gallery, the third only from its own camera, the fourth is junk."""
    features = np.eye(4, dtype=np.float32)
    query = Embedded(features, np.array([1, 2, 3, -1]), np.zeros(4, dtype=np.int64))
    gallery = Embedded(features + 0.1, np.array([1, 4, 3, 5]), np.array([1, 1, 0, 1]))
    ctx = with_sides(RankingParams(invalid=rule), query, gallery)
    found = evaluators.cosine(ctx)
    assert found.values["mAP"] == (1 if rule == "drop" else 1 / 4)
    (note,) = [note for note in ctx.notes if "true match" in note]
    assert note.startswith(f"{words}: 3 of 4 queries, without a true match: ")
    assert note.count("1 because ") == 3
    assert all(reason in note for reason in ("not in the gallery", "own camera only", "pid -1 means junk"))


def test_protocol_words() -> None:
    assert "re-ranked (fastreid)" in ReciprocalParams(variant="fastreid").protocol()
    assert "query expansion" in ExpansionParams().protocol()
    assert ExpansionParams(among="all").protocol() == {"AP step", "query expansion among all"}
    assert "single gallery shot x10" in RankingParams(gallery="single-shot").protocol()


@pytest.mark.slow
def test_a_new_evaluator_retrains_nothing(tmp_path: Path, market: Path) -> None:
    text = f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{tiny: {{target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{a: {{finetune: none}}, b: {{finetune: colour-histogram}}, both: {{ensemble: [a, b]}}}}
evaluate: EVALUATE
"""
    run_matrix(text.replace("EVALUATE", "cosine"), tmp_path)
    store = Store(tmp_path / "store")
    before = {key for key in store.keys()}  # noqa: C416, SIM118
    k = "{use: k-reciprocal, k1: 3, k2: 2}"
    board = run_matrix(text.replace("EVALUATE", f"[cosine, euclidean, {k}, {{use: query-expansion, k: 2}}]"), tmp_path)
    assert {result.status for result in board.results} == {"ok"}
    new = [store.manifest(key).manifest["stage"] for key in store.keys() - before]
    assert {stage["kind"] for stage in new} == {"evaluate"}
    assert len(new) == 3 * 3
    protocols = {result.row.evaluator: result.row.protocol for result in board.results}
    assert protocols["k-reciprocal"].endswith("AP step, re-ranked (zhong)")


def test_cosine_protocol_words() -> None:
    assert RankingParams().protocol() == {"AP step"}
    words = RankingParams(ap="trapezoid", camera="none", invalid="zero", ties="worst").protocol()
    assert words == {"AP trapezoid", "no camera rule", "invalid queries count 0", "ties worst"}


def test_evaluation_keeps_per_query_results(tmp_path: Path, matrix: Callable[..., Path], market: Path) -> None:
    board = run_matrix(matrix().read_text(), tmp_path)
    (result,) = board.results
    folder = Store(tmp_path / "store").path(result.row.key or "")
    per_query = np.load(folder / "per_query.npz")
    assert per_query["ap"].shape == (8,)  # 4 test identities x 2 cameras
    assert np.nanmean(per_query["ap"]) == pytest.approx(result.metrics["mAP"], abs=1e-12)
    assert report.write(board, "csv").count("\n") == 2
