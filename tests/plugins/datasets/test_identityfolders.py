"""A folder for each identity, split by a rule that is stated."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from reidbench.cli.main import app
from reidbench.data import Dataset
from reidbench.errors import DataError
from reidbench.testing import run_matrix
from tests.support.copies import Open, rows, touch

SEALS = {"anna": 6, "bo": 4, "cleo": 5, "dora": 4, "emil": 1, "fips": 2}


def seals(root: Path) -> Path:
    names = [f"{name}/{number}.png" for name, count in SEALS.items() for number in range(count)]
    touch(root, names)
    for name in names:
        (root / name).write_bytes((root / name).read_bytes() + name.encode())  # every image is unique
    return root


def named(dataset: Dataset, part: str) -> Counter[str]:
    return Counter(path.split("/")[0] for path in dataset.parts()[part].paths)


def test_an_open_set_tests_on_identities_that_are_not_trained_on(read: Open, tmp_path: Path) -> None:
    dataset = read("identity-folders", seals(tmp_path))
    train, query, gallery = (named(dataset, part) for part in ("train", "query", "gallery"))
    assert len(train) == 3  # half of six
    assert not train.keys() & (query | gallery).keys()
    assert train + query + gallery == Counter(SEALS)
    assert set(query.values()) == {1}  # one query of each that has a pair
    assert query.keys() == {name for name in gallery if SEALS[name] > 1}
    assert {pid for pid, _ in rows(dataset.train)} | {pid for pid, _ in rows(dataset.gallery)} == {1, 2, 3, 4, 5, 6}
    assert {camid for _, camid in rows(dataset.gallery)} == {-1}
    assert dataset.notes[0] == (
        "split open, draw 0, 50% of the identities for training: 3 identities in train, 3 in the test, 0 in both"
    )
    assert (dataset.faults, dataset.one_numbering) == ((), True)


def test_an_open_set_is_that_of_the_manifest_command(read: Open, tmp_path: Path) -> None:
    """The same draw as `reidbench data manifest --pattern {pid}/* --split "50% identities"`."""
    seals(tmp_path / "seals")
    dataset = read("identity-folders", tmp_path / "seals", draw=3)
    arguments = ["data", "manifest", str(tmp_path / "seals"), "--pattern", "{pid}/*", "--split", "50% identities"]
    done = CliRunner().invoke(app, [*arguments, "--seed", "3", "-o", str(tmp_path / "m.csv")])
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "m.csv").read_text().splitlines()[1:]
    written = {tuple(line.split(",")[:3]) for line in lines}
    mine = {
        (f"seals/{sample.path}", str(sample.pid), part)
        for part, split in dataset.parts().items()
        for sample in split.samples
    }
    assert mine == written


def test_a_closed_set_trains_on_each_identity_and_tests_on_its_other_images(read: Open, tmp_path: Path) -> None:
    """Of n images half are trained on, but two or more remain; fewer than three are all trained on."""
    dataset = read("identity-folders", seals(tmp_path), split="closed")
    train, query, gallery = (named(dataset, part) for part in ("train", "query", "gallery"))
    assert train == {"anna": 3, "bo": 2, "cleo": 2, "dora": 2, "emil": 1, "fips": 2}
    assert query == dict.fromkeys(("anna", "bo", "cleo", "dora"), 1)
    assert gallery == {"anna": 2, "bo": 1, "cleo": 2, "dora": 1}
    every = [path for split in dataset.parts().values() for path in split.paths]
    assert len(every) == len(set(every)) == sum(SEALS.values())
    assert dataset.notes == (
        "split closed, draw 0, 50% of the images of each identity for training: 6 identities in train, 4 in the test, "
        "4 in both",
        "2 identities have fewer than 3 images and are only trained on: emil, fips",
    )
    assert dataset.faults == ()  # the rule of the set, not a mistake


def test_a_draw_is_the_same_again_and_another_number_is_another(read: Open, tmp_path: Path) -> None:
    seals(tmp_path / "a"), seals(tmp_path / "b")
    for split in ("open", "closed"):
        found = [
            tuple(
                part.paths
                for part in read("identity-folders", tmp_path / place, split=split, draw=draw).parts().values()
            )
            for place, draw in (("a", 0), ("b", 0), ("a", 1), ("a", 2))
        ]
        assert found[0] == found[1]
        assert len({*found}) > 1


def test_images_of_one_occasion_stay_in_one_part_and_never_match(read: Open, tmp_path: Path) -> None:
    """As for bursts of a camera trap: a folder in the identity's is a camera."""
    for name in "abcd":
        touch(tmp_path, [f"{name}/day{day}/{shot}.png" for day in (1, 2, 3, 4) for shot in (0, 1)])
    touch(tmp_path, ["a/lost.png"])
    for split in ("open", "closed"):
        dataset = read("identity-folders", tmp_path, split=split, cameras="folder")
        parts: dict[tuple[str, ...], set[str]] = {}
        for part, its in dataset.parts().items():
            for path in its.paths:
                parts.setdefault(tuple(path.split("/")[:2]), set()).add("train" if part == "train" else "test")
        assert set(map(len, parts.values())) == {1}
        assert dataset.strays == {"train": ["a/lost.png"]}
        assert {camid for _, camid in rows(dataset.train)} <= {0, 1, 2, 3}
        assert dataset.query is not None
        assert dataset.gallery is not None
        for query in dataset.query.samples:
            assert any(s.pid == query.pid and s.camid != query.camid for s in dataset.gallery.samples)
    assert "50% of the cameras of each identity for training" in dataset.notes[0]


@pytest.mark.parametrize(
    ("files", "params", "message"),
    [
        (["1.png"], {}, "no image like anna/1.jpg among 1 images"),
        (["a/1.png"], {"cameras": "folder"}, "no image like anna/left/1.jpg among 1 images"),
        (["a/1.png", "a/2.png"], {}, "split '50% identities' of 1 "),
        (["a/1.png", "b/1.png"], {}, "split open: no test identity has 2 images, so there are no queries"),
        (["a/1.png", "a/2.png"], {"split": "closed"}, "split closed: no test identity has 3 images"),
        (["1/1.png", "1/2.png", "01/1.png", "01/2.png"], {}, "are the same in two spellings"),
        (["-1/1.png", "1/1.png", "1/2.png", "2/1.png"], {}, "-1: -1 is the pid of junk, not an identity; move"),
    ],
)  # fmt: skip
def test_folders_that_cannot_be_split(
    files: list[str], params: dict[str, Any], message: str, read: Open, tmp_path: Path
) -> None:
    touch(tmp_path, files)
    with pytest.raises(DataError, match=message):
        read("identity-folders", tmp_path, **params)


MATRIX = """
image_size: [16, 16]
data: {{seals: {{use: identity-folders, root: {root}, split: {split}}}}}
tasks: {{seals: {{source: seals, target: seals}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{bot: {{finetune: {{use: bot, epochs: 1, identities: 2, images: 2}}}}}}
"""


@pytest.mark.parametrize("split", ["open", "closed"])
def test_a_row_states_the_split(split: str, tmp_path: Path) -> None:
    for number, name in enumerate("abcdef"):
        (tmp_path / "seals" / name).mkdir(parents=True)
        for shot in range(5):
            Image.new("RGB", (16, 16), (40 * number, 50 * shot, 9)).save(tmp_path / "seals" / name / f"{shot}.png")
    (row,) = run_matrix(MATRIX.format(root=tmp_path / "seals", split=split), tmp_path).results
    assert row.status == "ok", row.error
    assert any(f"split {split}, draw 0, 50%" in note for note in row.notes)
    assert ("test persons in train" in row.row.protocol) == (split == "closed")
