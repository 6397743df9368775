"""Score feature files: whoever brings features or distances gets numbers, with the rules they were computed under."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reidbench.data.names import shown
from reidbench.errors import DataError, ReidbenchError
from reidbench.featurefile import Features, Use, read_features
from reidbench.metrics import (
    MetricError,
    Ranking,
    Report,
    Reranking,
    Rules,
    compare,
    rank,
    rank_blocks,
    rank_distances,
    render,
    rerank_blocks,
)
from reidbench.scoring.doubts import distance_doubts

__all__ = ["Features", "read_features", "run", "score"]


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
) -> list[Report]:
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


def _score(features: Features, rules: Rules, how: Reranking | None) -> Report:
    try:
        ranking = _rank(features, rules, how)
        if features.distances is None:
            ranking.decided()
    except MetricError as error:
        raise DataError(f"{shown(features.path)}: {error}") from error
    warnings = features.warnings
    if features.distances is not None:
        doubts = distance_doubts(
            features.distances, features.distances_key, features.labels, camera=rules.camera != "none"
        )
        warnings = (*warnings, *doubts)
    return Report(shown(features.path), ranking, features.query_pids, features.query_camids, how, warnings)


def _rank(features: Features, rules: Rules, how: Reranking | None) -> Ranking:
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
