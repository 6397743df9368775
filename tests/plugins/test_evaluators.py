"""Evaluators on stored features: definitions by hand, and that a new one retrains nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reidbench.components import Features
from reidbench.metrics import Reranking, rank_distances, rerank
from reidbench.store import Store
from reidbench.testing import run_matrix
from reidbench_baseline import evaluators
from reidbench_baseline.params import ExpansionParams, RankingParams, ReciprocalParams


def context(params: Any, *, junk: int = 0, seed: int = 0) -> Any:
    """40 queries and 160 gallery images of 20 identities in 16 dimensions, with some junk."""
    random = np.random.Generator(np.random.PCG64(seed))
    centres = random.normal(size=(21, 16))
    pids = np.concatenate([np.repeat(np.arange(1, 21), 10), np.full(junk, -1)])
    camids = np.concatenate([np.tile(np.arange(5), 40), np.zeros(junk, dtype=int)])
    features = centres[pids] + 1.2 * random.normal(size=(len(pids), 16))
    is_query = np.zeros(len(pids), dtype=bool)
    is_query[:200:5] = True
    sides = [Features(features[rows].astype(np.float32), pids[rows], camids[rows]) for rows in (is_query, ~is_query)]
    return SimpleNamespace(params=params, query=sides[0], gallery=sides[1])


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
    dirty.gallery = Features(
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


def test_protocol_words() -> None:
    assert "re-ranked (fastreid)" in ReciprocalParams(variant="fastreid").protocol()
    assert "query expansion" in ExpansionParams().protocol()
    assert "single gallery shot x10" in RankingParams(gallery="single-shot").protocol()


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
