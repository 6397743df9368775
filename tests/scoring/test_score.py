"""Feature files in, numbers out; damaged files in, one sentence out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from reidbench.errors import DataError
from reidbench.metrics import Reranking, Rules, rank, rank_distances, rerank
from reidbench.scoring import score


def arrays(queries: int = 40, gallery: int = 300, seed: int = 0, noise: float = 1.0) -> dict[str, Any]:
    """People of one world; `seed` and `noise` change the images, not who is on them."""
    world, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centres = world.normal(size=(32, 16))
    found = {
        "query_pids": world.integers(1, 30, queries),
        "query_camids": world.integers(4, size=queries),
        "gallery_pids": world.integers(-1, 30, gallery),
        "gallery_camids": world.integers(4, size=gallery),
    }
    for side in ("query", "gallery"):
        pids = found[f"{side}_pids"]
        found[f"{side}_features"] = (centres[pids] + noise * rng.normal(size=(len(pids), 16))).astype(np.float32)
    return found


def save(path: Path, found: dict[str, Any]) -> Path:
    np.savez(path, **found)
    return path


def expected(found: dict[str, Any], **rules: Any) -> Any:
    names = ["query_features", "query_pids", "query_camids", "gallery_features", "gallery_pids", "gallery_camids"]
    return rank(*(found[name] for name in names), Rules(**rules))


def labels(found: dict[str, Any]) -> list[Any]:
    return [found[name] for name in ("query_pids", "query_camids", "gallery_pids", "gallery_camids")]


def run_json(*paths: Path, **options: Any) -> Any:
    lines: list[str] = []
    score.run(list(paths), as_json=True, echo=lines.append, **options)
    return json.loads("\n".join(lines))


# ------------------------------------------------------------------------------------------------ numbers


def test_json_of_one_file(tmp_path: Path) -> None:
    found = arrays()
    reference = expected(found)
    result = run_json(save(tmp_path / "a.npz", found))
    assert result["mAP"] == reference.mAP
    assert result["mINP"] == reference.mINP
    assert result["cmc"] == {str(k): reference.metrics()[f"cmc{k}"] for k in (1, 5, 10, 20)}
    assert (result["num_queries"], result["num_valid"]) == (40, reference.num_valid)
    assert result["filtered"] == reference.filtered
    assert result["rules"] == {
        "ap": "step",
        "invalid": "drop",
        "ties": "stable",
        "camera": "market1501",
        "distance": "cosine",
        "gallery": "all",
        "rerank": None,
    }
    for name, value in (("mAP", reference.mAP), ("mINP", reference.mINP), ("cmc1", reference.cmc[0])):
        low, high = result["ci95"][name]
        assert low < value < high


@pytest.mark.parametrize("ap", ["step", "trapezoid"])
@pytest.mark.parametrize("invalid", ["drop", "zero"])
@pytest.mark.parametrize("ties", ["stable", "worst"])
@pytest.mark.parametrize("camera", [True, False])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_every_option_reaches_the_ranking(
    tmp_path: Path, ap: str, invalid: str, ties: str, camera: bool, distance: str
) -> None:
    found = arrays()
    options = {"ap": ap, "invalid": invalid, "ties": ties, "distance": distance}
    result = run_json(save(tmp_path / "a.npz", found), camera=camera, **options)
    options["camera"] = "market1501" if camera else "none"
    assert result["mAP"] == expected(found, **options).mAP
    assert {name: result["rules"][name] for name in options} == options


@pytest.mark.parametrize("variant", ["zhong", "torchreid", "fastreid"])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_reranking(tmp_path: Path, variant: Any, distance: str) -> None:
    found = arrays()
    result = run_json(save(tmp_path / "a.npz", found), rerank=variant, k1=10, k2=3, lambda_=0.2, distance=distance)
    how = Reranking(variant, 10, 3, 0.2)
    kept = found["gallery_pids"] != -1  # junk is nobody's neighbour, as in a matrix
    final = rerank(found["query_features"], found["gallery_features"][kept], how, distance)
    sides = (found["query_pids"], found["query_camids"], found["gallery_pids"][kept], found["gallery_camids"][kept])
    assert result["mAP"] == rank_distances(final, *sides).mAP
    assert result["filtered"]["junk"] == np.count_nonzero(~kept) > 0
    assert result["rules"]["rerank"] == {"variant": variant, "k1": 10, "k2": 3, "lambda": 0.2}
    assert result["rules"]["distance"] == ("cosine" if variant == "zhong" else distance)


def test_zero_vectors_are_named_by_their_rows_in_the_file_though_junk_is_left_out(tmp_path: Path) -> None:
    found = arrays()
    found["gallery_pids"][:2] = -1, 1
    found["gallery_features"][:2] = 0
    path = save(tmp_path / "a.npz", found)
    with pytest.raises(DataError, match=r"gallery_features row 1 is a zero vector.*\(zero vectors: 1 of 300 rows\)"):
        score.run([path], rerank="zhong")


@pytest.mark.parametrize("value", [np.nan, 1e30])
def test_other_bad_rows_are_named_by_their_rows_too(value: float, tmp_path: Path) -> None:
    found = arrays()
    found["gallery_pids"][:2] = -1, 1
    found["gallery_features"][7] = value
    path = save(tmp_path / "a.npz", found)
    for rerank_by in (None, "zhong", "torchreid"):
        with pytest.raises(DataError, match=r"gallery_features row 7 (contains NaN|has length)"):
            score.run([path], rerank=rerank_by)


@pytest.mark.parametrize("variant", [None, "zhong", "torchreid", "fastreid"])
def test_reranking_does_not_hide_that_cosines_differ_only_by_rounding(variant: str | None, tmp_path: Path) -> None:
    """As of a network that maps all images to one point; re-ranking makes an order of its rounding."""
    found = arrays()
    rng = np.random.default_rng(3)
    for name in ("query_features", "gallery_features"):
        found[name] = np.ones_like(found[name]) * (1 + 1e-6 * rng.random(found[name].shape))
    warnings = run_json(save(tmp_path / "a.npz", found), rerank=variant)["warnings"]
    assert any("the cosines of all gallery rows agree to the precision of float32" in one for one in warnings)
    assert not any("agree to the precision" in one for one in run_json(save(tmp_path / "b.npz", arrays()))["warnings"])


def test_distances_instead_of_features(tmp_path: Path) -> None:
    found = arrays()
    distances = np.random.default_rng(0).random((40, 300))
    path = save(
        tmp_path / "a.npz", {key: found[key] for key in found if "features" not in key} | {"distances": distances}
    )
    result = run_json(path)
    assert result["mAP"] == rank_distances(distances, *labels(found)).mAP
    assert result["rules"]["distance"] == "given"
    with pytest.raises(DataError, match=r"a\.npz: re-ranking requires features"):
        score.run([path], rerank="zhong")
    both = save(tmp_path / "b.npz", found | {"distances": distances})
    with pytest.raises(
        DataError,
        match=r"b\.npz: contains distances \(distances\) and features \(query_features, gallery_features\); "
        "choose --use features or --use distances",
    ):
        score.run([both])
    assert run_json(both, use="distances")["mAP"] == result["mAP"]
    assert run_json(both, use="features")["mAP"] == expected(found).mAP
    with pytest.raises(DataError, match=r"missing query_features .*; to score its distances remove --use"):
        score.run([path], use="features")


def test_plain_text(tmp_path: Path) -> None:
    found = arrays()
    found["query_pids"][:7] = 99
    lines: list[str] = []
    score.run([save(tmp_path / "a.npz", found)], echo=lines.append)
    (text,) = lines
    reference = expected(found)
    assert f"mAP     {100 * reference.mAP:6.2f} %  [" in text
    assert "rank-1" in text
    assert f"40 queries, {reference.num_valid} valid; removed: {reference.filtered['junk']} junk gallery rows" in text
    assert "without a true match: 7 because their pid is not in the gallery" in text
    assert "query 0 (pid 99, camera" in text
    assert text.count("(pid 99") == 5
    assert "rules: ap=step invalid=drop ties=stable camera=market1501 distance=cosine gallery=all rerank=none" in text


# ------------------------------------------------------------------------------------------------ several files


def test_several_files_are_compared_in_pairs(tmp_path: Path) -> None:
    weak, strong, other = arrays(noise=1.3), arrays(seed=1, noise=0.5), arrays(queries=30)
    paths = [
        save(tmp_path / f"{name}.npz", found) for name, found in (("weak", weak), ("strong", strong), ("x", other))
    ]
    result = run_json(*paths)
    assert [report["file"] for report in result["reports"]] == [str(path) for path in paths]
    by_metric = {found["metric"]: found for found in result["comparisons"]}
    assert set(by_metric) == {"mAP", "mINP", "cmc1"}
    gain = by_metric["mAP"]
    assert gain["difference"] == pytest.approx(expected(strong).mAP - expected(weak).mAP)
    assert gain["ci95"][0] > 0
    assert gain["share"] == 1.0
    assert not gain["within_noise"]
    assert (gain["file"], gain["baseline"]) == (str(paths[1]), str(paths[0]))
    assert "x.npz" in result["note"]
    lines: list[str] = []
    score.run(paths, echo=lines.append)
    assert "strong.npz minus " in lines[0]
    assert "better in 100.0 % of samples, beyond noise" in lines[0]
    assert lines[0].endswith(f"different (valid) queries: {paths[2]}")


def test_queries_of_other_names_are_not_compared(tmp_path: Path) -> None:
    """Strings are numbered in each file for itself: the same number may be another person."""
    paths = []
    for letter in "abc":
        found = arrays()
        for side in ("query", "gallery"):
            found[f"{side}_pids"] = np.char.add("b" if letter == "c" else letter, found[f"{side}_pids"].astype(str))
        paths.append(save(tmp_path / f"{letter}.npz", found))
    assert run_json(*paths[:2])["comparisons"] == []
    assert len(run_json(*paths[1:])["comparisons"]) == 3


def test_a_file_and_itself_are_within_noise(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", arrays())
    result = run_json(path, path)
    assert all(found["within_noise"] and found["difference"] == 0 for found in result["comparisons"])
    assert result["note"] == ""


# ------------------------------------------------------------------------------------------------ formats


LAYUMI = {
    "query_features": "query_f", "query_pids": "query_label", "query_camids": "query_cam",
    "gallery_features": "gallery_f", "gallery_pids": "gallery_label", "gallery_camids": "gallery_cam",
}  # fmt: skip


def matlab(found: dict[str, Any]) -> dict[str, Any]:
    """As pytorch_result.mat: 1 x N labels, here as doubles, which MATLAB makes of them."""
    return {LAYUMI[key]: value if value.ndim == 2 else value[None].astype(float) for key, value in found.items()}


def test_mat(tmp_path: Path) -> None:
    found = arrays()
    scipy.io.savemat(tmp_path / "pytorch_result.mat", matlab(found))
    assert run_json(tmp_path / "pytorch_result.mat")["mAP"] == expected(found).mAP


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("names", ["ours", "theirs"])
def test_pt(tmp_path: Path, dtype: str, names: str) -> None:
    torch = pytest.importorskip("torch")
    found = arrays()
    tensors = {key: torch.from_numpy(value) for key, value in found.items()}
    for side in ("query_features", "gallery_features"):
        tensors[side] = tensors[side].to(getattr(torch, dtype))
        found[side] = tensors[side].float().numpy()
    if names == "theirs":
        tensors = {LAYUMI[key]: value for key, value in tensors.items()}
    torch.save(tensors, tmp_path / "a.pt")
    assert run_json(tmp_path / "a.pt")["mAP"] == expected(found).mAP


def test_float16_and_compressed(tmp_path: Path) -> None:
    found = arrays()
    for side in ("query_features", "gallery_features"):
        found[side] = found[side].astype(np.float16)
    np.savez_compressed(tmp_path / "a.npz", **found)
    assert run_json(tmp_path / "a.npz")["mAP"] == expected(found).mAP


def test_big_endian_and_unsigned(tmp_path: Path) -> None:
    found = arrays()
    reference = expected(found).mAP
    found["query_features"] = found["query_features"].astype(">f4")
    found["query_pids"] = found["query_pids"].astype(np.uint16)
    found["gallery_pids"] = found["gallery_pids"].astype(">i8")
    assert run_json(save(tmp_path / "a.npz", found))["mAP"] == reference


# ------------------------------------------------------------------------------------------------ imports


@pytest.mark.slow
@pytest.mark.parametrize("rerank_by", [None, "zhong"])
def test_scoring_does_not_import_torch(tmp_path: Path, rerank_by: str | None) -> None:
    path = save(tmp_path / "a.npz", arrays())
    code = (
        "import sys, pathlib, reidbench.scoring.score as score\n"
        "assert not {'torch', 'faiss', 'sklearn', 'scipy'} & set(sys.modules), 'imported too early'\n"
        f"score.run([pathlib.Path({str(path)!r})], rerank={rerank_by!r})\n"
        "print(sorted({'torch', 'faiss', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[]\n")


@pytest.mark.long
def test_a_file_of_market_size_without_torch(tmp_path: Path) -> None:
    rng, people = np.random.default_rng(0), 750
    query_pids, gallery_pids = rng.integers(1, people, 3_368), rng.integers(-1, people, 15_913)
    path = save(
        tmp_path / "market.npz",
        {
            "query_pids": query_pids,
            "query_camids": rng.integers(6, size=3_368),
            "gallery_pids": gallery_pids,
            "gallery_camids": rng.integers(6, size=15_913),
            "query_features": rng.normal(size=(3_368, 2_048)).astype(np.float16),
            "gallery_features": rng.normal(size=(15_913, 2_048)).astype(np.float16),
        },
    )
    code = (
        "import sys, pathlib, reidbench.scoring.score as score\n"
        f"score.run([pathlib.Path({str(path)!r})], as_json=True)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["num_queries"] == 3_368


def test_files_with_different_galleries_are_not_compared(tmp_path: Path) -> None:
    """Without its distractors, any network has a higher mAP; the order of the rows and junk do not matter."""
    whole = arrays()
    sides = [name for name in whole if name.startswith("gallery")]
    kept = {name: whole[name][whole["gallery_pids"] != 0] for name in sides}
    junk = {name: whole[name][whole["gallery_pids"] != -1][::-1] for name in sides}
    assert 0 < len(kept["gallery_pids"]) < len(whole["gallery_pids"])
    files = [save(tmp_path / f"{name}.npz", whole | more) for name, more in (("a", {}), ("b", kept), ("c", junk))]
    result = run_json(*files)
    assert {one["file"] for one in result["comparisons"]} == {str(files[2])}
    assert (
        f"because they have different galleries: other pids, camids or numbers of images: {files[1]}" in result["note"]
    )
