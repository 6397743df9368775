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
import scipy.io

from reidbench.errors import DataError
from reidbench.scoring import score

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


def test_equal_distances_are_a_warning_beside_their_bounds(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", distances=np.full((5, 20), 0.5), **LABELS)
    lines: list[str] = []
    score.run([tmp_path / "a.npz"], echo=lines.append)
    assert "\n  warning: nothing was ranked: for each of the 5 valid queries" in lines[0]
    assert "\n  ties: " in lines[0]
    score.run([tmp_path / "a.npz"], as_json=True, echo=lines.append)
    assert [text.split(":")[0] for text in json.loads(lines[1])["warnings"]] == ["nothing was ranked"]


def test_own_pictures_are_left_out_where_the_file_numbers_them(tmp_path: Path) -> None:
    """Query i is gallery row i, from another camera by its label; without it persons 2 to 5 have one match left."""
    rng = np.random.default_rng(0)
    query = rng.normal(size=(5, 8))
    gallery = np.concatenate([query, rng.normal(size=(15, 8))])
    numbers = {"query_images": np.arange(5), "gallery_images": np.arange(20)}
    sides = {"query_features": query, "gallery_features": gallery}
    given = {"distances": 1 - query @ gallery.T}
    for name, held, rerank in (("a", sides, None), ("b", sides, "zhong"), ("c", given, None)):
        np.savez(tmp_path / f"{name}.npz", **LABELS, **held, **numbers)
        (report,) = score.score([tmp_path / f"{name}.npz"], rerank=rerank)
        assert report.ranking.filtered["same_image"] == 5
        assert report.ranking.valid.tolist() == [False, True, True, True, True]
    (tmp_path / "a.npz").unlink()
    np.savez(tmp_path / "a.npz", **LABELS, **sides, query_images=np.arange(5))
    (report,) = score.score([tmp_path / "a.npz"])
    assert "query_images is ignored without that of the other side" in report.warnings
    moved = {"query_images": np.arange(5), "gallery_images": np.roll(np.arange(20), 1)}  # as are row numbers
    np.savez(tmp_path / "a.npz", **LABELS, **sides, **moved)
    with pytest.raises(DataError, match=r"query_images\[0\] and gallery_images\[1\] are both 0, but their pids differ"):
        score.score([tmp_path / "a.npz"])
    pixels = {"query_images": np.zeros((5, 2, 2, 3), np.uint8), "gallery_images": np.zeros((20, 2, 2, 3), np.uint8)}
    np.savez(tmp_path / "pixels.npz", **LABELS, **sides, **pixels)
    (report,) = score.score([tmp_path / "pixels.npz"])
    assert report.ranking.cmc_at[1] == 1
    assert "same_image" not in report.ranking.filtered


@pytest.mark.parametrize("form", ["mat", "floats", "columns"])
def test_picture_numbers_of_any_shape_are_used(form: str, tmp_path: Path) -> None:
    """MATLAB and savemat have 1 x N arrays and doubles; another number of them is an error, strings are a warning."""
    rng = np.random.default_rng(0)
    query = rng.normal(size=(5, 8))
    sides = {"query_features": query, "gallery_features": np.concatenate([query, rng.normal(size=(15, 8))])}
    file = tmp_path / ("f.mat" if form == "mat" else "f.npz")

    def write(numbers: dict[str, np.ndarray]) -> None:
        shaped = {name: one[:, None] if form == "columns" else one for name, one in numbers.items()}
        shaped = {name: one.astype(float) if form == "floats" else one for name, one in shaped.items()}
        (
            scipy.io.savemat(file, LABELS | sides | shaped)
            if form == "mat"
            else np.savez(file, **LABELS, **sides, **shaped)
        )

    write({"query_images": np.arange(5), "gallery_images": np.arange(20)})
    (report,) = score.score([file])
    assert report.ranking.filtered["same_image"] == 5
    write({"query_images": np.arange(5), "gallery_images": np.arange(19)})
    with pytest.raises(
        DataError, match=r"f\.(mat|npz): gallery_images has 19 entries but gallery_pids has 20 entries$"
    ):
        score.score([file])
    if form == "columns":
        write({"query_images": np.arange(5).astype(str), "gallery_images": np.arange(20).astype(str)})
        (report,) = score.score([file])
        assert "same_image" not in report.ranking.filtered
        assert any(text.startswith("query_images is ignored: it has <U") for text in report.warnings)


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
