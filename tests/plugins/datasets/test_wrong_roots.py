"""A wrong root, a missing list, the wrong version: `plan` reports the line of the file and the cause before any run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.components import load_attribute
from reidbench.data import fingerprint_folder
from reidbench.registry import plugins
from tests.support.copies import touch

Damage = Callable[[Path], Path]  # damages a complete stand-in, and returns the root for the matrix file


def planned(folder: Path, entries: list[str]) -> tuple[int, list[str]]:
    """Exit code and lines on stderr of `reidbench plan` for these entries under `data`, from line 3 on."""
    names = [entry.partition(":")[0] for entry in entries]
    tasks = "".join(f"  {name}: {{source: {name}, target: {name}, pool: {name}}}\n" for name in names)
    file = folder / "m.yaml"
    file.write_text(
        "image_size: [32, 16]\ndata:\n"
        + "".join(f"  {entry}\n" for entry in entries)
        + f"tasks:\n{tasks}backbone: resnet-tiny\n"
        + "methods:\n  a: {pretrain: moco-v2, finetune: bot}\n  b: {finetune: none}\n"
    )
    command = [sys.executable, "-m", "reidbench", "plan", "m.yaml", "--store", "store"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.splitlines()


@pytest.fixture
def made(registry: plugins.Registry, tmp_path: Path) -> Callable[..., Path]:
    """The root of a stand-in in a new folder."""

    def make(name: str, folder: str, **params: object) -> Path:
        component = registry.get("dataset", name)
        root: Path = load_attribute(component.stand_in)(component.params(**params), tmp_path / folder)
        return root

    return make


def without(root: Path, *names: str) -> Path:
    for name in names:
        place = root / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    return root


@pytest.mark.slow
def test_a_whole_copy_of_each_is_planned(made: Callable[..., Path], tmp_path: Path) -> None:
    """Also from the parent folder, in which the reader looks for the release."""
    own = {"accept_withdrawal": True}
    roots = {
        "market1501": made("market1501", "a"),
        "dukemtmc-reid": made("dukemtmc-reid", "b", **own),
        "msmt17-v1": made("msmt17-v1", "c").parent,
        "msmt17-v2": made("msmt17-v2", "d"),
        "cuhk03-np": made("cuhk03-np", "e"),
        "luperson": made("luperson", "f"),
        "clonedperson": made("clonedperson", "g"),
        "randperson": made("randperson", "h"),
        "partial-reid": made("partial-reid", "i").parent,
        "csv-manifest": made("csv-manifest", "j"),
        "prcc": made("prcc", "k"),
        "ltcc": made("ltcc", "l").parent,
        "vc-clothes": made("vc-clothes", "m").parent,
        "sysu-mm01": made("sysu-mm01", "k").parent,
        "regdb": made("regdb", "l"),
        "mars": made("mars", "m").parent,
        "veri-776": made("veri-776", "n").parent,
        "vehicleid": made("vehicleid", "n"),
        "veri-wild": made("veri-wild", "n"),
        "identity-folders": made("identity-folders", "n"),
    }
    entries = [
        f"{name}: {{use: {name}, root: {root}{', accept_withdrawal: true' if 'duke' in name else ''}}}"
        for name, root in roots.items()
    ]
    assert planned(tmp_path, entries) == (0, [])


@pytest.mark.slow
def test_every_wrong_root_is_told_at_once_with_its_line_and_a_cure(made: Callable[..., Path], tmp_path: Path) -> None:
    market, v1, v2 = made("market1501", "market"), made("msmt17-v1", "v1"), made("msmt17-v2", "v2")
    gone = without(made("msmt17-v1", "gone"), "list_train.txt", "list_gallery.txt")
    labeled = made("cuhk03-np", "labeled", boxes="labeled")
    no_index = without(made("cuhk03-np", "no-index"), "cuhk03_new_protocol_config_detected.mat")
    lmdb = without(made("luperson", "lmdb"), "lmdb/data.mdb") / "lmdb"
    (lmdb / "lock.mdb").write_bytes(b"")
    half = without(made("market1501", "half"), "query")
    (half / "query").mkdir()
    prcc, half_prcc = made("prcc", "prcc"), without(made("prcc", "half-prcc"), "rgb/test/B")
    ltcc = without(made("ltcc", "ltcc"), "info/cloth-change_id_test.txt")
    (tmp_path / "empty").mkdir()
    fours = [  # name, entry, place in the message, text of the message
        ("high", f"use: market1501, root: {market.parent}", market.parent / "bounding_box_train",
         f"no such folder; did you mean {market} as root?"),
        ("low", f"use: market1501, root: {market}/query", market / "query/bounding_box_train",
         f"no such folder; did you mean {market} as root?"),
        ("more", f"use: market1501, root: {market}, distractors: true", market / "images", "no such folder"),
        ("half", f"use: market1501, root: {half}", half / "query", "the folder is empty"),
        ("lists", f"use: msmt17-v1, root: {gone}", gone,
         "list_train.txt, list_gallery.txt missing: the lists come with the release and give the persons"),
        ("old", f"use: msmt17-v2, root: {v1}", v1 / "mask_train_v2",
         "no such folder; this is msmt17-v1: set use: msmt17-v1"),
        ("new", f"use: msmt17-v1, root: {v2.parent}", v2.parent / "train",
         "no such folder; this is msmt17-v2: set use: msmt17-v2"),
        ("inside", f"use: msmt17-v1, root: {v1}/train", v1 / "train/train",
         f"no such folder; did you mean {v1} as root?"),
        ("boxes", f"use: cuhk03-np, root: {labeled}", labeled / "images_detected",
         "no such folder; the copy has the labeled boxes: set boxes: labeled"),
        ("index", f"use: cuhk03-np, root: {no_index}", no_index / "cuhk03_new_protocol_config_detected.mat",
         "no such file; it comes with the protocol and defines train, query and gallery"),
        ("lmdb", f"use: luperson, root: {lmdb}", lmdb, "lmdb without data.mdb"),
        ("pool", f"use: luperson, root: {tmp_path}/empty", tmp_path / "empty", "contains no images"),
        ("duke", f"use: dukemtmc-reid, root: {market}", "dukemtmc-reid", "its owner, Duke University, withdrew"),
        ("person", f"use: personx, root: {tmp_path}/empty", tmp_path / "empty/bounding_box_train", "no such folder"),
        ("viper", f"use: viper, root: {tmp_path}/empty", tmp_path / "empty/cam_a", "no such folder"),
        ("grid", f"use: grid, root: {tmp_path}/empty", tmp_path / "empty/probe", "no such folder"),
        ("cloned", f"use: clonedperson, root: {tmp_path}/empty", tmp_path / "empty/train", "no such folder"),
        ("rand", f"use: randperson, root: {tmp_path}/empty", tmp_path / "empty", "contains no images"),
        ("letters", f"use: prcc, root: {prcc}/rgb", prcc / "rgb/rgb", f"no such folder; did you mean {prcc} as root?"),
        ("half-prcc", f"use: prcc, root: {half_prcc}", half_prcc / "rgb/test/B", "no such folder"),
        ("changers", f"use: ltcc, root: {ltcc}, persons: cloth-changing", ltcc / "info/cloth-change_id_test.txt",
         "no such file; it comes with the release and lists the persons who change clothes; "
         "persons: all needs no list"),
        ("rendered", f"use: vc-clothes, root: {tmp_path}/empty", tmp_path / "empty/train", "no such folder"),
        ("table", f"use: csv-manifest, root: {tmp_path}/none.csv", tmp_path / "none.csv:1",
         "columns missing pid, split"),
    ]  # fmt: skip
    (tmp_path / "none.csv").write_text("path,person\n")
    code, lines = planned(tmp_path, [f"{name}: {{{entry}}}" for name, entry, _, _ in fours])
    assert code == 2
    assert len(lines) == len(fours), lines
    for number, (line, (name, _, place, sentence)) in enumerate(zip(lines, fours, strict=True), start=3):
        assert line.startswith(f"m.yaml:{number}: data.{name}.root: {place}: {sentence}"), line
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
def test_a_root_one_folder_too_high_or_low_is_told_for_sets_with_modalities_or_tracklets(
    made: Callable[..., Path], tmp_path: Path
) -> None:
    entries, expected = [], []
    for name, first, inner in (
        ("sysu-mm01", "cam1", "exp"), ("regdb", "Visible", "idx"), ("mars", "bbox_train", "info")
    ):  # fmt: skip
        root = made(name, f"a-{name}")
        root = root.rename(root.parent / "own")  # a name that no reader looks for
        for place in (root.parent, root / inner):
            entries.append(f"d{len(entries)}: {{use: {name}, root: {place}}}")
            expected.append(f"root: {place}/{first}: no such folder; did you mean {root} as root?")
    code, lines = planned(tmp_path, entries)
    assert code == 2
    assert [line.partition(f"data.d{number}.")[2] for number, line in enumerate(lines)] == expected


@pytest.mark.slow
def test_all_mistakes_of_a_manifest_are_lines_of_a_plan_and_of_a_check(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_bytes(b"path,pid,split\r\na.jpg,anna,train\r\nb.jpg,2,test\r\n")
    said = [
        f"{file}:2: pid 'anna' is not a whole number: write it with the digits 0 to 9 only, like 12",
        f"{file}:3: split 'test' is not one of train, query, gallery",
    ]
    code, lines = planned(tmp_path, [f"own: {{use: csv-manifest, root: {file}}}"])
    assert (code, lines) == (2, [f"m.yaml:3: data.own.root: {line}" for line in said])
    command = [sys.executable, "-m", "reidbench", "data", "check", "csv-manifest", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()) == (2, [f"reidbench: {line}" for line in said])


@pytest.mark.slow
def test_a_folder_that_is_laid_out_otherwise_is_led_to_the_manifest(made: Callable[..., Path], tmp_path: Path) -> None:
    touch(tmp_path / "own", ["cam1_anna.jpg"])
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        touch(tmp_path / "named", [f"{folder}/cam1_anna.jpg"])
    (tmp_path / "empty").mkdir()
    market = made("market-folder", "market")
    cure = "; `reidbench data manifest` makes a CSV of images in other folders or with other names"
    code, lines = planned(
        tmp_path,
        [f"{name}: {{use: market-folder, root: {root}}}" for name, root in
         (("a", tmp_path / "own"), ("b", tmp_path / "empty"), ("c", market.parent))],
    )  # fmt: skip
    assert code == 2
    assert lines == [
        f"m.yaml:3: data.a.root: {tmp_path}/own/bounding_box_train: no such folder{cure}",
        f"m.yaml:4: data.b.root: {tmp_path}/empty/bounding_box_train: no such folder",
        f"m.yaml:5: data.c.root: {market.parent}/bounding_box_train: no such folder; did you mean {market} as root?",
    ]
    command = [sys.executable, "-m", "reidbench", "data", "check", "market-folder", str(tmp_path / "named")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith(f"no image with a name like 0002_c1s1_000451_03.jpg among 1 files{cure}\n")


# Parts of the key before layouts were checked: these parts of the folder, by name and content.
MARKET_PARTS = ["bounding_box_train", "query", "bounding_box_test"]
MSMT_LISTS = ["list_train.txt", "list_val.txt", "list_query.txt", "list_gallery.txt"]
PARTS = [
    ("market1501", ".", MARKET_PARTS),
    ("occluded-duke", ".", MARKET_PARTS),
    ("msmt17-v1", ".", ["train", "test", *MSMT_LISTS]),
    ("msmt17-v2", ".", ["mask_train_v2", "mask_test_v2", *MSMT_LISTS]),
    ("cuhk03-np", ".", ["images_detected", "cuhk03_new_protocol_config_detected.mat", "detected", *MARKET_PARTS]),
    ("cuhk03-classic", ".", ["images_detected", "splits_classic_detected.json", "testsets.csv"]),
    ("grid", ".", ["probe", "gallery", "features_and_partitions.mat"]),
    ("prid2011", "single_shot", ["cam_a", "cam_b"]),
    ("randperson", "randperson_subset", []),
    ("clonedperson", ".", ["train", "test"]),
    ("partial-reid", ".", []),
    ("sysu-mm01", ".", [*(f"cam{n}" for n in range(1, 7)), "exp/train_id.txt", "exp/val_id.txt", "exp/test_id.txt"]),
    ("regdb", ".", ["Visible", "Thermal", *(f"idx/{part}_{word}_1.txt" for part in ("train", "test")
                                            for word in ("visible", "thermal"))]),
    ("mars", ".", ["bbox_train", "bbox_test", "info/train_name.txt", "info/test_name.txt", "info/tracks_train_info.mat",
                   "info/tracks_test_info.mat", "info/query_IDX.mat"]),
    ("image-folder", ".", []),
    ("veri-776", ".", ["image_train", "image_query", "image_test"]),
    ("vehicleid", ".", ["image", "train_test_split/train_list.txt", "train_test_split/test_list_800.txt"]),
    ("veri-wild", ".", ["images", *(f"train_test_split/{name}.txt" for name in
                                    ("train_list", "train_list_start0", "test_3000_query", "test_3000_id_query",
                                     "test_3000", "test_3000_id", "vehicle_info"))]),
    ("identity-folders", ".", []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "inside", "parts"), PARTS, ids=[name for name, *_ in PARTS])
def test_the_look_at_the_layout_changes_no_key(
    name: str, inside: str, parts: list[str], made: Callable[..., Path], registry: plugins.Registry
) -> None:
    component = registry.get("dataset", name)
    params = component.params(**({"accept_withdrawal": True} if "duke" in name else {}))
    root = made(name, "a")
    assert load_attribute(component.fingerprint)(params, root) == fingerprint_folder(root / inside, only=parts)
