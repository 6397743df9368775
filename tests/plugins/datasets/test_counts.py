"""Published counts: a complete Market-1501 passes, and faults of a copy are reported by a check and a run."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from reidbench import Sample, Split
from reidbench.cli.main import app
from reidbench.components import load_attribute
from reidbench.data import Counts, Dataset, Published, examine, judge, read_contents
from reidbench.errors import DataError, ReidbenchError
from reidbench.registry import plugins
from reidbench.testing import run_matrix
from reidbench_datasets import market
from reidbench_datasets.counts import PUBLISHED
from reidbench_datasets.params import Market1501Params

TRAIN_PIDS = range(2, 1503, 2)  # 751 persons; the others are the 750 of the test
README = Path(market.__file__).with_name("README.md")


def check(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["data", "check", *map(str, arguments)])
    if isinstance(done.exception, ReidbenchError):  # cli.main prints it and ends with 2
        return 2, str(done.exception)
    return done.exit_code, done.output


def lay(root: Path, folder: str, pids: list[int], count: int) -> None:
    """Every file is one image with its name after the end of the JPEG stream, where no decoder reads."""
    (root / folder).mkdir(exist_ok=True)
    picture = (root / "one.jpg").read_bytes()
    for number in range(len(list((root / folder).iterdir())), count):
        pid = pids[number % len(pids)]
        name = f"{'-1' if pid < 0 else f'{pid:04d}'}_c{number % 6 + 1}s1_{number:06d}_00.jpg"
        (root / folder / name).write_bytes(picture + f"{folder}/{name}".encode())


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A tree with the numbers of Market-1501: 36,036 files."""
    root = tmp_path / "Market-1501"
    root.mkdir()
    Image.new("RGB", (4, 8), (9, 99, 9)).save(root / "one.jpg")
    train = [pid for pid in TRAIN_PIDS if pid <= 1501] + [1501]
    test = list(range(1, 1501, 2))
    lay(root, "bounding_box_train", train, 12936)
    lay(root, "query", test, 3368)
    lay(root, "bounding_box_test", test, 13115)
    lay(root, "bounding_box_test", [0], 13115 + 2798)
    lay(root, "bounding_box_test", [-1], 19732)
    return root


@pytest.mark.slow
def test_a_whole_market1501_and_one_with_files_missing_and_strange(whole: Path, tmp_path: Path) -> None:
    code, text = check("market1501", whole)
    assert code == 0, text
    plain = re.sub(r" +", " ", text)
    for row in (
        "| train | 12936 / 12936 | 751 / 751 | 6 / 6 | 0 | 0 |",
        "| query | 3368 / 3368 | 750 / 750 | 6 / 6 | 0 | 0 |",
        "| gallery | 19732 / 19732 | 751 / 751 | 6 / 6 | 3819 | 2798 |",
    ):
        assert row in plain
    assert "no problems found" in text
    gone = [sorted((whole / "bounding_box_test").iterdir())[n] for n in (0, 5000, 9000)]
    gone += [sorted((whole / folder).iterdir())[7] for folder in ("query", "bounding_box_train")]
    for file in gone:
        file.unlink()
    (whole / "query/holiday.jpg").write_bytes(b"x")
    (whole / "bounding_box_test/9999_c1s1_000000_00.jpg").write_bytes(b"x")
    code, text = check("market1501", whole)
    assert code == 1
    assert "total: 5 images missing, 2 unexpected files" in text
    assert "gallery: 19729 images, published: 19732: 3 missing" in text
    assert "query: 1 files that do not belong to the set: query/holiday.jpg" in text
    assert "gallery: 1 files that do not belong to the set: bounding_box_test/9999_c1s1_000000_00.jpg" in text
    # A complete copy was checked before, so that missing files can be named.
    assert "5 files missing, compared with the whole copy checked before" in text
    for file in gone:
        assert f"{file.parent.name}/{file.name}" in text
    warned = market.open_market1501(Market1501Params(), whole, tmp_path)
    assert sum("not the published market1501" in note for note in warned.notes) == 4
    assert sum("holiday.jpg" in note for note in warned.notes) == 1
    assert market.open_market1501(Market1501Params(check="off"), whole, tmp_path).notes != warned.notes
    with pytest.raises(DataError, match=r"holiday\.jpg.*3 missing.*likely|holiday\.jpg.*1 missing"):
        market.open_market1501(Market1501Params(check="strict"), whole, tmp_path)


def small_market(root: Path) -> Path:
    parts = (("bounding_box_train", (2, 7)), ("query", (3,)), ("bounding_box_test", (3, 0)))
    for number, (folder, pids) in enumerate(parts):
        (root / folder).mkdir(parents=True)
        for pid in pids:
            for camera in (1, 2):
                file = root / folder / f"{pid:04d}_c{camera}s1_000001_00.jpg"
                Image.new("RGB", (16, 32), (pid * 20, 50 * camera, 9 * number)).save(file)
    return root


@pytest.mark.parametrize(("mode", "status"), [("warn", "ok"), ("strict", "failed"), ("off", "ok")])
def test_a_run_warns_or_refuses_before_training(
    mode: str, status: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = small_market(tmp_path / "m")
    board = run_matrix(
        f"image_size: [32, 16]\ndata: {{m: {{use: market1501, root: {root}, check: {mode}}}}}\n"
        "tasks: {m: {source: m, target: m}}\nbackbone: {use: resnet-tiny, width: 4}\nevaluate: cosine\n"
        "methods: {bot: {finetune: {use: bot, epochs: 1, identities: 2, images: 2}}}\n",
        tmp_path,
    )
    told = capsys.readouterr().err
    (row,) = board.results
    assert (row.status == "ok") == (status == "ok")
    assert ("not the published market1501" in told) == (mode != "off")
    trained = re.search(r"finetune bot .*: done", told)
    assert bool(trained) == (mode != "strict")


def test_a_stricter_check_is_another_key(tmp_path: Path) -> None:
    root = small_market(tmp_path / "m")
    warn, off, strict = (
        market.fingerprint(Market1501Params(check=mode), root)  # type: ignore[arg-type]
        for mode in ("warn", "off", "strict")
    )
    assert warn == off != strict  # an accepted result must not satisfy a run that would refuse it


def test_names_against_another_copy_and_a_list(tmp_path: Path) -> None:
    one, two = small_market(tmp_path / "one"), small_market(tmp_path / "two")
    (two / "query/0003_c2s1_000001_00.jpg").unlink()
    code, text = check("market1501", two, "--against", one)
    assert code == 1
    assert "1 files missing, compared with the given copy: query/0003_c2s1_000001_00.jpg" in text
    (one / "gt_bbox").mkdir()
    Image.new("RGB", (16, 32)).save(one / "gt_bbox/0003_c1s1_000001_01.jpg")
    _, text = check("market1501", two, "--against", one)
    assert "1 files missing, compared with the given copy" in text  # not gt_bbox
    (tmp_path / "list.txt").write_text("query/0003_c1s1_000001_00.jpg\n")
    assert (
        "files unexpected, compared with the given copy"
        in check("market1501", two, "--against", tmp_path / "list.txt")[1]
    )
    assert check("market1501", two, "--against", tmp_path / "none.txt")[0] == 2


def test_names_against_a_copy_are_those_of_the_part_for_validation_too(
    registry: plugins.Registry, tmp_path: Path
) -> None:
    component = registry.get("dataset", "prcc")
    one, two = (load_attribute(component.stand_in)(component.params(), tmp_path / name) for name in ("one", "two"))
    (one / "sketch").mkdir()
    shutil.copy(one / "rgb/test/A/013/cropped_rgb001.jpg", one / "sketch/cropped_rgb001.jpg")
    assert "compared with the given copy" not in check("prcc", two, "--against", one)[1]
    (two / "rgb/val/003/A_cropped_rgb005.jpg").unlink()
    said = check("prcc", two, "--against", one)[1]
    assert "problem: 1 files missing, compared with the given copy: rgb/val/003/A_cropped_rgb005.jpg" in said
    assert "files unexpected" not in said


def test_full_lists_what_cannot_be_decoded_and_reads_all_again(tmp_path: Path) -> None:
    root = small_market(tmp_path / "m")
    bad = root / "query/0003_c1s1_000001_00.jpg"
    bad.write_bytes(bad.read_bytes()[:200])
    old = time.time() - 100
    code, text = check("market-folder", root, "--full")
    assert code == 1
    assert "images that cannot be decoded: 1" in text
    assert "query/0003_c1s1_000001_00.jpg: cannot be decoded" in text
    first = re.search(r"fingerprint \(contents\): (\w+)", text)
    Image.new("RGB", (16, 32)).save(bad)
    for file in root.rglob("*.jpg"):
        os.utime(file, (old, old))
    code, text = check("market-folder", root, "--full")
    assert code == 0
    second = re.search(r"fingerprint \(contents\): (\w+)", text)
    assert first is not None
    assert second is not None
    assert first[1] != second[1]


def dataset_of(tmp_path: Path, pids: list[int], published: Published) -> Dataset:
    rows = [Sample(f"{number}.jpg", pid, number % 2) for number, pid in enumerate(pids)]
    return Dataset("toy", tmp_path, Split(tmp_path, rows), published=published)


def test_counts_and_causes(tmp_path: Path) -> None:
    other = (("this is the other version", {"train": 4}),)
    published = Published({"train": Counts(6, 3, 2)}, "toy", {"train": (2, 3)}, other)
    report = examine(dataset_of(tmp_path, [1, 0, 0, -1], published))
    assert report.found["train"].identities == 2  # person 1 and the distractors
    assert (report.found["train"].junk, report.found["train"].distractors) == (1, 2)
    assert report.problems[:2] == (
        "train: 4 images, published: 6: 2 missing",
        "train: 2 identities, published: 3",
    )
    assert report.problems[2] == "train, by camera (without junk): camera 2 -2"
    assert report.causes == ("this is the other version",)
    assert "likely cause: this is the other version" in judge(report.dataset, "warn").notes


def test_unverified_counts_are_shown_and_never_fail(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, [1, 2], Published({"train": Counts(6, 3, 2).doubted()}, "toy"))
    report = examine(dataset)
    assert report.whole
    assert report.remarks[0] == "train: 2 images, published: 6 (unverified): 4 missing"
    assert report.table() == [["train", "2 / 6?", "2 / 3?", "2 / 2?", "0", "0"]]
    assert judge(dataset, "strict") is dataset


def test_cli_of_a_set_with_unverified_counts_and_settings(tmp_path: Path) -> None:
    root = tmp_path / "d"
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        (root / folder).mkdir(parents=True)
        Image.new("RGB", (4, 8)).save(root / folder / "0001_c2_f0046182.jpg")
    code, text = check("dukemtmc-reid", root)
    assert code == 2
    assert "withdrew" in text
    code, text = check("dukemtmc-reid", root, "--set", "accept_withdrawal=true")
    assert code == 0, text
    assert "unverified: train: 1 images, published: 16522 (unverified)" in text
    assert check("dukemtmc-reid", root, "--set", "nonsense=1")[0] == 2
    assert check("dukemtmc-reid", tmp_path / "none", "--set", "accept_withdrawal=true")[0] == 2


def test_a_root_too_high_says_so(tmp_path: Path) -> None:
    small_market(tmp_path / "outer" / "Market-1501")
    code, text = check("market1501", tmp_path / "outer")
    assert code == 2
    assert "did you mean" in " ".join(text.split())


def test_contents_read_every_picture_once(tmp_path: Path) -> None:
    dataset = market.open_market1501(Market1501Params(check="off"), small_market(tmp_path / "m"), tmp_path)
    seen: list[tuple[int, int]] = []
    first = read_contents(dataset, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (10, 10)
    file = dataset.root / dataset.train.paths[0]
    before = file.read_bytes()
    file.write_bytes(before[:-2] + b"\0\0" + before[-2:])
    assert read_contents(dataset).fingerprint != first.fingerprint


def test_published_counts_stand_in_the_readme(registry: plugins.Registry) -> None:
    lines = {line.split("|")[1].strip(): line for line in README.read_text().splitlines() if line.startswith("| ")}
    for kind, name in registry.components:
        if kind == "dataset" and registry.components[kind, name].target.startswith("reidbench_datasets"):
            assert f"`{name}`" in lines, name
    for variant, published in PUBLISHED.items():
        line = lines[f"`{variant.split(':')[0]}`"]
        for counts in published.parts.values():
            for number, _ in counts.numbers().values():
                assert f"{number:,}" in line, (variant, number)
        assert ("unverified" in line) >= any(counts.unverified for counts in published.parts.values())


def test_what_a_check_says_about_persons_and_files(tmp_path: Path) -> None:
    """A fault of the labels ends the check with 1; assumptions and excluded files are notes."""
    root = small_market(tmp_path / "m")
    (root / "query" / "0003_c1s1_000001_00.jpg").rename(root / "query" / "0000_c1s1_000001_00.JPG")
    for name in ("0000_c1s1_000001_00.jpg", "-1_c2s1_000001_00.jpg"):
        Image.new("RGB", (16, 32)).save(root / "bounding_box_train" / name)
    (root / "query" / "x.heic").touch()
    code, text = check("market-folder", root)
    assert code == 1
    assert "\nproblem: query: pid 0 (1 images) is scored as an identity and is also in train" in text
    assert "\nnote: train: pid 0 (1 images) is trained on as an identity" in text
    assert "\nnote: train: 1 images left out: junk (pid -1)" in text
    assert "\nnote: query: 1 files left out, images of an unsupported format" in text
    assert "market-folder: see the problems above" in text
    file = tmp_path / "own.csv"
    file.write_text("path,pid,split\nm/query/0003_c2s1_000001_00.jpg,3,train\nm/query/0003_c2s1_000001_00.jpg,3,query\n"
                    "m/bounding_box_test/0003_c1s1_000001_00.jpg,3,gallery\n")  # fmt: skip
    code, text = check("csv-manifest", file)
    assert code == 1
    assert text.count("1 identities are in train and in the test: pid 3") == 1


def test_a_whole_set_of_ones_own_has_nothing_wrong(tmp_path: Path) -> None:
    code, text = check("market-folder", small_market(tmp_path / "m"))
    assert code == 0, text
    assert "note:" not in text
    assert "no problems found" in text


def test_names_without_a_camera_name_the_parameter(tmp_path: Path) -> None:
    for number, folder in enumerate(("bounding_box_train", "query", "bounding_box_test")):
        (tmp_path / "m" / folder).mkdir(parents=True)
        Image.new("RGB", (16, 32), (number, 0, 0)).save(tmp_path / "m" / folder / f"0002_{number}.jpg")
    code, text = check("market-folder", tmp_path / "m")
    assert code == 2
    assert text.endswith("names without a camera, like 0002_1.jpg, need `cameras: none`")
    code, _ = check("market-folder", tmp_path / "m", "--set", "cameras=none")
    assert code == 1  # names are valid now; person 2 is in train and in the test
    (tmp_path / "m" / "query" / "0002_c1s1_000000_00.jpg").touch()  # a camera somewhere: names are missing theirs
    code, text = check("market-folder", tmp_path / "m")
    assert code == 2
    assert "no image with a name like" in text
    assert "cameras: none" not in text
