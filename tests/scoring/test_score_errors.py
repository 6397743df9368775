"""Files that cannot be scored: one sentence each, with the file and the key."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from reidbench.errors import DataError, ReidbenchError
from reidbench.metrics import Rules
from reidbench.scoring import score


def arrays(gallery: int = 300) -> dict[str, Any]:
    """Forty queries of people who are all in the gallery."""
    rng = np.random.default_rng(0)
    found = {
        "query_pids": rng.integers(1, 30, 40),
        "query_camids": rng.integers(4, size=40),
        "gallery_pids": rng.integers(-1, 30, gallery),
        "gallery_camids": rng.integers(4, size=gallery),
    }
    for side, rows in (("query", 40), ("gallery", gallery)):
        found[f"{side}_features"] = rng.normal(size=(rows, 16)).astype(np.float32)
    return found


def save(path: Path, found: dict[str, Any]) -> Path:
    np.savez(path, **found)
    return path


def broken(key: str, value: Any) -> Any:
    def change(found: dict[str, Any]) -> None:
        found[key] = value(found[key]) if callable(value) else value

    return change


def put(row: Any, value: Any) -> Any:
    def change(array: Any) -> Any:
        array = array.copy()
        array[row] = value
        return array

    return change


def renamed(old: str, new: str) -> Any:
    def change(found: dict[str, Any]) -> None:
        found[new] = found.pop(old)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            renamed("query_camids", "query_camis"),
            r"missing query_camids \(or q_camids, query_cam, \.\.\.\); the file has: gallery_camids, .*; "
            r"did you mean 'query_camis'\? rename it to 'query_camids'; to score without the camera rule: --no-camera",
        ),
        (
            renamed("query_features", "zzz"),
            r"missing query_features \(or qf, query_f, query_feat, \.\.\.\); the file has: .*zzz; "
            r"a distance matrix \[queries, gallery\] can replace features",
        ),
        (broken("gallery_features", put((3, 1), np.nan)), "gallery_features row 3 contains NaN or infinity"),
        (broken("query_features", put((2, 0), -np.inf)), "query_features row 2 contains NaN or infinity"),
        (broken("query_features", lambda a: a[:-1]), "query_features has 39 rows but query_pids has 40 entries"),
        (broken("gallery_camids", lambda a: a[1:]), "gallery_camids has 299 entries but gallery_pids has 300 entries"),
        (broken("query_features", lambda a: a[:, :3]), "query_features 3 but gallery_features 16 dimensions"),
        (broken("query_features", lambda a: a[:, :, None]), "query_features must have two dimensions"),
        (
            broken("query_features", lambda a: a.astype(complex)),
            "query_features must contain real numbers, not complex128",
        ),
        (broken("query_pids", lambda a: a + 500), "no query has a true match"),
        (broken("query_pids", lambda a: a + 0.5), r"query_pids\[0\] = \d+\.5 is not an integer"),
        (broken("query_pids", lambda a: np.where(a > 0, np.nan, 0.0)), r"query_pids\[0\] = nan is not an integer"),
        (
            broken("gallery_pids", lambda a: put(5, 2**63)(a.clip(0).astype(np.uint64))),
            r"gallery_pids\[5\] = 92\d+ overflows",
        ),
        (
            broken("gallery_pids", lambda a: put(5, 1e300)(a.astype(float))),
            r"gallery_pids\[5\] = 1e\+300 may be rounded",
        ),
        (
            broken("query_pids", lambda a: a.astype("M8[s]")),
            "query_pids must contain whole numbers or strings, not datetime64",
        ),
        (broken("query_features", lambda a: a.astype(str)), "query_features must contain real numbers, not <U"),
        (
            broken("query_features", lambda a: np.resize(a.T, (16, 40))),
            "query_features has 16 rows but query_pids has 40 entries; transpose it: one row per image",
        ),
        (broken("query_pids", lambda a: a.reshape(2, 20)), r"query_pids must have one dimension, not shape \(2, 20\)"),
    ],
)
def test_contents_that_cannot_be_scored(tmp_path: Path, change: Any, message: str) -> None:
    found = arrays()
    change(found)
    path = save(tmp_path / "a.npz", found)
    for rerank_by in (None, "zhong"):
        with pytest.raises(ReidbenchError, match=rf"a\.npz: {message}") as error:
            score.run([path], rerank=rerank_by)
        assert "\n" not in str(error.value)


def test_a_huge_pid_is_a_pid(tmp_path: Path) -> None:
    found = arrays()
    found["query_pids"][1] = 2**62
    (report,) = score.score([save(tmp_path / "a.npz", found)])
    assert report.ranking.num_valid == 39


def test_an_empty_side(tmp_path: Path) -> None:
    found = arrays(gallery=0)
    with pytest.raises(ReidbenchError, match=r"a\.npz: the gallery is empty"):
        score.run([save(tmp_path / "a.npz", found)])
    found = {name: value[:0] if name.startswith("query") else value for name, value in arrays().items()}
    with pytest.raises(ReidbenchError, match=r"a\.npz: there are no queries"):
        score.run([save(tmp_path / "a.npz", found)])


def test_one_camera_for_all_images_names_the_switch(tmp_path: Path) -> None:
    """Every true match is of the query's own camera, and so left out."""
    found = arrays() | {"query_camids": np.zeros(40, int), "gallery_camids": np.zeros(300, int)}
    path = save(tmp_path / "a.npz", found)
    with pytest.raises(ReidbenchError, match=r"a\.npz: no query has a true match.* own camera only; .*use --no-camera"):
        score.run([path])
    assert score.score([path], Rules(camera="none"))[0].ranking.num_valid == 40


def test_features_are_named_as_the_file_names_them_and_cures_by_their_switch(tmp_path: Path) -> None:
    found = arrays()
    renamed("gallery_features", "gf")(found)
    with pytest.raises(ReidbenchError, match=r"a\.npz: gf row 3 contains NaN or infinity"):
        score.run([save(tmp_path / "a.npz", found | {"gf": put((3, 1), np.nan)(found["gf"])})])
    with pytest.raises(ReidbenchError, match=r"a\.npz: gf row 3 is a zero vector.*, or .* --distance euclidean$"):
        score.run([save(tmp_path / "a.npz", found | {"gf": put(3, 0)(found["gf"])})])
    bare = {key: value for key, value in arrays().items() if "features" not in key}
    with pytest.raises(
        ReidbenchError, match=r"a\.npz: distmat row 17 contains NaN or infinity; .* a large finite number"
    ):
        score.run([save(tmp_path / "a.npz", bare | {"distmat": put((17, 5), np.inf)(np.zeros((40, 300)))})])


def test_lengths_beyond_float32(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    found = arrays()
    found["query_features"] = found["query_features"].astype(float) * 1e200
    with pytest.raises(ReidbenchError, match=r"query_features row 0 has length .*; divide the features so that"):
        score.run([save(tmp_path / "a.npz", found)])
    assert not recwarn.list


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_distances_that_are_not_finite(tmp_path: Path, value: float) -> None:
    found = {key: value for key, value in arrays().items() if "features" not in key}
    distances = np.zeros((40, 300))
    distances[17, 5] = value
    with pytest.raises(ReidbenchError, match=r"a\.npz: distances row 17 contains NaN or infinity"):
        score.run([save(tmp_path / "a.npz", found | {"distances": distances})])
    with pytest.raises(ReidbenchError, match=r"a\.npz: distances has shape \(40, 299\)"):
        score.run([save(tmp_path / "a.npz", found | {"distances": distances[:, 1:]})])
    with pytest.raises(
        ReidbenchError, match=r"a\.npz: dist_mat has shape \(300, 40\) .*; transpose it: one row per query"
    ):
        score.run([save(tmp_path / "a.npz", found | {"dist_mat": distances.T})])


def test_python_objects_are_refused(tmp_path: Path) -> None:
    found = arrays()
    found["query_pids"] = found["query_pids"].astype(object)
    with pytest.raises(
        DataError, match=r"a\.npz: query_pids\.npy contains pickled Python objects, which could run code"
    ):
        score.run([save(tmp_path / "a.npz", found)])


def test_a_pickle_is_refused_as_pt(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with (tmp_path / "a.pt").open("wb") as file:
        pickle.dump({"query_pids": Path("x")}, file)
    with pytest.raises(DataError, match=r"a\.pt: "):
        score.run([tmp_path / "a.pt"])


@pytest.mark.parametrize("keep", [0, 10, 1_000, 20_000])
@pytest.mark.parametrize("suffix", [".npz", ".mat", ".pt"])
def test_truncated_files(tmp_path: Path, suffix: str, keep: int) -> None:
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    if suffix == ".npz":
        np.savez(whole, **arrays())
    elif suffix == ".mat":
        scipy.io.savemat(whole, arrays())
    else:
        torch = pytest.importorskip("torch")
        torch.save({key: torch.from_numpy(value) for key, value in arrays().items()}, whole)
    cut.write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(DataError, match=rf"cut{suffix}: "):
        score.read_features(cut)


def test_a_flipped_byte(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", arrays())
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"a\.npz: .* cannot be read"):
        score.read_features(path)


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ReidbenchError, match=r"none\.npz: no such file"):
        score.run([tmp_path / "none.npz"])
    with pytest.raises(ReidbenchError, match=r"a\.csv: no such file"):
        score.run([tmp_path / "a.csv"])
    (tmp_path / "a.pkl").touch()
    with pytest.raises(
        ReidbenchError,
        match=r"a\.pkl: not a supported feature file; score reads \.npz, \.mat, \.pt, .*; a pickle can run code",
    ):
        score.run([tmp_path / "a.pkl"])
    np.save(tmp_path / "a.npy", np.ones(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"a\.npz: .* cannot be read"):
        score.run([tmp_path / "a.npz"])


def test_options_that_do_not_exist(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", arrays())
    for options, message in (
        ({"ap": "auc"}, "rule ap='auc' is unknown; choose one of step, trapezoid"),
        ({"distance": "l1"}, "rule distance='l1' is unknown"),
        ({"rerank": "gcn"}, "re-ranking 'gcn' is unknown; choose one of zhong, torchreid, fastreid"),
        ({"rerank": "zhong", "k1": 0}, "k1=0"),
        ({"rerank": "zhong", "lambda_": 2.0}, "lambda between 0 and 1"),
    ):
        with pytest.raises(ReidbenchError, match=message):
            score.run([path], **options)  # type: ignore[arg-type]
