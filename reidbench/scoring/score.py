"""Score feature files: metrics of features or distances computed elsewhere, with the rules used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.data.split import JUNK
from reidbench.errors import DataError, ReidbenchError
from reidbench.files.names import shown
from reidbench.metrics import (
    Labelled,
    MetricError,
    Ranking,
    Reranking,
    Rules,
    ScoreReport,
    compare,
    rank,
    rank_distances,
    rank_labelled,
    refuse_idle,
    render,
    rerank_blocks,
)
from reidbench.metrics.products import refuse_zero
from reidbench.metrics.ranking.meeting import Meeting
from reidbench.metrics.ranking.rules import Distance

from .doubts import camera_number_doubts, copy_doubts, distance_doubts, marks_of, query_doubts, repeat_doubts
from .featurefile import FeatureFile, Use, read_features

__all__ = ["FeatureFile", "read_features", "run", "score"]
ASKING = {"exclude": "clothes", "cross": "modality", "pool": "tracklets"}  # rules, and the labels that they require
BY_NUMBER = ("query_cameras", "gallery_cameras", "skip_cameras")  # rules that name cameras
NO_CAMERA = "; to score without the camera rule: --no-camera"


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
    """Return one report for each file, in order.

    `rerank` is zhong, torchreid or fastreid; `use` and `manifest` are those of `read_features`. Labels beyond identity
    are read only if a rule requires them. Raises ReidbenchError, with the file's name, for an unknown option, a
    damaged file, missing labels, no valid query, zero vectors under cosine, or vectors that are all equal. Distances
    that are all equal are reported as a warning.
    """
    try:
        how = Reranking(rerank, k1, k2, lambda_) if rerank else None  # type: ignore[arg-type]
    except MetricError as error:
        raise ReidbenchError(str(error)) from error
    rules = rules or Rules()
    return [_score(_read(Path(path), rules, use, manifest), rules, how) for path in paths]


def _read(path: Path, rules: Rules, use: Use | None, manifest: Path | None) -> FeatureFile:
    """Read a file with the labels that the rules require."""
    shown_rules = rules.as_dict()
    needs = {label: f"{rule}={_plain(shown_rules[rule])}" for rule, label in ASKING.items() if rule in shown_rules}
    by_camera = [name for name in (*BY_NUMBER, "multi_query") if name in shown_rules]
    if rules.shots_per != "identity":
        by_camera.append(f"shots_per={rules.shots_per}")
    camera = rules.camera != "none"
    try:
        features = read_features(path, camera=camera or bool(by_camera), use=use, manifest=manifest, needs=needs)
    except DataError as error:
        if camera and not by_camera:
            raise
        raise DataError(str(error).replace(NO_CAMERA, f"; {by_camera[0]} requires them" if by_camera else "")) from None
    numbered = [name for name in by_camera if name in BY_NUMBER]
    if numbered and features.camid_texts:
        first = shown(next(iter(features.camid_texts.values())))
        raise DataError(f"{shown(path)}: {numbered[0]} names cameras by number, but the file's cameras are strings "
                        f"({first!r}, ...); save them as numbers")  # fmt: skip
    return features


def _plain(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def _score(features: FeatureFile, rules: Rules, how: Reranking | None) -> ScoreReport:
    try:
        ranking = _rank(features, rules, how)
        if features.distances is None:
            ranking.decided()
    except MetricError as error:
        named = re.search(r"query (\d+) \(pid ", str(error))
        first = int(named[1]) if named else 0
        queries = np.arange(len(features.query_pids))[first : first + 1]
        meaning = "".join(f"; {text}" for text in _meaning(features, queries))
        raise DataError(f"{shown(features.path)}: {_in_their_words(str(error), features)}{meaning}") from error
    warnings = (*features.warnings, *_meaning(features, np.flatnonzero(ranking.asked & ~ranking.valid)[:5]))
    warnings = (*warnings, *_doubts(features, rules))
    return ScoreReport(
        shown(features.path),
        ranking,
        features.query_pids,
        features.query_camids,
        how,
        warnings,
        features.pid_texts,
        features.camid_texts,
        (features.gallery_pids, features.gallery_camids),
    )


def _doubts(features: FeatureFile, rules: Rules) -> Iterator[str]:
    """Yield warnings about suspicious features or distances of a scored file."""
    camera = rules.camera != "none"
    if any(name in rules.labelled for name in BY_NUMBER):
        yield from camera_number_doubts(features.query_camids, features.gallery_camids)
    if features.distances is not None:
        yield from distance_doubts(features.distances, features.keys["distances"], features.labels, camera)
    if features.query_features is None or features.gallery_features is None:
        return
    query, gallery = features.query_features, features.gallery_features
    marks = marks_of(query), marks_of(gallery)
    yield from query_doubts(query, features.query_pids, marks[0])
    yield from repeat_doubts("query", query, features.query_pids, features.query_camids, marks[0])
    yield from repeat_doubts("gallery", gallery, features.gallery_pids, features.gallery_camids, marks[1])
    if features.query_images is None and not (
        rules.pool or rules.multi_query
    ):  # pooling does not compare single images
        meeting, pids = Meeting(*_sides(features), rules), (features.query_pids, features.gallery_pids)
        yield from copy_doubts(query, gallery, pids, meeting.may, meeting.asked(), marks)


def _in_their_words(text: str, features: FeatureFile) -> str:
    """Replace names in an error of the ranking by the file's keys and the command-line options."""
    for role, key in features.keys.items():
        name = rf"\b{role}\b" if role != "distances" else r"^distances(?= row )"
        text = re.sub(name, lambda _, key=key: shown(key), text)  # type: ignore[misc]
    return text.replace("use distance=euclidean", "use --distance euclidean")


def _meaning(features: FeatureFile, queries: NDArray[np.intp]) -> list[str]:
    """Return the original pids and cameras of some queries, if these are strings."""
    sides = (("pid", features.query_pids, features.pid_texts), ("camera", features.query_camids, features.camid_texts))
    found = [
        f"{what} {number} is {shown(texts[number])!r}"
        for what, numbers, texts in sides
        for number in dict.fromkeys(numbers[queries].tolist())
        if number in texts
    ]
    return [f"text labels are numbered: {', '.join(found)}"] if found else []


def _rank(features: FeatureFile, rules: Rules, how: Reranking | None) -> Ranking:
    query, gallery = features.query_features, features.gallery_features
    if query is None or gallery is None:
        if how or features.distances is None:
            raise MetricError("re-ranking requires features, but this file contains distances; remove --rerank")
        if rules.labelled:
            raise MetricError(
                f"{', '.join(rules.labelled)}: these rules require features, but this file contains distances"
            )
        return rank_distances(features.distances, *features.labels, rules, **features.images)
    if rules.labelled or how:
        return _rank_labelled(features, rules, how)
    q_pids, q_camids, g_pids, g_camids = features.labels
    return rank(query, q_pids, q_camids, gallery, g_pids, g_camids, rules, **features.images)


def _sides(features: FeatureFile) -> tuple[Labelled, Labelled]:
    """Return query and gallery of a feature file with their labels."""
    query, gallery = features.query_features, features.gallery_features
    assert query is not None  # checked by the callers
    assert gallery is not None
    q_pids, q_camids, g_pids, g_camids = features.labels
    return (
        Labelled(query, q_pids, q_camids, features.query_images, **features.query_more),
        Labelled(gallery, g_pids, g_camids, features.gallery_images, **features.gallery_more),
    )


def _rank_labelled(features: FeatureFile, rules: Rules, how: Reranking | None) -> Ranking:
    """Rank under rules that use more than pids and cameras. Re-ranking uses only matchable rows, without junk."""
    sides = _sides(features)
    refuse_idle(*sides, rules)
    if not how:
        return rank_labelled(*sides, rules)
    if not rules.labelled and (how.variant == "zhong" or rules.distance == "cosine"):  # before rows are renumbered
        refuse_zero("query_features", np.logical_not(sides[0].features.any(1)), how.variant != "zhong")
        kept = features.gallery_pids != JUNK
        refuse_zero("gallery_features", np.logical_not(sides[1].features.any(1)) & kept, how.variant != "zhong")
    # Also names rows that cannot be compared by their numbers in the file.
    plain = rank_labelled(*sides, replace(rules, distance=_compared(rules, how)))
    found = rank_labelled(
        *sides,
        rules,
        lambda mine, theirs: rerank_blocks(mine.features, theirs.features, how, rules.distance),
        junk=False,
    )
    # Re-ranking spreads cosines that differ only by rounding, so that they look like a ranking.
    return replace(found, rules=replace(rules, distance=_compared(rules, how)), flat=plain.flat)


def _compared(rules: Rules, how: Reranking) -> Distance:
    """Return the distance that is re-ranked."""
    return "cosine" if how.variant == "zhong" else rules.distance


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
    more: Mapping[str, Any] | None = None,
    said: Sequence[str] = (),
    echo: Callable[[str], Any] = print,
) -> None:
    """Run `reidbench score`: read, score and compare files, and echo plain text or one JSON document.

    `more` are further rules by their names in `Rules`, and `said` warnings to add to each report. The JSON of one file
    is its report; that of several is ``{"reports": [...], "comparisons": [...], "note": ...}``.
    Raises ReidbenchError.
    """
    named = {"ap": ap, "invalid": invalid, "ties": ties, "distance": distance}
    try:
        rules = Rules(**{"camera": "market1501" if camera else "none", **named, **(more or {})})
    except MetricError as error:
        raise ReidbenchError(str(error)) from error
    reports = score(paths, rules, rerank, k1, k2, lambda_, use=use, manifest=manifest)
    reports = [replace(report, warnings=(*said, *report.warnings)) for report in reports]
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
