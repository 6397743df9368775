"""Files of named arrays as other programs save them."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch

from reidbench.errors import DataError
from reidbench.metrics import Rules, rank, rank_distances
from tests.support.scores import OURS, arrays, expected, scored

NAMES = {
    "torchreid": ("qf", "q_pids", "q_camids", "gf", "g_pids", "g_camids"),
    "layumi": ("query_f", "query_label", "query_cam", "gallery_f", "gallery_label", "gallery_cam"),
    "fast-reid": ("query_feat", "query_pids", "query_camids", "gallery_feat", "gallery_pids", "gallery_camids"),
    "others": ("Query_Feats", "query_ids", "query_cams", "Gallery_Feats", "gallery_ids", "gallery_cams"),
}


def renamed(found: dict[str, Any], program: str) -> dict[str, Any]:
    return dict(zip(NAMES[program], (found[name] for name in OURS), strict=True))


def as_npz(folder: Path, content: dict[str, Any]) -> Path:
    np.savez(folder / "a.npz", **content)
    return folder / "a.npz"


def as_mat(folder: Path, content: dict[str, Any]) -> Path:
    scipy.io.savemat(folder / "a.mat", content)
    return folder / "a.mat"


def as_old_mat(folder: Path, content: dict[str, Any]) -> Path:
    scipy.io.savemat(folder / "a.mat", content, format="4")
    return folder / "a.mat"


def as_pt(folder: Path, content: dict[str, Any]) -> Path:
    torch.save(content, folder / "a.pth")
    return folder / "a.pth"


def as_tensors(folder: Path, content: dict[str, Any]) -> Path:
    plain = {key: value if value.dtype.kind == "U" else torch.from_numpy(value) for key, value in content.items()}
    return as_pt(folder, plain)


def as_tensors_with_arrays(folder: Path, content: dict[str, Any]) -> Path:
    """Features as tensors, labels as numpy arrays."""
    return as_pt(folder, {k: torch.from_numpy(v) if v.ndim == 2 else v for k, v in content.items()})


def as_lists(folder: Path, content: dict[str, Any]) -> Path:
    return as_pt(folder, {key: value.tolist() for key, value in content.items()})


def as_lists_of_tensors(folder: Path, content: dict[str, Any]) -> Path:
    plain = {k: v.tolist() if v.dtype.kind == "U" else list(torch.from_numpy(v)) for k, v in content.items()}
    return as_pt(folder, plain)


def as_folder(folder: Path, content: dict[str, Any]) -> Path:
    for key, value in content.items():
        np.save(folder / f"{key}.npy", value)
    (folder / "README.txt").write_text("what this is")
    return folder


FORMS = (
    as_npz, as_mat, as_old_mat, as_pt, as_tensors, as_tensors_with_arrays, as_lists, as_lists_of_tensors, as_folder,
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("program", NAMES)
def test_every_form_and_every_name(tmp_path: Path, program: str, form: Any) -> None:
    found = arrays()
    result = scored(form(tmp_path, {**renamed(found, program), "mquery_f": np.zeros((2, 3)), "epoch": np.ones(1)}))
    assert result["mAP"] == expected(found)
    assert result["warnings"] == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", ["p{:02d}", "{:04d}"])
def test_labels_that_are_texts(tmp_path: Path, form: Any, text: str) -> None:
    found = arrays()
    given = dict(found)
    for side in ("query", "gallery"):
        given[f"{side}_pids"] = np.array(["-1" if pid < 0 else text.format(pid) for pid in found[f"{side}_pids"]])
        given[f"{side}_camids"] = np.array([f"c{camid}s1" for camid in found[f"{side}_camids"]])
    result = scored(form(tmp_path, given))
    assert result["mAP"] == expected(found)
    assert result["filtered"]["junk"] == int((found["gallery_pids"] == -1).sum())
    (text_of_camera,) = result["warnings"]  # of one query that is invalid
    assert text_of_camera.startswith("text labels are numbered: ")


def test_queries_without_a_match_are_named_by_their_texts(tmp_path: Path) -> None:
    found = arrays()
    found["query_pids"] = np.array(["zoe", *(f"p{pid}" for pid in found["query_pids"][1:])])
    found["gallery_pids"] = np.array([f"p{pid}" for pid in found["gallery_pids"]])
    people = sorted({*found["query_pids"].tolist(), *found["gallery_pids"].tolist()})
    result = scored(as_npz(tmp_path, found))
    number = people.index("zoe") + 1
    assert result["invalid_queries"]["first"][0].startswith(f"query 0 (pid {number}, ")
    (text,) = result["warnings"]
    assert text.startswith(f"text labels are numbered: pid {number} is 'zoe'")
    found["query_pids"] = np.array(["zoe"] * 12)
    with pytest.raises(DataError, match=rf"no query has a true match.*text labels are numbered: pid {number} is"):
        scored(as_npz(tmp_path, found))


def test_cells_of_matlab(tmp_path: Path) -> None:
    found = arrays()
    for side in ("query", "gallery"):
        cell = np.empty((1, len(found[f"{side}_pids"])), dtype=object)
        cell[0] = [f"{pid:04d}" if pid >= 0 else "-1" for pid in found[f"{side}_pids"]]
        found[f"{side}_pids"], reference = cell, found[f"{side}_pids"]
    scipy.io.savemat(tmp_path / "a.mat", found)
    assert scored(tmp_path / "a.mat")["mAP"] == expected(arrays())
    assert reference.dtype == np.int64


def test_dictionaries_in_a_dictionary(tmp_path: Path) -> None:
    found = arrays()
    parts = {
        side: {key: found[f"{side}_{key}"] for key in ("features", "pids", "camids")} for side in ("query", "gallery")
    }
    assert scored(as_pt(tmp_path, parts))["mAP"] == expected(found)


@pytest.mark.parametrize("form", [as_npz, as_mat, as_pt, as_folder])
def test_a_distmat_with_the_labels_of_layumi(tmp_path: Path, form: Any) -> None:
    found = renamed(arrays(), "layumi")
    distances = np.random.default_rng(1).random((12, 60))
    labels = [found.pop(name) for name in ("query_label", "query_cam", "gallery_label", "gallery_cam")]
    names = ("query_label", "query_cam", "gallery_label", "gallery_cam")
    path = form(tmp_path, {"distmat": distances, **dict(zip(names, labels, strict=True))})
    result = scored(path)
    assert result["mAP"] == rank_distances(distances, *labels).mAP
    assert result["warnings"] == []
    closer = distances + (labels[0][:, None] == labels[2])
    (text,) = scored(form(tmp_path, {"distmat": closer, **dict(zip(names, labels, strict=True))}))["warnings"]
    assert text.startswith("distmat: distances are larger for true matches than for others (mean 1.")


@pytest.mark.parametrize("form", [as_npz, as_mat, as_pt, as_folder])
@pytest.mark.parametrize("marked", ["num_query", "part"])
def test_one_array_for_queries_and_gallery(tmp_path: Path, marked: str, form: Any) -> None:
    found = arrays()
    sides = ("query", "gallery")
    stacked = {
        key: np.concatenate([found[f"{side}_{key}"] for side in sides]) for key in ("features", "pids", "camids")
    }
    parts = np.array([side for side in sides for _ in found[f"{side}_pids"]])
    given = {"num_query": np.array(12)} if marked == "num_query" else {"part": parts}
    assert scored(form(tmp_path, {**stacked, **given}))["mAP"] == expected(found)


def test_one_array_that_does_not_say_which_rows_are_queries(tmp_path: Path) -> None:
    whole = {"feats": np.ones((4, 2)), "pids": np.ones(4, int), "camids": np.arange(4)}
    for more, message in (
        (
            {},
            r"one array of all features requires pids, camids and num_query \(number of queries, the first rows\) or",
        ),
        (
            {"num_query": 4},
            r"num_query is 4; it must be a whole number from 1 to 3, the number of queries in the first rows",
        ),
        ({"num_query": 1.5}, r"num_query is 1\.5; it must be a whole number"),
        ({"num_query": np.nan}, "num_query is nan; it must be a whole number"),
        ({"num_query": [1, 2]}, r"num_query is an array of shape \(2,\); it must be a whole number"),
        ({"part": ["query", "x", "gallery", "gallery"]}, "row 1: unknown part 'x'; use query, gallery or train"),
        ({"num_query": 1, "part": ["query"] * 3 + ["gallery"]}, "num_query is 1 but part has 3 queries; remove one"),
        ({"num_query": 1, "pids": np.ones(3, int)}, "feats has 4 rows but pids has 3 entries"),
    ):
        with pytest.raises(DataError, match=message):
            scored(as_npz(tmp_path, {**whole, **more}))
    del whole["camids"]
    with pytest.raises(DataError, match=r"missing camids .*; to score without the camera rule: --no-camera"):
        scored(as_npz(tmp_path, {**whole, "num_query": 1}))
    assert scored(as_npz(tmp_path, {**whole, "num_query": 1}), camera=False)["num_queries"] == 1


def test_without_cameras(tmp_path: Path) -> None:
    found = arrays()
    reference = rank(*(found[name] for name in OURS), Rules(camera="none")).mAP
    bare = {name: value for name, value in found.items() if "camids" not in name}
    path = as_npz(tmp_path, bare)
    assert scored(path, camera=False)["mAP"] == reference
    with pytest.raises(DataError) as caught:
        scored(path)
    assert str(caught.value) == (
        f"{path}: missing query_camids (or q_camids, query_cam, ...), gallery_camids (or g_camids, gallery_cam, ...); "
        "the file has: gallery_features, gallery_pids, query_features, query_pids; "
        "to score without the camera rule: --no-camera"
    )
    assert scored(as_npz(tmp_path, {**bare, "query_camids": found["query_camids"]}), camera=False)["mAP"] == reference


def test_cameras_that_are_unknown_are_said_where_the_camera_rule_holds(tmp_path: Path) -> None:
    path = as_npz(tmp_path, {**arrays(), "query_camids": np.full(12, -1)})
    (text,) = scored(path)["warnings"]
    assert text.startswith("12 of 12 query_camids and 0 of 60 gallery_camids are negative")
    assert scored(path, camera=False)["warnings"] == []


def test_binary_codes(tmp_path: Path) -> None:
    """Signs of the features as True and False, which are compared as 1 and 0."""
    found = arrays(dim=16)
    for name in ("query_features", "gallery_features"):
        found[name] = found[name] > 0
    numbers = {name: value.astype(float) if "features" in name else value for name, value in found.items()}
    assert scored(as_npz(tmp_path, found))["mAP"] == expected(numbers)
    assert scored(as_tensors(tmp_path, found))["mAP"] == expected(numbers)


def test_an_archive_with_two_arrays_of_one_name(tmp_path: Path) -> None:
    path = as_npz(tmp_path, arrays())
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr("query_pids.npy", archive.read("gallery_pids.npy"))
    with pytest.raises(DataError, match=r"a\.npz: contains query_pids twice; save it again with numpy\.savez"):
        scored(path)


def test_two_names_for_one_thing(tmp_path: Path) -> None:
    found = arrays()
    same = {**found, "q_pids": found["query_pids"][None].astype(float)}
    assert scored(as_npz(tmp_path, same))["mAP"] == expected(found)
    with pytest.raises(
        DataError, match=r"'query_pids' and 'q_pids' both mean query_pids but differ; remove or rename one"
    ):
        scored(as_npz(tmp_path, {**found, "q_pids": found["query_pids"] + 1}))


def test_similarities_by_name(tmp_path: Path) -> None:
    found = {name: value for name, value in arrays().items() if "features" not in name}
    with pytest.raises(DataError, match=r"missing query_features .*negate 'sim_mat', since smaller is nearer"):
        scored(as_npz(tmp_path, {**found, "sim_mat": np.zeros((12, 60))}))


def test_training_persons_and_distractors_are_said(tmp_path: Path) -> None:
    found = arrays()
    result = scored(as_npz(tmp_path, {**found, "train_pids": np.arange(8, 20)}))
    assert result["mAP"] == expected(found)
    (text,) = result["warnings"]
    both = len({8, 9} & set(found["query_pids"].tolist()))
    assert text.startswith(f"{both} of the {len(set(found['query_pids'].tolist()))} query identities have a pid")
    shifted = {**found, "query_pids": found["query_pids"] - 1, "gallery_pids": found["gallery_pids"] - 1}
    (text,) = scored(as_npz(tmp_path, shifted))["warnings"]
    assert "pid 0, which marks distractors in Market-1501" in text


def test_partly_texts(tmp_path: Path) -> None:
    found = arrays()
    found["gallery_pids"] = np.array([f"{pid}" if pid < 8 else f"p{pid}" for pid in found["gallery_pids"]])
    text, _ = scored(as_npz(tmp_path, found))["warnings"]
    assert text.startswith("the pids mix numbers and text and are compared as text")


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("suffix", [".npz", ".mat", ".pt", ".csv", ".parquet"])
def test_an_empty_file_is_called_empty(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").touch()
    with pytest.raises(DataError, match=rf"a\{suffix}: is empty \(0 bytes\)"):
        scored(tmp_path / f"a{suffix}")


def test_folders_that_hold_no_arrays(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"this folder has no \.npy files; score reads folders of query_features\.npy"):
        scored(tmp_path)
    as_npz(tmp_path, arrays())
    with pytest.raises(DataError, match=r"did you mean .*a\.npz\?"):
        scored(tmp_path)
    path = as_folder(tmp_path, arrays())
    (path / "query_pids.npy").write_bytes(b"")
    with pytest.raises(DataError, match=r"query_pids\.npy cannot be read \(it is empty"):
        scored(path)
    np.save(path / "query_pids.npy", np.array(["a", None], dtype=object))
    with pytest.raises(DataError, match=r"query_pids\.npy contains pickled Python objects, .*save numbers, or strings"):
        scored(path)


def test_one_array_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"a\.npy: not a supported feature file.* in one folder and name the folder"):
        scored(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "contains a list, not a dictionary of tensors; save it with torch.save"),
        ({**arrays(), "query_pids": [torch.zeros(2), torch.zeros(3)]}, "query_pids is not a plain array .*torch.cat"),
        ({**arrays(), "query_pids": [[[1]]]}, "query_pids is not a plain array .*nested too deep"),
        (
            {**arrays(), "query_pids": ["a", 1, None]},
            "query_pids must contain whole numbers or strings, not Python objects",
        ),
        ({**arrays(), "query_pids": {"a": 1}}, "query_pids must contain whole numbers or strings"),
    ],
    ids=range(5),
)
def test_what_pt_files_may_hold_instead(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        scored(as_pt(tmp_path, content))


def test_lists_that_claim_more_than_the_file(tmp_path: Path) -> None:
    """A pickle names one row, or one text, as often as it likes in two bytes each."""
    row, text = list(range(1000)), "x" * 5_000_000
    for claim in ([row] * 10_000, [torch.zeros(4000)] * 3000, [text] * 200_000):
        with pytest.raises(DataError, match=r"query_pids is not a plain array .*its declared size exceeds the file"):
            scored(as_pt(tmp_path, {**arrays(), "query_pids": claim}))


def test_structs_of_matlab(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {**arrays(), "query_pids": {"x": 1}})
    with pytest.raises(DataError, match="query_pids must contain real numbers or strings, not struct"):
        scored(tmp_path / "a.mat")


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"MATLAB 7.3 MAT-file", r"a MATLAB 7\.3 \(HDF5\) file"), (b"1 2 3\n", "not a MATLAB file")],
)
def test_mat_files_of_another_kind(tmp_path: Path, start: bytes, kind: str) -> None:
    (tmp_path / "a.mat").write_bytes(start.ljust(600, b" "))
    with pytest.raises(DataError, match=rf"a\.mat: {kind}; save it in MATLAB with -v7, or with scipy\.io\.savemat"):
        scored(tmp_path / "a.mat")


def test_labels_of_a_half_type_without_the_bits_for_them(tmp_path: Path) -> None:
    """bfloat16 has 8 bits: 257 would become 256."""
    import torch

    from reidbench.scoring.featurefile import read_features

    def saved(first: int) -> Path:
        labels = {"query_pids": torch.tensor([first, 2]), "gallery_pids": torch.tensor([2, first])}
        vectors = {f"{side}_features": torch.eye(2, dtype=torch.bfloat16) * 300 for side in ("query", "gallery")}
        cameras = {"query_camids": torch.tensor([0, 0]), "gallery_camids": torch.tensor([1, 1])}
        torch.save({k: v.to(torch.bfloat16) for k, v in labels.items()} | vectors | cameras, tmp_path / "a.pt")
        return tmp_path / "a.pt"

    assert read_features(saved(255)).query_pids.tolist() == [255, 2]
    with pytest.raises(
        DataError, match=r"query_pids is not a plain array .bfloat16 holds whole numbers exactly only below 256"
    ):
        read_features(saved(257))


def test_a_nested_key_that_is_also_at_the_top_is_refused(tmp_path: Path) -> None:
    import torch

    from reidbench.scoring.sources import open_source

    torch.save({"query": {"features": torch.eye(2)}, "query_features": torch.ones(2, 2)}, tmp_path / "a.pt")
    with pytest.raises(DataError, match="'query_features' is also 'features' of 'query'; remove one of them"):
        open_source(tmp_path / "a.pt")
