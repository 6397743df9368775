"""Features with image names: labels from Market-1501's names, or from a manifest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from reidbench.errors import DataError
from reidbench.metrics import Rules, rank
from tests.support.scores import OURS, arrays, expected, scored


def market(found: dict[str, Any], root: str = "/data/m", gallery: str = "bounding_box_test") -> tuple[list[str], Any]:
    """Names and features of all images, the queries first."""
    names = []
    for side, folder in (("query", "query"), ("gallery", gallery)):
        for row, (pid, camid) in enumerate(zip(found[f"{side}_pids"], found[f"{side}_camids"], strict=True)):
            pid_text = "-1" if pid < 0 else f"{pid:04d}"
            names.append(f"{root}/{folder}/{pid_text}_c{camid + 1}s1_{row:06d}_00.jpg")
    return names, np.concatenate([found["query_features"], found["gallery_features"]])


def save(path: Path, names: list[str], features: Any) -> Path:
    np.savez(path, names=np.array(names), features=features)
    return path


@pytest.mark.parametrize("root", ["/data/m", "m", "..", "D:\\data\\m", "/old/query/m"])
@pytest.mark.parametrize("gallery", ["bounding_box_test", "gallery", "Gallery"])
def test_names_of_market(tmp_path: Path, root: str, gallery: str) -> None:
    found = arrays()
    names, features = market(found, root, gallery)
    if "\\" in root:
        names = [name.replace("/", "\\") for name in names]
    result = scored(save(tmp_path / "a.npz", names, features))
    assert result["mAP"] == expected(found)
    assert result["filtered"]["junk"] == int((found["gallery_pids"] == -1).sum())
    assert result["warnings"] == []


@pytest.mark.parametrize("kind", ["char", "cell"])
def test_a_mat_file(tmp_path: Path, kind: str) -> None:
    found = arrays()
    names, features = market(found)
    given = np.array(names, dtype=object)[:, None] if kind == "cell" else np.array(names)
    scipy.io.savemat(tmp_path / "a.mat", {"names": given, "features": features})
    assert scored(tmp_path / "a.mat")["mAP"] == expected(found)


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    found = arrays()
    names, features = market(found)
    more = [
        "/data/m/query/cover.jpg",
        "/data/m/0001_c1s1_000000_00.jpg",
        "/data/m/bounding_box_train/0001_c1s1_0_0.jpg",
    ]
    extra = np.ones((3, 5), np.float32)
    doubled = [names[3], names[20]]
    path = save(
        tmp_path / "a.npz", names + more + doubled, np.concatenate([features, extra, features[3:4], features[20:21]])
    )
    result = scored(path)
    assert result["mAP"] == expected(found)
    assert result["num_queries"] == 12
    once, unnamed, elsewhere, trained = result["warnings"]
    assert once == f"2 images skipped (repeated, with equal features): {names[3]}, {names[20]}"
    assert unnamed == f"1 image skipped (no pid and camera in the name): {more[0]}"
    assert elsewhere.endswith(f": {more[1]}")
    assert trained.startswith("1 of the ")
    other = np.concatenate([features, features[:1] + 1])
    with pytest.raises(DataError, match=r"m/query/.*jpg twice, with different features \(rows 0 and 72\)"):
        scored(save(tmp_path / "a.npz", [*names, names[0]], other))


def test_labels_beside_the_names_are_said_to_be_unused(tmp_path: Path) -> None:
    found = arrays()
    names, features = market(found)
    np.savez(tmp_path / "a.npz", names=np.array(names), features=features, pids=np.arange(72))
    result = scored(tmp_path / "a.npz")
    assert result["mAP"] == expected(found)
    (text,) = result["warnings"]
    assert text.startswith("pids of the file is ignored: labels come from the image names or the manifest; ")


def test_cameras_that_are_numbered_from_0(tmp_path: Path) -> None:
    found = arrays()
    names, features = market(found)
    assert {0, 1} <= set(found["query_camids"].tolist())
    names = [re.sub(r"_c([0-9])", lambda match: f"_c{int(match[1]) - 1}", name) for name in names]
    result = scored(save(tmp_path / "a.npz", names, features))
    assert result["mAP"] == expected(found)
    assert result["warnings"] == []


def test_names_that_say_nothing(tmp_path: Path) -> None:
    message = (
        r"a\.npz: contains no query images: names must look like query/0002_c1s1_000451_03\.jpg, .* a\.jpg, b\.jpg, .*"
        r"--manifest FILE\.csv"
    )
    with pytest.raises(DataError, match=message):
        scored(save(tmp_path / "a.npz", ["a.jpg", "b.jpg", "\x1b[2J.jpg"], np.ones((3, 2))))
    strange = ["query/0001_c1s1_0_0.jpg", "test/0001_c2s1_0_0.jpg"]  # the one that has no place is named
    with pytest.raises(
        DataError, match=r"contains no gallery images: .*, but are test/0001_c2s1_0_0\.jpg; label other"
    ):
        scored(save(tmp_path / "a.npz", strange, np.ones((2, 2))))
    with pytest.raises(DataError, match="features has 2 rows but names has 1 entries"):
        scored(save(tmp_path / "a.npz", ["a.jpg"], np.ones((2, 2))))
    np.savez(tmp_path / "b.npz", features=np.ones((2, 2)))
    with pytest.raises(DataError, match=r"or the image names, see --manifest"):
        scored(tmp_path / "b.npz")


# ------------------------------------------------------------------------------------------------ manifests


def manifest(folder: Path, found: dict[str, Any], camid: bool = True, prefix: str = "") -> tuple[Path, list[str]]:
    """A manifest whose paths are the names of images; its pids are those of the arrays."""
    lines, names = ["path,pid,split" + ",camid" * camid], []
    for side in ("query", "gallery"):
        for row, (pid, cam) in enumerate(zip(found[f"{side}_pids"], found[f"{side}_camids"], strict=True)):
            names.append(f"{side[0]}/img{row}.png")
            lines.append(f"{prefix}{names[-1]},{pid},{side}" + f",{cam}" * camid)
    path = folder / "m.csv"
    path.write_text("\n".join([*lines, f"{prefix}t/a.png,900,train" + ",0" * camid]) + "\n")
    return path, names


@pytest.mark.parametrize("root", ["", "/data/own/", "../own/"])
def test_a_manifest_labels_images_in_any_order(tmp_path: Path, root: str) -> None:
    found = arrays()
    file, names = manifest(tmp_path, found)
    features = np.concatenate([found["query_features"], found["gallery_features"]])
    order = np.random.default_rng(2).permutation(len(names))
    path = save(tmp_path / "a.npz", [root + names[row] for row in order], features[order])
    result = scored(path, manifest=file)
    assert result["mAP"] == expected(found)
    assert result["warnings"] == []


def test_missing_and_surplus_images_are_named(tmp_path: Path) -> None:
    found = arrays()
    file, names = manifest(tmp_path, found)
    features = np.concatenate([found["query_features"], found["gallery_features"]])
    path = save(tmp_path / "a.npz", [*names[:-2], "o/other.png", "t/a.png"], features)
    result = scored(path, manifest=file)
    less = {name: value[:-2] if name.startswith("gallery") else value for name, value in found.items()}
    assert result["mAP"] == expected(less)
    missing, surplus = result["warnings"]
    assert missing == f"2 images of {file} skipped (no features): {names[-2]}, {names[-1]}"
    assert surplus == f"1 image skipped (not in {file}): o/other.png"


def test_no_query_meets_its_own_picture(tmp_path: Path) -> None:
    """The query picture is listed again in the gallery, also under another person."""
    names, features = ["a.png", "b.png", "c.png"], np.array([[1, 0], [0.6, 0.8], [0.8, 0.6]])
    path = save(tmp_path / "a.npz", names, features)
    for again in ("1,gallery,0", "2,gallery,1"):
        text = f"path,pid,split,camid\na.png,1,query,0\na.png,{again}\nb.png,1,gallery,1\nc.png,2,gallery,1\n"
        (tmp_path / "m.csv").write_text(text)
        result = scored(path, manifest=tmp_path / "m.csv", camera=False)
        assert (result["mAP"], result["filtered"]["same_image"]) == (0.5, 1)  # c is nearer than b
        (said,) = result["warnings"]
        assert (
            said == f"1 image is in both query and gallery of {tmp_path / 'm.csv'}; "
            "no query is matched with its own image: a.png"
        )


def test_a_manifest_without_cameras(tmp_path: Path) -> None:
    found = arrays()
    file, names = manifest(tmp_path, found, camid=False)
    path = save(tmp_path / "a.npz", names, np.concatenate([found["query_features"], found["gallery_features"]]))
    with pytest.raises(DataError, match=r"m\.csv: no query or gallery row has a camera .*: --no-camera"):
        scored(path, manifest=file)
    reference = rank(*(found[name] for name in OURS), Rules(camera="none")).mAP
    assert scored(path, manifest=file, camera=False)["mAP"] == reference


def test_paths_that_fit_several_images_or_none(tmp_path: Path) -> None:
    found = arrays()
    file, names = manifest(tmp_path, found)
    features = np.concatenate([found["query_features"], found["gallery_features"]])
    twice = [*(f"a/{name}" for name in names), f"b/{names[0]}"]
    with pytest.raises(
        DataError, match=r"q/img0\.png of .*m\.csv matches both a/q/img0\.png and b/q/img0\.png; add more folders"
    ):
        scored(save(tmp_path / "a.npz", twice, np.concatenate([features, features[:1]])), manifest=file)
    exact = save(tmp_path / "a.npz", [*names, f"b/{names[0]}"], np.concatenate([features, features[1:2]]))
    assert scored(exact, manifest=file)["mAP"] == expected(found)
    other = save(tmp_path / "a.npz", [f"{name}.webp" for name in names], features)
    with pytest.raises(DataError, match=r"contains no query images of .*m\.csv; the manifest has q/img0\.png, "):
        scored(other, manifest=file)
    np.savez(tmp_path / "b.npz", **found)
    with pytest.raises(DataError, match=r"b\.npz: missing features .*; --manifest requires features with image names"):
        scored(tmp_path / "b.npz", manifest=file)
    with pytest.raises(DataError, match=r"gone\.csv: no such file"):
        scored(exact, manifest=tmp_path / "gone.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"m\.csv: is empty"),
        (
            "path,person\na,1\n",
            r"m\.csv:1: missing pid, split; expected path,pid,split\[,camid\]; the file has: path, person",
        ),
        ("path,pid,split\na.png,1,test\n", r"m\.csv:2: unknown part 'test'; use query, gallery or train"),
        ("path,pid,split\na.png,1.0,query\n", r"m\.csv:2: pid '1\.0' is a decimal number"),
        ("path,pid,split\na.png,1\n", r"m\.csv:2: this line has 2 columns, the first has 3"),
        ("path,pid,split\n,1,query\n", r"m\.csv:2: the path is empty"),
        ("path,pid,split\na.png,1,query\n./a.png,2,query\n", r"m\.csv:3: a\.png appears twice in query"),
    ],
    ids=range(7),
)
def test_what_manifests_may_hold_instead(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    path = save(tmp_path / "a.npz", ["a.png"], np.ones((1, 2)))
    with pytest.raises(DataError, match=message):
        scored(path, manifest=tmp_path / "m.csv")


def test_a_manifest_with_names_of_persons_and_few_cameras(tmp_path: Path) -> None:
    lines = ["path,pid,split,camid,note", "q.png,anna,query,hall,x", "a.png,anna,gallery,hall,", "b.png,anna,gallery,,"]
    (tmp_path / "m.csv").write_text("\n".join([*lines, "c.png,bo,gallery,yard,"]))
    names = ["q.png", "c.png", "a.png", "b.png"]
    features = np.array([[1.0, 0], [1, 0.1], [1, 0.1], [1, 1]])
    result = scored(save(tmp_path / "a.npz", names, features), manifest=tmp_path / "m.csv")
    # a.png is of the query's own camera and left out; b.png of an unknown one is kept, behind c.png of another person.
    assert result["mAP"] == 0.5
    assert result["filtered"]["same_camera"] == 1
    assert result["warnings"] == [f"1 image of unknown camera in {tmp_path / 'm.csv'}, kept for every query: b.png"]
