"""`reidbench data manifest`: from a folder of pictures to a CSV that trains and is scored."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from reidbench.cli import main
from reidbench.cli.end import exit_code
from reidbench.data import read_manifest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "own-data.md"
SHOP = "store{store}_cam{camid}_person{pid}_{}.jpg"
PEOPLE = ("anna", "bob", "çelik", "Dora x", "e", "f")


def picture(file: Path, *colour: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 32), colour).save(file)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Six persons by two cameras, two pictures each; a person has a colour."""
    for number, person in enumerate(PEOPLE):
        for camera in (1, 2):
            for shot in (0, 1):
                name = f"storeA_cam{camera}_person{person}_{shot}.jpg"
                picture(tmp_path / "photos" / name, 40 * number, 100 * camera, 40 * shot)
    return tmp_path / "photos"


def manifest(*arguments: object) -> int | str | None:
    """The exit code of `reidbench data manifest`; what it prints is on the usual streams."""
    return exit_code(lambda: main.app(["data", "manifest", *map(str, arguments)]))


@pytest.mark.slow
def test_two_commands_from_a_folder_to_a_scored_row(shop: Path) -> None:
    def command(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "reidbench", *words], cwd=shop.parent, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    section = PAGE.read_text().split("\n## From a folder")[1].split("\n## ")[0]
    first, second = re.findall(r"^reidbench .*$", section, re.MULTILINE)[:2]
    (matrix,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    said = command(*shlex.split(first)[1:])
    assert "train: 16 images, 4 identities, 2 cameras\n" in said
    assert "query: 4 images, 2 identities, 2 cameras\n" in said
    assert "gallery: 4 images, 2 identities, 2 cameras\n" in said
    assert "note: " not in said
    assert said.endswith("in a matrix file:\ndata:\n  own: {use: csv-manifest, root: m.csv}\n")
    assert matrix.count("\n  own: {use: csv-manifest, root: m.csv}\n") == 1
    (shop.parent / "own.yaml").write_text(matrix.replace("epochs: 20", "epochs: 1"))
    assert second == "reidbench run own.yaml"
    table = command("run", "own.yaml", "--executor", "inline")
    assert re.search(r"\| bot +\| +\*{0,2}[0-9]+\.[0-9]", table), table
    assert " 0 to run" in command("plan", "own.yaml")


def test_persons_with_letters_are_numbered_and_the_map_is_kept(shop: Path) -> None:
    assert manifest(shop, "--pattern", SHOP, "-o", shop.parent / "m.csv", "--seed", 5) == 0
    kept = json.loads((shop.parent / "m.map.json").read_text(encoding="utf-8"))
    assert kept == {
        "pattern": SHOP,
        "split": "50% identities",
        "seed": 5,
        "pid": {"Dora x": 1, "anna": 2, "bob": 3, "e": 4, "f": 5, "çelik": 6},
        "camid": {"1": 1, "2": 2},
    }
    with (shop.parent / "m.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    for row in rows:
        found = re.fullmatch(r"photos/storeA_cam([12])_person(.+)_[01]\.jpg", row["path"])
        assert found is not None
        assert (int(row["camid"]), int(row["pid"])) == (int(found[1]), kept["pid"][found[2]])


def test_the_same_command_writes_the_same_bytes_and_another_seed_others(shop: Path) -> None:
    out = shop / "m.csv"  # among the pictures: the second run does not report it as stray
    written = []
    for seed in (0, 0, 1):
        assert manifest(shop, "--pattern", SHOP, "--seed", seed, "-o", out) == 0
        written.append((out.read_bytes(), out.with_suffix(".map.json").read_bytes()))
    assert written[0] == written[1]
    assert written[0][0] != written[2][0]


def test_a_manifest_beside_the_pictures_names_their_folder(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lists").mkdir()
    assert manifest(shop, "--pattern", SHOP, "-o", tmp_path / "lists" / "m.csv") == 0
    assert capsys.readouterr().out.endswith(
        f"\ndata:\n  own: {{use: csv-manifest, root: {tmp_path}/lists/m.csv, images: ../photos}}\n"
    )
    command = ["data", "check", "csv-manifest", f"{tmp_path}/lists/m.csv", "--set", "images=../photos", "--full"]
    assert exit_code(lambda: main.app(command)) == 0
    assert "csv-manifest: no problems found" in capsys.readouterr().out


def test_what_is_left_out_is_counted_and_named_and_strict_refuses_it(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        picture(shop / f"holiday {number}.jpg", 1, 2, 3)
    (shop / "storeA_cam1_persone_9.jpg").write_bytes(b"no picture")
    (shop / "list.txt").touch()
    assert manifest(shop, "--pattern", SHOP, "-o", shop / "m.csv", "--split", "none") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        f"note: 4 of 29 images do not match {SHOP}, first holiday 0.jpg, holiday 1.jpg, holiday 2.jpg",
        "note: 1 of 29 images cannot be written into a manifest or decoded, first storeA_cam1_persone_9.jpg",
        f"note: {shop}: 1 files left out, their extension is not an image's: list.txt",
    ]
    assert sum(map(len, read_manifest(shop / "m.csv").parts().values())) == 24
    (shop / "m.csv").unlink()
    assert manifest(shop, "--pattern", SHOP, "-o", shop / "m.csv", "--strict") == 2
    assert f"reidbench: {shop}: 4 of 29 images do not match {SHOP}, first holiday 0.jpg" in capsys.readouterr().err
    assert not (shop / "m.csv").exists()


def test_odd_names_are_read_or_left_out_and_never_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{person}_{camera}_{number}.png" for person in ("a\nb", "\x1b[31m", 'q"u,o', "-") for camera in "12"
             for number in "12"]  # fmt: skip
    for number, name in enumerate(names):
        picture(tmp_path / "odd" / name, number, 0, 0)
    picture(tmp_path / "odd" / os.fsdecode(b"\xff_1_1.png"), 99, 0, 0)
    out = tmp_path / "m.csv"
    assert manifest(tmp_path / "odd", "--pattern", "{pid}_{camid}_{}.png", "--split", "none", "-o", out) == 0
    said = capsys.readouterr().out
    assert "1 of 17 images cannot be written into a manifest or decoded, first \\udcff_1_1.png" in said
    assert all(line.isprintable() for line in said.splitlines())
    found = [path for split in read_manifest(out).parts().values() for path in split.paths]
    assert sorted(found) == sorted(f"odd/{name}" for name in names)


def test_equal_pictures_of_two_persons_end_with_1(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "storeA_cam1_personbob_2.jpg").write_bytes((shop / "storeA_cam1_personanna_0.jpg").read_bytes())
    for split, what in (("none", "test"), ("train", "train")):
        assert manifest(shop, "--pattern", SHOP, "-o", shop.parent / "m.csv", "--split", split) == 1
        said = capsys.readouterr().out
        assert (
            f"problem: 1 {what} images (identical files) have several pids: photos/storeA_cam1_personanna_0.jpg is"
            in said
        )


def test_equal_pictures_of_a_train_and_a_test_person_end_with_1(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Anna and Bob are on different sides of the split with some seeds, and every seed is refused."""
    (shop / "storeA_cam1_personbob_2.jpg").write_bytes((shop / "storeA_cam1_personanna_0.jpg").read_bytes())
    found = set()
    for seed in range(6):
        command = ["--pattern", SHOP, "-o", shop.parent / "m.csv", "--split", "50% identities", "--seed", seed]
        assert manifest(shop, *command) == 1
        (said,) = (line for line in capsys.readouterr().out.splitlines() if "have several pids" in line)
        found.add(said.partition(" images")[0])
    assert "problem: 1 train and test" in found


def test_a_folder_for_each_person_and_a_regular_expression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for person in ("0002", "0007", "0011", "0020"):
        for camera in (1, 2):
            picture(tmp_path / "p" / person / f"{camera:03d}.png", int(person), camera, 0)
    assert manifest(tmp_path / "p", "--pattern", "{pid}/{camid}.png", "-o", tmp_path / "a.csv") == 0
    assert manifest(tmp_path / "p", "--regex", r"(?P<pid>\d+)/(?P<camid>\d+)\.png", "-o", tmp_path / "b.csv") == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert "p/0007/001.png,7,1," in (tmp_path / "a.csv").read_text()
    assert manifest(tmp_path / "p", "--pattern", "{pid}/*.png", "-o", tmp_path / "c.csv") == 0
    assert (tmp_path / "c.csv").read_text().startswith("path,pid,split\n")
    assert "note: the pattern has no {camid}: cameras are unknown" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "give either --pattern or --regex, which extracts the identity from each image's name"),
        (
            ["--pattern", SHOP, "--regex", "x"],
            "give either --pattern or --regex, which extracts the identity from each image's name",
        ),
        (["--pattern", "cam{camid}_{}.jpg"], "pattern cam{camid}_{}.jpg: no field {pid}, which is the identity"),
        (["--regex", "(?P<pid>"], "regular expression (?P<pid>: missing ), unterminated subpattern at position 0"),
        (["--pattern", "x{pid}.jpg"], "FOLDER: none of 24 images matches x{pid}.jpg, first "
         "storeA_cam1_personDora x_0.jpg, storeA_cam1_personDora x_1.jpg, storeA_cam1_personanna_0.jpg"),
        (["--pattern", "*\\{pid}.jpg"], "FOLDER: none of 24 images matches *\\{pid}.jpg, first "
         "storeA_cam1_personDora x_0.jpg, storeA_cam1_personDora x_1.jpg, storeA_cam1_personanna_0.jpg; write paths "
         "with /, not \\"),
        (["--pattern", "{x}_{pid}_{camid}.jpg"], "pattern {x}_{pid}_{camid}.jpg: storeA_cam1_personDora x_0.jpg "
         "matches with {x} as 'storeA' or 'storeA_cam1': write more of the name into the "
         "pattern, or give a regular expression"),
        (["--pattern", SHOP, "--split", "most"], "split 'most': expected 'N% identities' or 'N identities' for "
         "training, none (all for the test) or train (all for training)"),
        (["--pattern", SHOP, "-o", "FOLDER/none/m.csv"], "FOLDER/none: no such folder, so m.csv cannot be written"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(
    options: list[str], sentence: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [option.replace("FOLDER", str(shop)) for option in options]
    assert manifest(shop, "-o", shop.parent / "m.csv", *given) == 2
    assert capsys.readouterr().err == f"reidbench: {sentence.replace('FOLDER', str(shop))}\n"
    assert not (shop.parent / "m.csv").exists()


def test_a_folder_without_pictures_and_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert manifest(tmp_path / "none", "--pattern", SHOP, "-o", tmp_path / "m.csv") == 2
    assert capsys.readouterr().err == f"reidbench: {tmp_path}/none: no such folder\n"
    (tmp_path / "empty").mkdir()
    assert manifest(tmp_path / "empty", "--pattern", SHOP, "-o", tmp_path / "m.csv") == 2
    assert capsys.readouterr().err == f"reidbench: {tmp_path}/empty: contains no images\n"


def test_clothes_modality_and_tracklets_are_columns_of_the_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two persons, each with two tracklets by either camera in two outfits, of two pictures; one of none."""
    for number, (person, camera, walk, shot) in enumerate(itertools.product("ab", ("1-RGB", "2-IR"), "12", "12")):
        picture(tmp_path / "p" / f"{person}_{camera}_coat{walk}_{walk}_{shot}.png", number, 9, 9)
    picture(tmp_path / "p" / "a_1-RGB_coat1__1.png", 99, 9, 9)
    regex = r"(?P<pid>.)_(?P<camid>.)-(?P<modality>\w+?)_(?P<clothes>\w+?)_(?P<tracklet>\d*)_\d\.png"
    assert manifest(tmp_path / "p", "--regex", regex, "--split", "none", "-o", tmp_path / "m.csv") == 0
    said = capsys.readouterr().out
    assert "note: modality: IR is infrared, RGB is visible\n" in said
    assert re.search(
        r"^note: tracklet 1 occurs 4 times, for identity a by camera 1, .* and identity a by camera", said, re.M
    )
    for what, total in (("tracklets", 8), ("infrared images", 8), ("visible images", 9)):
        assert sum(map(int, re.findall(rf"^(?:query|gallery): .*?(\d+) {what}", said, re.MULTILINE))) == total
    assert exit_code(lambda: main.app(["data", "check", "csv-manifest", f"{tmp_path}/m.csv"])) == 0
    titles = re.search(r"^\| split .*$", capsys.readouterr().out, re.MULTILINE)
    assert titles is not None
    for what in ("outfits", "tracklets", "visible images", "infrared images"):
        assert f"| {what} / published" in titles[0]
    with (tmp_path / "m.csv").open(newline="") as file:
        rows = {row["path"].removeprefix("p/"): row for row in csv.DictReader(file)}
    assert {row["tracklet"] for row in rows.values()} == {"", *map(str, range(8))}
    assert rows["a_1-RGB_coat1__1.png"]["tracklet"] == ""
    for name, row in rows.items():
        assert row["clothes"] == str(int("coat2" in name))
        assert row["modality"] == ("visible" if "RGB" in name else "infrared")
    kept = json.loads((tmp_path / "m.map.json").read_text())
    assert kept["clothes"] == {"coat1": 0, "coat2": 1}
    assert kept["modality"] == {"IR": "infrared", "RGB": "visible"}
    of_last = {"person": "b", "camera": "2", "clothes": "coat2", "modality": "IR", "tracklet": "2"}
    assert kept["tracklet"][int(rows["b_2-IR_coat2_2_1.png"]["tracklet"])] == of_last


def test_modalities_that_no_manifest_could_have_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a_1_3d.png", "a_2_3d.png"):
        picture(tmp_path / "p" / name, 1, 1, 1)
    assert manifest(tmp_path / "p", "--pattern", "{pid}_{camid}_{modality}.png", "--split", "none", "-o",
                    tmp_path / "m.csv") == 2  # fmt: skip
    assert capsys.readouterr().err == (
        "reidbench: modality '3d' is not a lower-case word: write visible, infrared or thermal\n"
    )
