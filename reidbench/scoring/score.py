"""Score feature files: numbers for features or distances made elsewhere, with the rules they were computed under."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.errors import DataError, ReidbenchError
from reidbench.files.names import shown
from reidbench.metrics import (
    MetricError,
    Ranking,
    Reranking,
    Rules,
    ScoreReport,
    compare,
    rank,
    rank_blocks,
    rank_distances,
    render,
    rerank_blocks,
)

from .doubts import copy_doubts, distance_doubts, query_doubts
from .featurefile import FeatureFile, Use, read_features

__all__ = ["FeatureFile", "read_features", "run", "score"]


def score(
    paths: Sequence[Path | str],
    rules: Rules | None = None,
    rerank: str | None = None,
    k1: int = 20,
    k2: int = 6,
    lambda_: float = 0.3,
    *,
    use: Use | None = None,
    manifest: Path | None = None,
) -> list[ScoreReport]:
    """One report for each file, in order.

    `rerank` is zhong, torchreid or fastreid; `use` and `manifest` are those of `read_features`. Raises ReidbenchError:
    an option that does not exist, a file that is not what it should be, no valid query, zero vectors under cosine, or
    vectors that are all equal, with the file's name. Given distances that are all equal are a warning of the report.
    """
    try:
        how = Reranking(rerank, k1, k2, lambda_) if rerank else None  # type: ignore[arg-type]
    except MetricError as error:
        raise ReidbenchError(str(error)) from error
    rules = rules or Rules()
    camera = rules.camera != "none"
    return [_score(read_features(path, camera=camera, use=use, manifest=manifest), rules, how) for path in paths]


def _score(features: FeatureFile, rules: Rules, how: Reranking | None) -> ScoreReport:
    try:
        ranking = _rank(features, rules, how)
        if features.distances is None:
            ranking.decided()
    except MetricError as error:
        meaning = "".join(f"; {text}" for text in _meaning(features, np.arange(len(features.query_pids))[:1]))
        raise DataError(f"{shown(features.path)}: {_in_their_words(str(error), features)}{meaning}") from error
    warnings = (*features.warnings, *_meaning(features, np.flatnonzero(~ranking.valid)[:5]))
    warnings = (*warnings, *_doubts(features, rules.camera != "none"))
    return ScoreReport(
        shown(features.path),
        ranking,
        features.query_pids,
        features.query_camids,
        how,
        warnings,
        features.pid_texts,
        features.camid_texts,
    )


def _doubts(features: FeatureFile, camera: bool) -> Iterator[str]:
    """Doubts about the features or distances of a file that could be scored."""
    if features.distances is not None:
        yield from distance_doubts(features.distances, features.keys["distances"], features.labels, camera)
    if features.query_features is None or features.gallery_features is None:
        return
    yield from query_doubts(features.query_features, features.query_pids)
    if features.query_images is None:
        yield from copy_doubts(features.query_features, features.gallery_features, features.labels, camera)


def _in_their_words(text: str, features: FeatureFile) -> str:
    """The sentence of a ranking with the keys of the file, and with the switch of the command line."""
    for role, key in features.keys.items():
        name = rf"\b{role}\b" if role != "distances" else r"^distances(?= row )"
        text = re.sub(name, lambda _, key=key: shown(key), text)  # type: ignore[misc]
    return text.replace("use distance=euclidean", "compare them by --distance euclidean")


def _meaning(features: FeatureFile, queries: NDArray[np.intp]) -> list[str]:
    """Pids and cameras of some queries as the file has them, where these are texts."""
    sides = (("pid", features.query_pids, features.pid_texts), ("camera", features.query_camids, features.camid_texts))
    found = [
        f"{what} {number} is {shown(texts[number])!r}"
        for what, numbers, texts in sides
        for number in dict.fromkeys(numbers[queries].tolist())
        if number in texts
    ]
    return [f"labels that are texts are numbered here: {', '.join(found)}"] if found else []


def _rank(features: FeatureFile, rules: Rules, how: Reranking | None) -> Ranking:
    query, gallery = features.query_features, features.gallery_features
    if query is None or gallery is None:
        if how or features.distances is None:
            raise MetricError("re-ranking needs features, and this file holds distances; leave --rerank away")
        return rank_distances(features.distances, *features.labels, rules, **features.images)
    q_pids, q_camids, g_pids, g_camids = features.labels
    if not how:
        return rank(query, q_pids, q_camids, gallery, g_pids, g_camids, rules, **features.images)
    for side, rows, labels in (("query", query, q_pids), ("gallery", gallery, g_pids)):
        if len(rows) != len(labels):
            raise MetricError(f"{side}_features has {len(rows)} rows but {side}_pids has {len(labels)} entries")
    blocks = rerank_blocks(query, gallery, how, rules.distance)
    found = rank_blocks(blocks, *features.labels, rules, **features.images)
    return replace(found, rules=replace(rules, distance="cosine" if how.variant == "zhong" else rules.distance))


def run(
    paths: list[Path],
    *,
    as_json: bool = False,
    ap: str = "step",
    invalid: str = "drop",
    ties: str = "stable",
    distance: str = "cosine",
    camera: bool = True,
    rerank: str | None = None,
    k1: int = 20,
    k2: int = 6,
    lambda_: float = 0.3,
    use: Use | None = None,
    manifest: Path | None = None,
    echo: Callable[[str], Any] = print,
) -> None:
    """`reidbench score`: read, score, compare and echo, as plain text or as one JSON document.

    One file gives the object of its report; several give ``{"reports": [...], "comparisons": [...], "note": ...}``.
    Raises ReidbenchError.
    """
    named = {"ap": ap, "invalid": invalid, "ties": ties, "distance": distance}
    try:
        rules = Rules(camera="market1501" if camera else "none", **named)  # type: ignore[arg-type]
    except MetricError as error:
        raise ReidbenchError(str(error)) from error
    reports = score(paths, rules, rerank, k1, k2, lambda_, use=use, manifest=manifest)
    comparisons, note = compare(reports)
    if not as_json:
        echo(render(reports, comparisons, note))
        return
    if len(reports) == 1:
        found: dict[str, Any] = reports[0].as_dict()
    else:
        found = {
            "reports": [report.as_dict() for report in reports],
            "comparisons": [comparison.as_dict() for comparison in comparisons],
            "note": note,
        }
    echo(json.dumps(found, indent=2, allow_nan=False))
