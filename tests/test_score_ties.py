"""`reidbench score` on files in which nothing, or not everything, is ranked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench import score
from reidbench.errors import DataError

LABELS = {
    "query_pids": np.arange(1, 6),
    "query_camids": np.zeros(5, int),
    "gallery_pids": np.concatenate([np.arange(1, 6), np.arange(2, 17)]),
    "gallery_camids": np.ones(20, int),
}


def save(path: Path, query: Any, gallery: Any) -> Path:
    np.savez(path, query_features=query, gallery_features=gallery, **LABELS)
    return path


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-m", "reidbench", "score", *arguments], capture_output=True, text=True, env=environment
    )


def test_zero_vectors_end_with_a_sentence(tmp_path: Path) -> None:
    zero = save(tmp_path / "zero.npz", np.zeros((5, 8)), np.zeros((20, 8)))
    done = command(str(zero))
    assert (done.returncode, done.stdout) == (2, "")
    assert "zero.npz: query_features row 0 is a zero vector" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("rerank", [None, "zhong", "torchreid", "fastreid"])
def test_equal_vectors_are_refused_whatever_the_distance(tmp_path: Path, distance: str, rerank: str | None) -> None:
    same = save(tmp_path / "same.npz", np.full((5, 8), 0.1), np.full((20, 8), 0.1))
    with pytest.raises(DataError, match=r"same\.npz: nothing was ranked: for each of the 5 valid queries"):
        score.run([same], distance=distance, rerank=rerank)


def test_equal_distances_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", distances=np.full((5, 20), 0.5), **LABELS)
    with pytest.raises(DataError, match=r"a\.npz: nothing was ranked"):
        score.run([tmp_path / "a.npz"])


def test_quantised_features_are_scored_with_their_bounds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    file = save(tmp_path / "a.npz", np.sign(rng.normal(size=(5, 3))), np.sign(rng.normal(size=(20, 3))))
    lines: list[str] = []
    score.run([file], as_json=True, echo=lines.append)
    ties = json.loads(lines[0])["ties"]
    ends = {}
    for rule in ("best", "worst"):
        score.run([file], as_json=True, ties=rule, echo=lines.append)
        ends[rule] = json.loads(lines[-1])
        assert ends[rule]["mAP"] == pytest.approx(ties[rule]["mAP"])
        assert ends[rule]["mINP"] == pytest.approx(ties[rule]["mINP"])
        assert ends[rule]["cmc"]["1"] == pytest.approx(ties[rule]["cmc1"])
    assert ends["worst"]["mAP"] < ends["best"]["mAP"]
    score.run([file], echo=lines.append)
    assert f"  ties: {ties['pairs']} pairs of a true match and another image at equal distance, in " in lines[-1]
    assert f"mAP {100 * ends['worst']['mAP']:.2f} to {100 * ends['best']['mAP']:.2f} %" in lines[-1]
