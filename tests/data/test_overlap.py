"""A picture that is its own match, or was trained on, appears in the check, in the run and in the protocol column."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from reidbench.cli.main import app
from reidbench.data import Dataset, Sample, Split, hold_out, read_manifest
from reidbench.data.overlap import find_overlaps, image_numbers
from reidbench.report import Leaderboard
from reidbench.testing import run_matrix

Row = tuple[str, int, str]
HEAD = "image_size: [32, 16]\nseeds: [0]\nbackbone: {use: resnet-tiny, width: 4}\n"


def picture(file: Path, number: int) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(number)
    Image.fromarray(random.integers(0, 255, (32, 16, 3), dtype=np.uint8)).save(file)
    return file.name


def manifest(folder: Path, more: list[Row], name: str = "m") -> Path:
    """Two train persons and two test persons of two pictures each, all different, and further rows."""
    plain = [(1, "train"), (1, "train"), (2, "train"), (2, "train"), (3, "query"), (3, "gallery"), (4, "query")]
    rows: list[Row] = []
    for number, (pid, part) in enumerate([*plain, (4, "gallery")]):
        rows.append((picture(folder / f"{name}{number}.png", 1000 * len(name) + number), pid, part))
    lines = [f"{path},{pid},{part}" for path, pid, part in rows + more]
    (folder / f"{name}.csv").write_text("path,pid,split\n" + "\n".join(lines) + "\n")
    return folder / f"{name}.csv"


def check(file: Path) -> tuple[int, list[str]]:
    done = CliRunner().invoke(app, ["data", "check", "csv-manifest", str(file)])
    told = [line for line in done.output.splitlines() if line.startswith(("problem", "note", "remark"))]
    return done.exit_code, told


def run(file: Path, tmp_path: Path, methods: str = "{hist: {finetune: colour-histogram}}") -> Leaderboard:
    task = "data: {m: {use: csv-manifest, root: " + str(file) + "}}\ntasks: {m: {source: m, target: m}}\n"
    return run_matrix(f"{HEAD}{task}methods: {methods}\n", tmp_path)


def copied(folder: Path) -> str:
    shutil.copy(folder / "m4.png", folder / "copy.png")
    return "copy.png"


def linked(folder: Path) -> str:
    (folder / "link.png").symlink_to("m4.png")
    return "link.png"


def linked_folder(folder: Path) -> str:
    (folder / "again").symlink_to(folder)
    return "again/m4.png"


def hard_linked(folder: Path) -> str:
    os.link(folder / "m4.png", folder / "hard.png")
    return "hard.png"


SPELLINGS: list[Callable[[Path], str]] = [
    lambda _: "m4.png", lambda _: "./m4.png", copied, linked, linked_folder, hard_linked
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_query_that_is_in_the_gallery(spelling: Callable[[Path], str], tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    picture(folder / "m4.png", 1004)
    other = spelling(folder)
    file = manifest(folder, [(other, 3, "gallery")])
    if other == "copy.png":
        shutil.copy(folder / "m4.png", folder / "copy.png")
    sentence = f"1 of 2 query images are in the gallery too (identical files), first m4.png = {other}: "
    assert check(file) == (0, [f"note: {sentence}no query is compared with its own image"])
    board = run(file, tmp_path)
    (result,) = board.results
    assert "query images in gallery" in result.row.protocol.split(", ")
    assert "test images in train" not in result.row.protocol
    assert any(note.startswith(f"data m: {sentence}") for note in result.notes)
    (features,) = tmp_path.glob("store/objects/*/features.npz")
    with np.load(features) as columns:
        numbers = columns["query_images"], columns["gallery_images"]
    assert [len(side) for side in numbers] == [2, 3]
    assert (numbers[0][:, None] == numbers[1]).sum() == 1
    assert numbers[0][0] == numbers[1][2]


def test_a_clean_set_is_silent(tmp_path: Path) -> None:
    file = manifest(tmp_path, [])
    assert check(file) == (0, [])
    board = run(file, tmp_path)
    assert [result.notes for result in board.results] == [()]
    assert "images" not in board.results[0].row.protocol
    (features,) = tmp_path.glob("store/objects/*/features.npz")
    with np.load(features) as columns:
        assert not [name for name in columns.files if "images" in name]


def test_test_images_and_persons_in_train(tmp_path: Path) -> None:
    """Only rows that trained on them carry the words."""
    manifest(tmp_path, [])
    shutil.copy(tmp_path / "m4.png", tmp_path / "c4.png")
    file = manifest(tmp_path, [("c4.png", 3, "train"), ("m5.png", 2, "train")])
    code, told = check(file)
    assert code == 1
    assert told[0].startswith("problem: 1 identities are in train and in the test: pid 3; ")
    assert told[1:] == [
        "note: 1 of 2 query images are in train too (identical files), first m4.png = c4.png",
        "note: 1 of 2 gallery images are in train too (identical files), first m5.png = m5.png",
    ]
    methods = "{hist: {finetune: colour-histogram}, bot: {finetune: {use: bot, epochs: 1, identities: 2, images: 2}}}"
    rows = {result.row.method: result for result in run(file, tmp_path, methods).results}
    words = rows["bot"].row.protocol.split(", ")
    assert "test images in train" in words
    assert "test persons in train" in words
    assert "in train" not in rows["hist"].row.protocol
    assert any("trained on m, which contains 1 of 2 query images of m" in note for note in rows["bot"].notes)


def test_a_set_that_numbers_its_test_persons_again_has_none_of_them_in_train(tmp_path: Path) -> None:
    for number, part in enumerate(("bounding_box_train", "query", "bounding_box_test")):
        for pid in (1, 2):
            for camera in (3, 4):
                picture(tmp_path / "set" / part / f"000{pid}_c{camera}s1_1.png", 100 * number + 10 * pid + camera)
    board = run_matrix(
        f"{HEAD}data: {{p: {{use: personx, root: {tmp_path / 'set'}, check: off}}}}\n"
        "tasks: {p: {source: p, target: p}}\n"
        "methods: {bot: {finetune: {use: bot, epochs: 1, identities: 2, images: 2}}}\n",
        tmp_path,
    )
    assert board.results[0].status == "ok"
    assert "in train" not in board.results[0].row.protocol


@pytest.mark.slow
def test_test_images_in_another_source(tmp_path: Path) -> None:
    """`near` has a test picture of `m` among the pictures of its person 5; a part without that person has it not."""
    m = manifest(tmp_path, [])
    shutil.copy(tmp_path / "m5.png", tmp_path / "stolen.png")
    near = manifest(tmp_path, [("stolen.png", 5, "train")], "near")
    far = manifest(tmp_path, [], "far")
    chosen = next(seed for seed in range(50) if 5 not in Split.few_identities(_train(near), 2, seed).pids)
    board = run_matrix(
        f"""{HEAD}
data: {{{", ".join(f"{f.stem}: {{use: csv-manifest, root: {f}}}" for f in (m, near, far))}}}
tasks:
  near->m: {{source: near, target: m}}
  far->m: {{source: far, target: m}}
  both->m: {{source: [far, near], target: m}}
  part->m: {{source: {{use: near, identities: 2, subset_seed: {chosen}}}, target: m}}
  m->near: {{source: m, target: near}}
methods: {{bot: {{finetune: {{use: bot, epochs: 1, identities: 2, images: 2}}}}}}
""",
        tmp_path,
    )
    assert {result.status for result in board.results} == {"ok"}
    found = {result.row.task for result in board.results if "test images in train" in result.row.protocol}
    assert found == {"near->m", "both->m"}
    told = {note for result in board.results for note in result.notes}
    assert {note.partition(": ")[2] for note in told} == {
        "trained on near, which contains 1 of 2 gallery images of m (identical files), first m5.png"
    }


@pytest.mark.slow
def test_test_images_among_those_that_choose_an_epoch(tmp_path: Path) -> None:
    """Person 5 of `near`, one of whose pictures is a test picture of `m`, is held out by some seeds."""
    m = manifest(tmp_path, [])
    shutil.copy(tmp_path / "m5.png", tmp_path / "stolen.png")
    more: list[Row] = [("stolen.png", 5, "train")]
    more += [(picture(tmp_path / f"{name}.png", n), n // 10, "train") for name, n in (("a", 50), ("b", 60), ("c", 61))]
    near = manifest(tmp_path, more, "near")
    bot = "use: bot, epochs: 1, identities: 2, images: 2"
    data = ", ".join(f"{file.stem}: {{use: csv-manifest, root: {file}}}" for file in (m, near))
    tasks = ", ".join(
        f"by {seed}: {{source: near, target: m, validate: {{identities: 2, seed: {seed}}}}}" for seed in range(3)
    )
    board = run_matrix(
        f"{HEAD}data: {{{data}}}\ntasks: {{{tasks}}}\n"
        f"methods: {{plain: {{finetune: {{{bot}}}}}, best: {{finetune: {{{bot}, choose_epoch: best}}}}}}\n",
        tmp_path,
    )
    assert {result.status for result in board.results} == {"ok"}
    seen: dict[str, set[bool]] = {"plain": set(), "best": set()}
    for result in board.results:
        seed = int(result.row.task.removeprefix("by "))
        held_out = hold_out(read_manifest(near), {"identities": 2, "seed": seed}).query
        validated = result.row.method == "best" and 5 in held_out.pids
        words = {word for word in ("test images in train", "test images in validation") if word in result.row.protocol}
        assert words == {"test images in validation" if validated else "test images in train"}, result.row
        (note,) = (note for note in result.notes if "identical files" in note)
        assert note.endswith(", which contains 1 of 2 gallery images of m (identical files), first m5.png")
        assert ("epoch chosen on near (" in note) == validated
        seen[result.row.method].add(validated)
    assert seen == {"plain": {False}, "best": {False, True}}


def _train(file: Path) -> Split:
    return read_manifest(file).train


def test_one_picture_of_two_persons_is_a_problem(tmp_path: Path) -> None:
    manifest(tmp_path, [])
    shutil.copy(tmp_path / "m5.png", tmp_path / "c5.png")
    code, told = check(manifest(tmp_path, [("c5.png", 4, "gallery")]))
    assert code == 1
    assert (
        told[0]
        == "problem: 1 test images (identical files) have several pids: m5.png is identity 3, c5.png is identity 4"
    )
    assert told[-1] == "remark: 1 gallery images repeat another gallery image (identical files), first m5.png = c5.png"


def test_junk_and_distractors_are_no_persons(tmp_path: Path) -> None:
    manifest(tmp_path, [])
    shutil.copy(tmp_path / "m5.png", tmp_path / "c5.png")
    shutil.copy(tmp_path / "m5.png", tmp_path / "d5.png")
    code, told = check(manifest(tmp_path, [("c5.png", 0, "gallery"), ("d5.png", -1, "gallery")]))
    assert code == 0
    assert told == ["remark: 2 gallery images repeat another gallery image (identical files), first m5.png = c5.png"]


def test_pictures_that_cannot_be_read_equal_no_other(tmp_path: Path) -> None:
    rows = [Sample("gone.png", 1, 0), Sample("a.png", 2, 0)]
    (tmp_path / "a.png").write_bytes(b"a")
    split = Split(tmp_path, rows)
    dataset = Dataset("d", tmp_path, Split(tmp_path, ()), split, split)
    numbers = image_numbers(dataset)
    assert numbers["query"][0] == 0 != numbers["query"][1]
    assert find_overlaps(dataset, numbers).notes[0].startswith("1 of 2 query images are in the gallery")


def test_pictures_that_are_none_are_problems(tmp_path: Path) -> None:
    """A link to nowhere and empty files: said before anything is trained, and never equal to each other."""
    file = manifest(tmp_path, [])
    for name in ("m4.png", "m5.png"):
        (tmp_path / name).write_bytes(b"")
    code, told = check(file)
    assert (code, told) == (1, ["problem: query: 1 of 2 images are empty (0 bytes), first m4.png",
                                "problem: gallery: 1 of 2 images are empty (0 bytes), first m5.png"])  # fmt: skip
    pool = tmp_path / "pool"
    picture(pool / "a.png", 1)
    (pool / "b.png").symlink_to(tmp_path / "nowhere")
    done = CliRunner().invoke(app, ["data", "check", "image-folder", str(pool)])
    assert done.exit_code == 1
    assert "problem: train: 1 of 2 images cannot be read (a dead link or a missing file), first b.png" in done.output


def test_values_of_an_lmdb(tmp_path: Path) -> None:
    """They are read where query and gallery are among them; a pool of them is noted as not compared."""
    lmdb = pytest.importorskip("lmdb")
    place = tmp_path / "p.lmdb"
    picture(tmp_path / "a.png", 1)
    data = (tmp_path / "a.png").read_bytes()
    with lmdb.open(str(place), map_size=1 << 22) as store, store.begin(write=True) as transaction:
        for key in (b"one", b"two"):
            transaction.put(key, data)
    one, two = (Split(place, [Sample(key, 1, 0)]) for key in ("one", "two"))
    numbers = image_numbers(Dataset("d", place, Split(place, ()), one, two))
    assert numbers["query"][0] == numbers["gallery"][0] != 0
    assert image_numbers(Dataset("d", place, one)) == {}
    board = run_matrix(
        f"{HEAD}data: {{p: {{use: image-folder, root: {place}}}, m: {{use: csv-manifest, root: "
        f"{manifest(tmp_path, [])}}}}}\ntasks: {{t: {{target: m, pool: p}}}}\n"
        "methods: {d: {pretrain: {use: moco-v2, epochs: 1, batch: 2, queue: 2, splits: 1}, finetune: none}}\n",
        tmp_path,
    )
    assert board.results[0].status == "ok"
    assert board.results[0].notes == (
        "data p: its pictures, in an lmdb, are not compared with the test images of other sets",
    )


@pytest.mark.slow
def test_rendered_sets_are_not_hashed(tmp_path: Path) -> None:
    board = run_matrix(
        f"{HEAD}data: {{w: {{use: synthetic, size: tiny}}}}\ntasks: {{w: {{source: w, target: w}}}}\n"
        "methods: {hist: {finetune: colour-histogram}}\n",
        tmp_path,
    )
    assert board.results[0].status == "ok"
    assert not list(tmp_path.glob("store/objects/*/images.npz"))
    assert not list(tmp_path.glob("cache/.contents/*"))


@pytest.mark.slow
def test_all_images_of_another_source_may_have_test_images(tmp_path: Path) -> None:
    """`near` has a test picture of `m` in its own gallery: who trains on its train images has not seen it."""
    m = manifest(tmp_path, [])
    shutil.copy(tmp_path / "m5.png", tmp_path / "stolen.png")
    near = manifest(tmp_path, [("stolen.png", 4, "gallery")], "near")
    board = run_matrix(
        f"""{HEAD}
data: {{{", ".join(f"{f.stem}: {{use: csv-manifest, root: {f}}}" for f in (m, near))}}}
tasks: {{train: {{source: near, target: m}}, all: {{source: {{use: near, images: all}}, target: m}}}}
methods: {{bot: {{finetune: {{use: bot, epochs: 1, identities: 2, images: 2}}}}}}
""",
        tmp_path,
    )
    assert {result.status for result in board.results} == {"ok"}
    found = {result.row.task for result in board.results if "test images in train" in result.row.protocol}
    assert found == {"all"}
    told = {note.partition(": ")[2] for result in board.results for note in result.notes}
    assert told == {"trained on near, which contains 1 of 2 gallery images of m (identical files), first m5.png"}


@pytest.mark.slow
def test_all_images_of_the_target_by_another_name(tmp_path: Path) -> None:
    """Pictures of rendered persons are not hashed; that it is the same data set is known nevertheless."""
    board = run_matrix(
        f"{HEAD}data: {{w: {{use: synthetic, size: tiny}}, twin: {{use: synthetic, size: tiny}}}}\n"
        "tasks: {train: {source: twin, target: w}, all: {source: {use: twin, images: all}, target: w}}\n"
        "methods: {bot: {finetune: {use: bot, epochs: 1, identities: 2, images: 2}}}\n",
        tmp_path,
    )
    assert {result.status for result in board.results} == {"ok"}
    words = {result.row.task: result.row.protocol.split(", ") for result in board.results}
    assert "test images in train" in words["all"]
    assert "test images in train" not in words["train"]
    told = next(result.notes for result in board.results if result.row.task == "all")
    assert any(note.endswith("trained on all images of twin, which is w") for note in told)
