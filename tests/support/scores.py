"""One set of features and its score, for files in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.metrics import rank
from reidbench.scoring import score

OURS = ("query_features", "query_pids", "query_camids", "gallery_features", "gallery_pids", "gallery_camids")


def arrays(queries: int = 12, gallery: int = 60, dim: int = 5) -> dict[str, Any]:
    """People 1 to 9 with junk and distractors in the gallery, four cameras; far from perfect features."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(11, dim))
    found: dict[str, Any] = {
        "query_pids": rng.integers(1, 10, queries),
        "query_camids": rng.integers(4, size=queries),
        "gallery_pids": rng.integers(-1, 10, gallery),
        "gallery_camids": rng.integers(4, size=gallery),
    }
    for side in ("query", "gallery"):
        pids = found[f"{side}_pids"]
        found[f"{side}_features"] = (centres[pids] + rng.normal(size=(len(pids), dim))).astype(np.float32)
    return found


def expected(found: dict[str, Any]) -> float:
    """mAP of the arrays, computed by the ranking function alone."""
    return rank(*(found[name] for name in OURS)).mAP


def scored(path: Path, **options: Any) -> dict[str, Any]:
    """The JSON of `reidbench score`."""
    lines: list[str] = []
    score.run([path], as_json=True, echo=lines.append, **options)
    found: dict[str, Any] = json.loads(lines[0])
    return found
