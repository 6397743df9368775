"""Stand-ins: each is read by its reader, in the released layout, and its numbers are never mistaken for real ones."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from reidbench import report
from reidbench.cli.main import app
from reidbench.components import load_attribute
from reidbench.data.published import count
from reidbench.data.standin import MARK, NOTE, STAND_IN
from reidbench.errors import DataError
from reidbench.registry import plugins
from reidbench.testing import run_matrix
from reidbench_datasets import READERS
from reidbench_datasets.standins import figures
from tests.support.copies import Open

OWN = {"accept_withdrawal": True}
MARKET = r"\d{4}_c[1-6]s\d_\d{6}_\d\d\.jpg"
MARKET_TEST = r"bounding_box_test/(-1|\d{4})_c[1-6]s\d_\d{6}_\d\d\.jpg"
DUKE = r"\d{4}_c[1-8]_f\d{7}\.jpg"
MSMT = r"\d{4}/\d{4}_\d{3}_(0[1-9]|1[0-5])_\d{4}(morning|noon|afternoon)_\d{4}_\d(_ex)?\.jpg"
CUHK = r"[1-5]_\d{3}_[12]_\d\d\.png"
LUPERSON = r"\d\d_\d\d_\d{4}_\d{8}"
PERSONX = r"\d{4}_c(3|4|8|10|11|12)s\d_\d+\.jpg"
SCENES = r"\d{6}_s\d\d_c\d\d_f\d{6}\.jpg"
GRID = r"\d{4}_[1-8]_\d+_\d+_\d+_\d+_\d+\.jpeg"
PARTIAL = r"\d{3}_\d{3}\.jpg"

PRCC = r"[ABC]_cropped_rgb\d{3}\.jpg"
LTCC = r"\d{3}_\d_c\d{1,2}_\d{6}\.png"
VC = r"\d{4}-\d\d-\d\d-\d\d\.jpg"
SYSU = r"\d{4}/\d{4}\.jpg"
REGDB = r"\d+/(fe)?male_front_[vt]_\d{5}_\d+\.bmp"
VERI = r"\d{4}_c(00\d|01\d|020)_\d{8}_\d\.jpg"
WILD = r"images/\d{5}/\d{6}\.jpg"
MARS = r"(00-1|\d{4})/(00-1|\d{4})C[1-6]T\d{4}F\d{3}\.jpg"


def three(name: str) -> tuple[str, str, str]:
    return f"bounding_box_train/{name}", f"query/{name}", f"bounding_box_test/{name}"


def folders(train: str, name: str) -> tuple[str, str, str]:
    return f"{train}/\\d{{4}}/{name}", f"query/\\d{{4}}/{name}", f"gallery/\\d{{4}}/{name}"


# name, params, the root below the folder, (images, identities, cameras) of each split, and patterns of its names;
# identities count all distractors as one, and unknown cameras are not counted.
Counts = tuple[int, int, int]
CASES: list[tuple[str, dict[str, Any], str, tuple[Counts, ...], tuple[str, ...]]] = [
    ("market1501", {}, "Market-1501-v15.09.15", ((144, 12, 6), (6, 6, 6), (76, 7, 6)),
     (*three(MARKET)[:2], MARKET_TEST)),
    ("market1501", {"distractors": True}, "Market-1501-v15.09.15", ((144, 12, 6), (6, 6, 6), (100, 7, 6)),
     (*three(MARKET)[:2], rf"{MARKET_TEST}|images/0000_c[1-6]s\d_\d{{6}}_\d\d\.jpg")),
    ("market1501", {"queries": "multi"}, "Market-1501-v15.09.15", ((144, 12, 6), (18, 6, 6), (76, 7, 6)),
     (three(MARKET)[0], rf"gt_bbox/{MARKET}", MARKET_TEST)),
    ("market-folder", {}, "market-folder", ((144, 12, 6), (6, 6, 6), (66, 6, 6)), three(MARKET)),
    ("market-folder", {"cameras": "none"}, "market-folder", ((144, 12, 0), (6, 6, 0), (66, 6, 0)),
     three(r"\d{4}_\d\d\.jpg")),
    ("dukemtmc-reid", OWN, "DukeMTMC-reID", ((192, 12, 8), (6, 6, 6), (98, 10, 8)), three(DUKE)),
    ("occluded-duke", OWN, "Occluded_Duke", ((192, 12, 8), (6, 6, 6), (98, 10, 8)), three(DUKE)),
    ("msmt17-v1", {}, "MSMT17_V1", ((155, 12, 15), (6, 6, 6), (84, 6, 15)),
     (f"train/{MSMT}", f"test/{MSMT}", f"test/{MSMT}")),
    ("msmt17-v1", {"train": "trainval"}, "MSMT17_V1", ((180, 12, 15), (6, 6, 6), (84, 6, 15)),
     (f"train/{MSMT}", f"test/{MSMT}", f"test/{MSMT}")),
    ("msmt17-v2", {"train": "trainval"}, "MSMT17_V2", ((180, 12, 15), (6, 6, 6), (84, 6, 15)),
     (f"mask_train_v2/{MSMT}", f"mask_test_v2/{MSMT}", f"mask_test_v2/{MSMT}")),
    ("cuhk03-np", {}, "CUHK03-NP", ((96, 12, 2), (6, 6, 2), (42, 6, 2)), (f"images_detected/{CUHK}",) * 3),
    ("cuhk03-np", {"boxes": "labeled"}, "CUHK03-NP", ((96, 12, 2), (6, 6, 2), (42, 6, 2)),
     (f"images_labeled/{CUHK}",) * 3),
    ("cuhk03-classic", {"split": 19}, "CUHK03", ((96, 12, 10), (48, 6, 10), (48, 6, 10)),
     (f"images_detected/{CUHK}",) * 3),
    ("luperson", {}, "LUPerson", ((48, 1, 0),), (LUPERSON,)),
    ("image-folder", {}, "image-folder/images", ((48, 1, 0),), (r"\d{6}\.jpg",)),
    ("csv-manifest", {"images": "pictures"}, "csv-manifest/manifest.csv", ((144, 12, 6), (6, 6, 6), (66, 6, 6)),
     (r"train/.*\.jpg", r"query/.*\.jpg", r"gallery/.*\.jpg")),
    ("viper", {}, "VIPeR", ((632, 316, 2), (316, 316, 1), (316, 316, 1)),
     (r"cam_(a/\d{3}_0|b/\d{3}_90)\.bmp", r"cam_a/\d{3}_0\.bmp", r"cam_b/\d{3}_90\.bmp")),
    ("grid", {}, "underground_reid", ((250, 125, 8), (125, 125, 8), (165, 126, 8)),
     (f"(probe|gallery)/{GRID}", f"probe/{GRID}", f"gallery/{GRID}")),
    ("grid", {"partition": "official", "split": 9}, "underground_reid", ((250, 125, 8), (125, 125, 8), (165, 126, 8)),
     (f"(probe|gallery)/{GRID}", f"probe/{GRID}", f"gallery/{GRID}")),
    ("prid2011", {}, "prid_2011", ((200, 100, 2), (100, 100, 1), (140, 140, 1)),
     (r"cam_[ab]/person_\d{4}\.png", r"cam_a/person_\d{4}\.png", r"cam_b/person_\d{4}\.png")),
    ("cuhk01", {}, "CUHK01", ((1940, 485, 2), (972, 486, 1), (972, 486, 1)),
     (r"\d{4}00[1-4]\.png", r"\d{4}00[12]\.png", r"\d{4}00[34]\.png")),
    ("person-folders", {}, "pytorch", ((144, 12, 6), (6, 6, 6), (66, 6, 6)), folders("train_all", MARKET)),
    ("person-folders", {"train": "train", "cameras": "none"}, "pytorch", ((132, 12, 0), (6, 6, 0), (66, 6, 0)),
     folders("train", r"\d{4}_\d\d\.jpg")),
    ("person-folders", {"train": "train+val", "published": "market1501"}, "pytorch",
     ((144, 12, 6), (6, 6, 6), (66, 6, 6)), folders("(train|val)", MARKET)),
    ("personx", {}, "subset1", ((144, 12, 6), (6, 6, 6), (66, 6, 6)), three(PERSONX)),
    ("randperson", {}, "RandPerson", ((228, 12, 19),), (SCENES,)),
    ("clonedperson", {}, "ClonedPerson", ((288, 12, 24), (6, 6, 6), (138, 6, 24)),
     (f"train/{SCENES}", f"test/query/{SCENES}", f"test/gallery/{SCENES}")),
    ("partial-reid", {}, "Partial_REID", ((0, 0, 0), (6, 6, 0), (18, 6, 0)),
     ("", f"partial_body_images/{PARTIAL}", f"whole_body_images/{PARTIAL}")),
    ("partial-ilids", {}, "Partial_iLIDS", ((0, 0, 0), (6, 6, 0), (18, 6, 0)),
     ("", f"query/{PARTIAL}", f"gallery/{PARTIAL}")),
    ("occluded-reid", {}, "Occluded_REID", ((0, 0, 0), (6, 6, 0), (18, 6, 0)),
     ("", r"occluded_body_images/\d{3}/\d{3}_\d\d\.tif", r"whole_body_images/\d{3}/\d{3}_\d\d\.tif")),
    ("prcc", {}, "prcc", ((144, 12, 3), (36, 6, 2), (18, 6, 1)),
     (rf"rgb/train/\d{{3}}/{PRCC}", r"rgb/test/[BC]/\d{3}/cropped_rgb\d{3}\.jpg",
      r"rgb/test/A/\d{3}/cropped_rgb\d{3}\.jpg")),
    ("prcc", {"train": "trainval"}, "prcc", ((180, 12, 3), (36, 6, 2), (18, 6, 1)),
     (rf"rgb/(train|val)/\d{{3}}/{PRCC}", r"rgb/test/.*", r"rgb/test/.*")),
    ("ltcc", {}, "LTCC_ReID", ((288, 12, 12), (24, 6, 12), (120, 6, 12)),
     (f"train/{LTCC}", f"query/{LTCC}", f"test/{LTCC}")),
    ("ltcc", {"persons": "cloth-changing"}, "LTCC_ReID", ((192, 8, 12), (16, 4, 8), (80, 4, 12)),
     (f"train/{LTCC}", f"query/{LTCC}", f"test/{LTCC}")),
    ("vc-clothes", {}, "VC-Clothes", ((192, 12, 4), (24, 6, 4), (72, 6, 4)),
     (f"train/{VC}", f"query/{VC}", f"gallery/{VC}")),
    ("sysu-mm01", {}, "SYSU-MM01", ((144, 12, 6), (24, 6, 2), (48, 6, 4)),
     (rf"cam[1-6]/{SYSU}", rf"cam[36]/{SYSU}", rf"cam[1245]/{SYSU}")),
    ("sysu-mm01", {"train": "train"}, "SYSU-MM01", ((108, 9, 6), (24, 6, 2), (48, 6, 4)),
     (rf"cam[1-6]/{SYSU}", rf"cam[36]/{SYSU}", rf"cam[1245]/{SYSU}")),
    ("regdb", {}, "RegDB", ((96, 12, 2), (24, 6, 1), (24, 6, 1)),
     (rf"(Visible|Thermal)/{REGDB}", rf"Visible/{REGDB}", rf"Thermal/{REGDB}")),
    ("regdb", {"split": 10, "query": "thermal"}, "RegDB", ((96, 12, 2), (24, 6, 1), (24, 6, 1)),
     (rf"(Visible|Thermal)/{REGDB}", rf"Thermal/{REGDB}", rf"Visible/{REGDB}")),
    ("mars", {"gallery": "others"}, "MARS", ((288, 12, 6), (48, 6, 6), (132, 7, 6)),
     (rf"bbox_train/{MARS}", rf"bbox_test/{MARS}", rf"bbox_test/{MARS}")),
    ("mars", {"frames": 2}, "MARS", ((144, 12, 6), (24, 6, 6), (92, 7, 6)),
     (rf"bbox_train/{MARS}", rf"bbox_test/{MARS}", rf"bbox_test/{MARS}")),
    ("veri-776", {}, "VeRi", ((240, 12, 20), (6, 6, 6), (120, 6, 20)),
     (f"image_train/{VERI}", f"image_query/{VERI}", f"image_test/{VERI}")),
    ("vehicleid", {}, "VehicleID_V1.0", ((96, 12, 0), (48, 6, 0), (48, 6, 0)), (r"image/\d{7}\.jpg",) * 3),
    ("vehicleid", {"test": 13164}, "VehicleID_V1.0", ((96, 12, 0), (48, 6, 0), (48, 6, 0)),
     (r"image/\d{7}\.jpg",) * 3),
    ("veri-wild", {}, "VERI-Wild", ((120, 12, 120), (6, 6, 6), (54, 6, 54)), (WILD,) * 3),
    ("veri-wild", {"test": 10000}, "VERI-Wild", ((120, 12, 120), (6, 6, 6), (54, 6, 54)), (WILD,) * 3),
    ("identity-folders", {}, "identity-folders", ((72, 9, 0), (9, 9, 0), (63, 9, 0)),
     (r"animal\d\d/\d-\d\.jpg",) * 3),
    ("identity-folders", {"split": "closed", "cameras": "folder"}, "identity-folders",
     ((72, 18, 4), (36, 18, 4), (36, 18, 4)), (r"animal\d\d/occasion[1-4]/\d-\d\.jpg",) * 3),
]  # fmt: skip


def make(registry: plugins.Registry, name: str, folder: Path, **params: object) -> Path:
    component = registry.get("dataset", name)
    root: Path = load_attribute(component.stand_in)(component.params(**params), folder)
    return root


def contents(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_every_reader_has_a_stand_in() -> None:
    assert {name for name, *_ in CASES} == {name for name, *_ in READERS}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "params", "root", "counts", "names"), CASES, ids=[f"{name} {params}" for name, params, *_ in CASES]
)
def test_a_stand_in_is_read_as_its_data_set(
    name: str,
    params: dict[str, Any],
    root: str,
    counts: tuple[Counts, ...],
    names: tuple[str, ...],
    registry: plugins.Registry,
    read: Open,
    tmp_path: Path,
) -> None:
    place = make(registry, name, tmp_path / "a", **params)
    assert place == tmp_path / "a" / root
    dataset = read(name, place, **params)
    parts = dataset.parts()
    assert tuple((n.images, n.identities, n.cameras) for n in map(count, parts.values())) == counts
    for split, pattern in zip(parts.values(), names, strict=True):
        assert [path for path in split.paths if not re.fullmatch(pattern, path)] == []
    assert (dataset.strays, dataset.absent, dataset.faults) == ({}, {}, ())
    for split in filter(len, parts.values()):
        assert split.image(len(split) - 1).shape[2] == 3
    assert contents(place if place.is_dir() else place.parent)
    make(registry, name, tmp_path / "b", **params)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_market_has_junk_distractors_and_a_match_by_another_camera_for_every_query(
    registry: plugins.Registry, read: Open, tmp_path: Path
) -> None:
    dataset = read("market1501", make(registry, "market1501", tmp_path))
    assert dataset.query is not None
    assert dataset.gallery is not None
    assert [int((dataset.gallery.pids == pid).sum()) for pid in (-1, 0)] == [4, 6]
    for query in dataset.query.samples:
        assert any(s.pid == query.pid and s.camid != query.camid for s in dataset.gallery.samples)
    assert {dataset.train.image(n).shape for n in range(len(dataset.train))} == {(128, 64, 3)}
    assert min((dataset.train.pids == pid).sum() for pid in set(dataset.train.pids.tolist())) == 12


def test_msmt17_has_train_and_val_and_pictures_of_different_sizes(
    registry: plugins.Registry, read: Open, tmp_path: Path
) -> None:
    root = make(registry, "msmt17-v1", tmp_path)
    lines = {file.name: file.read_text().splitlines() for file in root.glob("list_*.txt")}
    assert {name: len(found) for name, found in lines.items()} == {
        "list_train.txt": 155, "list_val.txt": 25, "list_query.txt": 6, "list_gallery.txt": 84
    }  # fmt: skip
    assert all(re.fullmatch(rf"{MSMT} \d+", line) for found in lines.values() for line in found)
    dataset = read("msmt17-v1", root)
    assert len({dataset.train.image(n).shape for n in range(20)}) > 5


# name, the cameras of queries and of gallery where persons meet in the same clothes, and in other ones
CLOTHES: list[tuple[str, tuple[Any, Any], tuple[Any, Any]]] = [
    ("prcc", ([1], [0]), ([2], [0])),
    ("ltcc", (range(12), range(12)), (range(12), range(12))),
    ("vc-clothes", ([1, 2], [1, 2]), ([2, 3], [2, 3])),
]


@pytest.mark.parametrize(("name", "same", "other"), CLOTHES)
def test_persons_meet_in_the_same_clothes_and_in_others(
    name: str, same: tuple[Any, Any], other: tuple[Any, Any], registry: plugins.Registry, read: Open, tmp_path: Path
) -> None:
    dataset = read(name, make(registry, name, tmp_path))
    assert dataset.query is not None
    assert dataset.gallery is not None
    everybody = set(dataset.query.pids.tolist())
    changing = {pid for pid in everybody if name != "ltcc" or pid % 3}  # pid is the person's number in `shots`
    for equal, (askers, seen), wanted in ((True, same, everybody), (False, other, changing)):
        met = {
            one.pid
            for one in dataset.query.samples
            for two in dataset.gallery.samples
            if one.pid == two.pid and one.camid != two.camid and one.camid in askers and two.camid in seen
            if (one.clothes == two.clothes) == equal
        }
        assert met == wanted, (name, equal)


def test_other_clothes_are_drawn_on_the_same_person() -> None:
    one, two, other = (
        np.asarray(figures.draw("a.png", person, 0, (200, 100), outfit=outfit))
        for person, outfit in ((5, 1), (5, 2), (6, 1))
    )
    first = [int(np.flatnonzero((one != image).any(axis=(1, 2)))[0]) for image in (two, other)]
    assert first[0] > first[1]  # the head, which clothes do not cover, identifies the person


def test_luperson_has_its_keys_in_three_videos(registry: plugins.Registry, read: Open, tmp_path: Path) -> None:
    root = make(registry, "luperson", tmp_path / "lmdb")
    assert sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()) == [
        "keys.pkl", "lmdb/data.mdb", MARK
    ]  # fmt: skip
    keys = read("luperson", root).train.paths
    assert len({key[:10] for key in keys}) == 3
    assert all(key.encode() in (root / "keys.pkl").read_bytes() for key in keys)


def test_luperson_is_a_folder_where_lmdb_is_not_installed(
    registry: plugins.Registry, read: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = read("luperson", make(registry, "luperson", tmp_path / "lmdb")).train.paths
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    root = make(registry, "luperson", tmp_path / "files")
    assert read("luperson", root).train.paths == tuple(f"{key}.jpg" for key in keys)
    assert (root / "LUP" / "images" / f"{keys[0]}.jpg").is_file()


def test_a_manifest_has_every_label_and_a_match_in_other_clothes_and_modality_for_every_query(
    registry: plugins.Registry, read: Open, tmp_path: Path
) -> None:
    found = read("csv-manifest", make(registry, "csv-manifest", tmp_path))
    assert found.train.more.known == {"clothes", "modality", "tracklets", "attributes"}
    assert found.query is not None
    assert found.gallery is not None
    gallery = found.gallery.samples
    for query in found.query.samples:
        own = [one for one in gallery if one.pid == query.pid]
        assert {one.modality for one in own} == {"visible", "infrared"}
        assert {one.clothes for one in own} == {0, 1}


def test_a_manifest_whose_pictures_would_lie_elsewhere_has_no_stand_in(
    registry: plugins.Registry, tmp_path: Path
) -> None:
    for images in ("../pictures", str(tmp_path)):
        with pytest.raises(DataError, match=r"csv-manifest: no stand-in for images: .*, which is outside"):
            make(registry, "csv-manifest", tmp_path / "a", images=images)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- no stand-in passes for the data set
def test_a_stand_in_is_read_under_a_strict_check_and_the_same_pictures_without_the_mark_are_not(
    registry: plugins.Registry, read: Open, tmp_path: Path
) -> None:
    root = make(registry, "market1501", tmp_path, check="strict")
    assert read("market1501", root, check="strict").notes == ()
    (root / MARK).unlink()
    with pytest.raises(DataError, match="not the published market1501: train: 144 images, published: 12936"):
        read("market1501", root, check="strict")


def test_a_check_of_a_copy_finds_a_stand_in_whose_counts_are_the_published_ones(
    registry: plugins.Registry, tmp_path: Path
) -> None:
    root = make(registry, "viper", tmp_path)
    done = CliRunner().invoke(app, ["data", "check", "viper", str(root)])
    assert done.exit_code == 1, done.output
    assert f"problem: {NOTE}" in done.output
    assert "viper: not the published set" in done.output
    (root / MARK).unlink()
    assert CliRunner().invoke(app, ["data", "check", "viper", str(root)]).exit_code == 0


MATRIX = """
image_size: [32, 16]
data:
  market: {{use: market1501, root: {market}}}
  plain: {{use: market-folder, root: {plain}}}
tasks:
  market: {{target: market, source: market}}
  plain: {{target: plain, source: market}}
backbone: resnet-tiny
methods:
  untrained: {{finetune: none}}
  trained: {{finetune: {{use: bot, epochs: 1, identities: 4, images: 2}}}}
"""


@pytest.mark.slow
def test_every_row_from_a_stand_in_says_so(registry: plugins.Registry, tmp_path: Path) -> None:
    market = make(registry, "market1501", tmp_path / "kept")
    plain = tmp_path / "plain"
    shutil.copytree(make(registry, "market-folder", tmp_path / "other"), plain)
    (plain / MARK).unlink()
    board = run_matrix(MATRIX.format(market=market, plain=plain), tmp_path)
    assert [result.status for result in board.results] == ["ok"] * 4
    said = {(r.row.method, r.row.task): STAND_IN in r.row.protocol.split(", ") for r in board.results}
    assert said == {
        ("untrained", "market"): True,
        ("untrained", "plain"): False,  # which is trained on no source
        ("trained", "market"): True,
        ("trained", "plain"): True,
    }
    assert f"data market: {NOTE}" in board.results[0].notes
    for form in ("md", "csv", "latex", "json"):
        assert STAND_IN in report.write(board, form), form
    rows = json.loads(report.write(board, "json"))["rows"]
    assert [STAND_IN in row["protocol"] for row in rows] == [True, False, True, True]
