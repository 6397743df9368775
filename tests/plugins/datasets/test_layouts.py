"""Every layout built on disk, small, with the odd members that real copies have, and read."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidbench import Dataset
from reidbench.components import load_attribute
from reidbench.errors import DataError
from reidbench.registry import plugins
from reidbench_datasets import splits

PICTURE = io.BytesIO()
Image.new("RGB", (4, 8), (10, 20, 30)).save(PICTURE, "PNG")
Open = Callable[..., Dataset]


def touch(root: Path, names: Iterable[str]) -> None:
    for name in names:
        file = root / name
        if not file.parent.is_dir():
            file.parent.mkdir(parents=True)
        file.write_bytes(PICTURE.getvalue())


def rows(split: object) -> list[tuple[int, int]]:
    return [(sample.pid, sample.camid) for sample in split.samples]  # type: ignore[attr-defined]


@pytest.fixture
def read(registry: plugins.Registry, tmp_path: Path) -> Open:
    """Opens a data set as a run does, and asks for its fingerprint as a plan does."""

    def opened(name: str, root: Path, **params: object) -> Dataset:
        component = registry.get("dataset", name)
        given = component.params(**params)
        dataset: Dataset = component.load()(given, root, tmp_path / "cache")
        assert load_attribute(component.fingerprint)(given, root)
        return dataset

    return opened


# ---------------------------------------------------------------------- MSMT17
def msmt(root: Path, train: str, test: str) -> Path:
    lists = {
        "list_train.txt": ["0000/0000_045_12_0303morning_0006_2.jpg 0", "0001/0001_000_01_0303noon_0001_0_ex.jpg 1"],
        "list_val.txt": ["0000/0000_046_15_0303morning_0007_2.jpg 0"],
        "list_query.txt": ["0000/0000_000_03_0303morning_0001_0.jpg 0"],
        "list_gallery.txt": ["0000/0000_001_10_0303morning_0001_0.jpg 0", "3059/3059_001_04_0303noon_0001_0.jpg 3059"],
    }
    for file, lines in lists.items():
        folder = train if file in ("list_train.txt", "list_val.txt") else test
        touch(root, [f"{folder}/{line.split()[0]}" for line in lines])
        (root / file).write_text("\n".join(lines) + "\n")
    touch(root, [f"{train}/0000/Thumbs.db"])
    return root


@pytest.mark.parametrize(
    ("name", "folders"), [("msmt17-v1", ("train", "test")), ("msmt17-v2", ("mask_train_v2", "mask_test_v2"))]
)
def test_msmt17(name: str, folders: tuple[str, str], read: Open, tmp_path: Path) -> None:
    root = msmt(tmp_path / name.upper().replace("-", "_"), *folders)
    dataset = read(name, root, check="off")
    assert dataset.name == f"{name}:train"
    assert rows(dataset.train) == [(1, 11), (2, 0)]  # cameras of two digits; _ex is a picture like others
    assert rows(dataset.query) == [(1042, 2)]  # test persons restart at 0, who is a person and no distractor
    assert rows(dataset.gallery) == [(1042, 9), (4101, 3)]
    assert dataset.notes == ()
    both = read(name, tmp_path, train="trainval", check="off")  # the folder above is meant too
    assert rows(both.train) == [(1, 11), (1, 14), (2, 0)]
    assert both.name == f"{name}:trainval"


def test_msmt17_versions_are_never_mistaken(read: Open, tmp_path: Path) -> None:
    root = msmt(tmp_path / "m", "mask_train_v2", "mask_test_v2")
    with pytest.raises(DataError, match="this is msmt17-v2: say use: msmt17-v2"):
        read("msmt17-v1", root)
    with pytest.raises(DataError, match="this is msmt17-v1: say use: msmt17-v1"):
        read("msmt17-v2", msmt(tmp_path / "n", "train", "test"))


def test_msmt17_lists(read: Open, tmp_path: Path) -> None:
    root = msmt(tmp_path / "m", "train", "test")
    touch(root, ["train/0000/stranger.jpg"])
    (root / "test/0000/0000_001_10_0303morning_0001_0.jpg").unlink()
    dataset = read("msmt17-v1", root, check="off")
    assert dataset.absent == {"gallery": ["test/0000/0000_001_10_0303morning_0001_0.jpg"]}
    assert dataset.strays == {"train": ["train/0000/stranger.jpg"]}
    assert "1 images of the list are not there" in dataset.notes[0]
    with pytest.raises(DataError, match="1 images that the lists name are not there: test/0000"):
        read("msmt17-v1", root, check="strict")
    (root / "list_train.txt").write_text("0000/0000_045_12_0303morning_0006_2.jpg\n")
    with pytest.raises(DataError, match=r"list_train\.txt:1: .* is not a line like"):
        read("msmt17-v1", root)
    for label in ("１", "1_0", "-1", "1e0"):
        (root / "list_train.txt").write_text(f"0000/0000_045_12_0303morning_0006_2.jpg {label}\n", encoding="utf-8")
        with pytest.raises(DataError, match=r"list_train\.txt:1: .* is not a line like"):
            read("msmt17-v1", root)
    (root / "list_train.txt").write_text("0000/0000_045_12_0303morning_0006_2.jpg 1041\n")  # would be test person 0
    with pytest.raises(DataError, match=r"list_train\.txt:1: person 1041, but persons of train are 0 to 1040"):
        read("msmt17-v1", root)
    (root / "list_val.txt").unlink()
    with pytest.raises(DataError, match=r"list_val\.txt missing: the lists come with the release"):
        read("msmt17-v1", root)


def test_msmt17_lists_with_marks_and_pictures_in_capitals(read: Open, tmp_path: Path) -> None:
    root = msmt(tmp_path / "m", "train", "test")
    expected = read("msmt17-v1", root, check="off")
    for file in root.glob("list_*.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    for file in list(root.rglob("*.jpg")):
        file.rename(file.with_suffix(".JPG"))
    dataset = read("msmt17-v1", root, check="off")
    for part, split in dataset.parts().items():
        assert rows(split) == rows(expected.parts()[part])
        assert all(path.endswith(".JPG") for path in split.paths)
    assert (dataset.notes, dict(dataset.strays), dict(dataset.absent)) == ((), {}, {})
    touch(root, ["train/0000/x.heic", "test/list.txt"])
    assert len(read("msmt17-v1", root, check="off").notes) == 2


# ---------------------------------------------------------------------- CUHK03
CUHK = ["1_001_1_01.png", "1_001_2_06.png", "1_002_1_01.png", "1_002_2_06.png", "5_001_1_01.png", "5_001_2_06.png"]


def test_cuhk03_np_from_pictures_and_configuration(read: Open, tmp_path: Path) -> None:
    from scipy.io import savemat

    names = np.array([[name] for name in CUHK], dtype=object)
    savemat(
        tmp_path / "cuhk03_new_protocol_config_labeled.mat",
        {"filelist": names, "labels": np.array([[1, 1, 2, 2, 3, 3]]).T, "train_idx": [[1], [2]],
         "query_idx": [[3], [6]], "gallery_idx": [[4], [5]]},
    )  # fmt: skip
    touch(tmp_path, [f"images_labeled/{name}" for name in [*CUHK, "Thumbs.db"]])
    dataset = read("cuhk03-np", tmp_path, boxes="labeled", check="off")
    assert rows(dataset.train) == [(1, 0), (1, 1)]
    assert rows(dataset.query) == [(2, 0), (3, 1)]
    assert rows(dataset.gallery) == [(2, 1), (3, 0)]
    (tmp_path / "images_labeled" / CUHK[3]).unlink()
    touch(tmp_path, ["images_labeled/1_009_1_01.png"])
    dataset = read("cuhk03-np", tmp_path, boxes="labeled", check="off")
    assert dataset.absent == {"gallery": ["images_labeled/1_002_2_06.png"]}
    assert dataset.strays == {"train": ["images_labeled/1_009_1_01.png"]}
    assert any("1 files left out, the list does not name them: images_labeled/1_009" in note for note in dataset.notes)
    (tmp_path / "images_labeled" / CUHK[0]).rename(tmp_path / "images_labeled" / CUHK[0].upper())
    train = read("cuhk03-np", tmp_path, boxes="labeled", check="off").train
    assert train.paths == ("images_labeled/1_001_1_01.PNG", "images_labeled/1_001_2_06.png")
    for wrong in ([[0], [1]], [[1], [7]], [[1.5], [2]]):  # 0 would be the last picture of the list
        savemat(
            tmp_path / "cuhk03_new_protocol_config_labeled.mat",
            {"filelist": names, "labels": np.array([[1, 1, 2, 2, 3, 3]]).T, "train_idx": wrong,
             "query_idx": [[3], [6]], "gallery_idx": [[4], [5]]},
        )  # fmt: skip
        with pytest.raises(DataError, match="numbers that are not whole, or not from 1 to 6"):
            read("cuhk03-np", tmp_path, boxes="labeled", check="off")
    with pytest.raises(DataError, match="images_detected: no such folder"):
        read("cuhk03-np", tmp_path)


def test_cuhk03_np_in_market_style(read: Open, tmp_path: Path) -> None:
    for boxes, pid in (("detected", 7), ("labeled", 8)):
        for folder in ("bounding_box_train", "query", "bounding_box_test"):
            touch(tmp_path, [f"{boxes}/{folder}/{pid:04d}_c{camera}_1.png" for camera in (1, 2)])
    assert rows(read("cuhk03-np", tmp_path, check="off").train) == [(7, 0), (7, 1)]
    assert rows(read("cuhk03-np", tmp_path, boxes="labeled", check="off").query) == [(8, 0), (8, 1)]
    assert rows(read("cuhk03-np", tmp_path / "labeled", boxes="labeled", check="off").query) == [(8, 0), (8, 1)]


@pytest.mark.parametrize("source", ["csv", "json"])
def test_cuhk03_classic(source: str, read: Open, tmp_path: Path) -> None:
    touch(tmp_path, [f"images_detected/{name}" for name in CUHK])
    if source == "csv":
        (tmp_path / "testsets.csv").write_text("split,pair,person\n0,1,1\n1,1,2\n1,5,1\n")
    else:  # torchreid's file holds absolute paths of the machine that made it
        tests = [["1_001_1_01.png", "1_001_2_06.png"], ["1_002_1_01.png", "5_001_1_01.png"]]
        entries = [{"query": [[f"/home/somebody/images_detected/{name}", 0, 0] for name in names]} for names in tests]
        (tmp_path / "splits_classic_detected.json").write_text(json.dumps(entries))
    dataset = read("cuhk03-classic", tmp_path, split=1)
    assert rows(dataset.train) == [(10001, 0), (10001, 1)]
    assert rows(dataset.query) == [(10002, 0), (10002, 1), (50001, 8), (50001, 9)]  # five pairs are ten cameras
    assert rows(dataset.gallery) == rows(dataset.query)
    assert "gallery: single-shot" in dataset.notes[0]
    with pytest.raises(DataError, match=r"split 7|cannot be read"):
        read("cuhk03-classic", tmp_path, split=7)
    with pytest.raises(DataError, match=r"images_labeled: no such folder"):
        read("cuhk03-classic", tmp_path, boxes="labeled")
    if source == "csv":
        for line in ("1,1,２", "1,1", "1,1,2,3", "1_0,1,2"):
            (tmp_path / "testsets.csv").write_text(f"split,pair,person\n{line}\n", encoding="utf-8")
            with pytest.raises(DataError, match=r"testsets\.csv:2: .* is not split,pair,person in whole numbers"):
                read("cuhk03-classic", tmp_path, split=1)


# ---------------------------------------------------------------------- Duke
@pytest.mark.parametrize("name", ["dukemtmc-reid", "occluded-duke"])
def test_duke_needs_a_word(name: str, read: Open, tmp_path: Path) -> None:
    touch(tmp_path, ["bounding_box_train/0001_c2_f0046182.jpg", "bounding_box_train/0001_c9_f0046182.jpg"])
    touch(tmp_path, ["query/0005_c8_f0046985.jpg", "bounding_box_test/0005_c1_f0046985.jpg"])
    with pytest.raises(DataError, match=r"withdrew these pictures in 2019 .* accept_withdrawal: true"):
        read(name, tmp_path)
    dataset = read(name, tmp_path, accept_withdrawal=True, check="off")
    assert rows(dataset.train) == [(1, 1)]
    assert rows(dataset.query) == [(5, 7)]
    assert any("withdrew" in note for note in dataset.notes)
    assert dataset.strays == {"train": ["bounding_box_train/0001_c9_f0046182.jpg"]}


# ---------------------------------------------------------------------- small sets
def test_split_files_are_what_their_rule_says_and_halve_the_persons() -> None:
    for name, persons in splits.PERSONS.items():
        assert (splits.FOLDER / f"{name}.txt").read_text() == splits.file_text(name)
        chosen = [splits.training_persons(name, split, persons) for split in range(splits.SPLITS)]
        assert {len(set(split)) for split in chosen} == {persons // 2}
        assert len({tuple(split) for split in chosen}) == splits.SPLITS
    assert splits.training_persons("prid2011", 0, 200)[:5] == splits.drawn("prid2011", 0)[:5]


def test_viper(read: Open, tmp_path: Path) -> None:
    touch(
        tmp_path, [f"VIPeR/cam_{cam}/{n:03d}_{angle}.bmp" for n in range(632) for cam, angle in (("a", 0), ("b", 90))]
    )
    touch(tmp_path, ["VIPeR/cam_a/Thumbs.db", "VIPeR/cam_a/list.txt"])
    dataset = read("viper", tmp_path, split=3)
    assert (len(dataset.train), len(dataset.query), len(dataset.gallery)) == (632, 316, 316)  # type: ignore[arg-type]
    assert set(dataset.query.camids) == {0}  # type: ignore[union-attr]
    assert not set(dataset.train.pids) & set(dataset.query.pids)  # type: ignore[union-attr]
    assert dataset.train.pids.min() >= 1  # person 000 is no distractor
    assert sorted({*dataset.train.pids, *dataset.query.pids}) == list(range(1, 633))  # type: ignore[union-attr]
    back = read("viper", tmp_path, split=3, direction="b-to-a")
    assert back.query.paths == dataset.gallery.paths  # type: ignore[union-attr]
    (tmp_path / "VIPeR/cam_b/017_90.bmp").unlink()
    with pytest.raises(DataError, match=r"1 persons are in one camera only, first \[18\]"):
        read("viper", tmp_path)


def test_prid(read: Open, tmp_path: Path) -> None:
    for camera, persons in (("a", 385), ("b", 749)):
        touch(tmp_path, [f"single_shot/cam_{camera}/person_{n:04d}.png" for n in range(1, persons + 1)])
    dataset = read("prid2011", tmp_path, check="strict")
    assert [len(split) for split in dataset.parts().values()] == [200, 100, 649]
    assert dataset.query.pids.max() <= 200  # type: ignore[union-attr] - person 201 of A is not person 201 of B
    with pytest.raises(DataError, match="the fixed splits are for 200"):
        for camera in "ab":
            (tmp_path / f"single_shot/cam_{camera}/person_0007.png").unlink()
        read("prid2011", tmp_path)


def test_grid(read: Open, tmp_path: Path) -> None:
    from scipy.io import savemat

    for n in range(1, 251):
        touch(tmp_path, [f"underground_reid/probe/{n:04d}_{n % 7 + 1}_25004_107_32_106_221.jpeg"])
        touch(tmp_path, [f"underground_reid/gallery/{n:04d}_{n % 7 + 2}_25023_116_134_128_330.jpeg"])
    touch(tmp_path, [f"underground_reid/gallery/0000_{n % 8 + 1}_{n:05d}_1_2_3_4.jpeg" for n in range(775)])
    dataset = read("grid", tmp_path, check="strict")
    assert [len(split) for split in dataset.parts().values()] == [250, 125, 900]
    assert (dataset.gallery.pids == 0).sum() == 775  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"features_and_partitions\.mat: no such file"):
        read("grid", tmp_path, partition="official")
    cells = np.empty((1, 10), dtype=object)
    for split in range(10):
        chosen = np.arange(1, 126) + split
        cells[0, split] = {"a": np.arange(3), "b": np.arange(7), "ids": chosen} if split == 2 else chosen
    savemat(tmp_path / "underground_reid/features_and_partitions.mat", {"trainIdxAll": cells})
    official = read("grid", tmp_path, partition="official", split=2)
    assert sorted(set(official.train.pids)) == list(range(3, 128))
    assert sorted(set(read("grid", tmp_path, partition="official").train.pids)) == list(range(1, 126))


# ---------------------------------------------------------------------- rendered persons
def test_personx(read: Open, tmp_path: Path) -> None:
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        touch(tmp_path, [f"{folder}/0001_c{camera}s1_000001_00.jpg" for camera in (3, 4, 8, 10, 11, 12, 5)])
    dataset = read("personx", tmp_path, check="off")
    assert sorted(dataset.train.camids) == [0, 1, 2, 3, 4, 5]
    assert dataset.strays["train"] == ["bounding_box_train/0001_c5s1_000001_00.jpg"]
    touch(tmp_path, ["v1/1/0001_01.jpg"])
    with pytest.raises(DataError, match="PersonX_v1"):
        read("personx", tmp_path / "v1")


def test_randperson(read: Open, tmp_path: Path) -> None:
    names = ["000000_s00_c00_f000001.jpg", "000000_s00_c01_f000001.jpg", "000007_c03_s10_f000001.jpg", "x.jpg"]
    touch(tmp_path, [f"randperson_subset/{name}" for name in names])
    dataset = read("randperson", tmp_path, check="off")
    assert rows(dataset.train) == [(1, 0), (1, 1), (8, 18)]  # offsets of the scenes; person 0 is no distractor
    assert dataset.query is None
    touch(tmp_path, ["randperson_subset/000007_s01_c00_f000001.jpg", "randperson_subset/000007_s00_c02_f000001.jpg"])
    with pytest.raises(DataError, match="two cameras would become one"):
        read("randperson", tmp_path)


def test_clonedperson_keeps_cameras_of_scenes_apart(read: Open, tmp_path: Path) -> None:
    touch(tmp_path, ["train/000000_s00_c01_f1.jpg", "train/000000_s02_c01_f1.jpg", "train/000001_s02_c00_f1.jpg"])
    touch(tmp_path, ["test/query/000005_s05_c01_f1.jpg", "test/gallery/000005_s02_c01_f1.jpg"])
    dataset = read("clonedperson", tmp_path, check="off")
    assert rows(dataset.train) == [(1, 0), (1, 2), (2, 1)]
    assert rows(dataset.query) == [(6, 3)]
    assert rows(dataset.gallery) == [(6, 2)]
    official = read("clonedperson", tmp_path, check="off", camera_rule="official")
    assert rows(official.query) == rows(official.gallery) == [(6, 5)]  # what the collapse does


# ---------------------------------------------------------------------- parts of persons
@pytest.mark.parametrize(
    ("name", "query", "gallery"),
    [
        ("partial-reid", "Partial_REID/partial_body_images", "Partial_REID/whole_body_images"),
        ("partial-ilids", "query", "gallery"),
        ("occluded-reid", "occluded_body_images/001", "whole_body_images/001"),
    ],
)
def test_partial_sets_have_no_cameras(name: str, query: str, gallery: str, read: Open, tmp_path: Path) -> None:
    ending = "tif" if name == "occluded-reid" else "jpg"
    touch(tmp_path, [f"{query}/001_01.{ending}", f"{gallery}/001_01.{ending}", f"{gallery}/Thumbs.db"])
    touch(tmp_path, [f"{query}/notes of mine.{ending}"])
    dataset = read(name, tmp_path)
    assert rows(dataset.query) == rows(dataset.gallery) == [(2, -1)]
    assert len(dataset.train) == 0
    assert len(dataset.strays["query"]) == 1


# ---------------------------------------------------------------------- folders, archives, pools
def test_a_market_folder_without_cameras(read: Open, tmp_path: Path) -> None:
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        touch(tmp_path, [f"{folder}/0001_anything.jpg", f"{folder}/17.png"])
    dataset = read("market-folder", tmp_path, cameras="none")
    assert rows(dataset.query) == [(1, -1), (17, -1)]


def test_an_archive_is_read_like_its_folder(read: Open, tmp_path: Path) -> None:
    archive = tmp_path / "Market.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for folder in ("bounding_box_train", "query", "bounding_box_test"):
            out.writestr(f"Market-1501-v15.09.15/{folder}/0002_c1s1_000451_03.jpg", PICTURE.getvalue())
    dataset = read("market1501", archive, check="off")
    assert rows(dataset.train) == [(2, 0)]
    assert dataset.train.image(0).shape == (8, 4, 3)


def test_a_pool_of_any_pictures(read: Open, tmp_path: Path) -> None:
    touch(tmp_path, ["p/b/x.JPG", "p/a.png", "p/.hidden/y.jpg", "p/readme.txt"])
    dataset = read("image-folder", tmp_path / "p")
    assert dataset.train.paths == ("a.png", "b/x.JPG")
    assert rows(dataset.train) == [(0, -1), (0, -1)]
    readme, hidden = dataset.notes
    assert readme == "pool: 1 files left out, their names do not end like a picture's: readme.txt"
    assert hidden.startswith("pool: 1 files left out, hidden pictures")
    with pytest.raises(DataError, match="no such folder"):
        read("image-folder", tmp_path / "nowhere")
    touch(tmp_path, ["q/a.heic"])
    with pytest.raises(DataError, match=r"no picture in it; pool: 1 files left out, pictures of a kind .*: a\.heic"):
        read("image-folder", tmp_path / "q")


# ---------------------------------------------------------------------- endings
NAMES = {
    "market1501": (("bounding_box_train", "query", "bounding_box_test"), "0002_c1s1_000451_03", {}),
    "market-folder": (("bounding_box_train", "query", "bounding_box_test"), "0002_c1s1_000451_03", {}),
    "dukemtmc-reid": (("bounding_box_train", "query", "bounding_box_test"), "0002_c1_f0046182",
                      {"accept_withdrawal": True}),
    "personx": (("bounding_box_train", "query", "bounding_box_test"), "0002_c3_1", {}),
    "cuhk03-np": (("bounding_box_train", "query", "bounding_box_test"), "0002_c1_1", {}),
    "clonedperson": (("train", "test/query", "test/gallery"), "000002_s00_c00_f1", {}),
    "randperson": (("randperson_subset",), "000002_s00_c00_f1", {}),
    "partial-reid": (("query", "gallery"), "002_01", {}),
    "luperson": (("images",), "x", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ending", ["JPG", "jpeg", "Png", "gif", "TIF", "webp", "bmp"])
def test_every_reader_takes_every_ending(name: str, ending: str, read: Open, tmp_path: Path) -> None:
    folders, stem, params = NAMES[name]
    touch(tmp_path, [f"{folder}/{stem}.{ending}" for folder in folders])
    checked = {} if name in ("market-folder", "partial-reid") else {"check": "off"}
    dataset = read(name, tmp_path, **checked, **params)
    assert sum(map(len, dataset.parts().values())) == len(folders)
    assert dataset.strays == {}
