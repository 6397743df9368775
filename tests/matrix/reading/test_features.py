"""Rows whose features come from files: what a matrix file may say of them, and what their keys depend on."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reidbench.errors import ConfigError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry.plugins import Registry

Read = Callable[..., Plan]


@pytest.fixture
def planned(matrix: Callable[..., Path], registry: Registry) -> Read:
    """The plan of a file with these methods; keyword arguments replace other parts."""

    def read(methods: str, **parts: str) -> Plan:
        return plan.expand(reader.read(matrix(methods=methods, **parts), registry))

    return read


def write(file: Path, value: float = 1) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, features=np.full((1, 2), value), names=np.array(["a.jpg"]))


def embeds(found: Plan) -> dict[str, str]:
    """The key of each method's embed stage; of several by the number of the seed."""
    keys = {}
    for row in found.rows:
        (parent,) = [key for _, key in found.stages[row.key or ""].parents]
        keys[row.method if row.seed is None else f"{row.method} {row.seed}"] = parent
    return keys


def problems(planned: Read, methods: str, **parts: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        planned(methods, **parts)
    return [re.sub(r"^\S*/matrix\.yaml:\d+: ", "", problem) for problem in caught.value.problems]


def test_a_row_needs_nothing_but_its_file(tmp_path: Path, planned: Read) -> None:
    write(tmp_path / "theirs.npz")
    found = planned("{theirs: {features: theirs.npz}}", backbone="")
    assert [(row.method, row.seed, row.protocol) for row in found.rows] == [("theirs", None, "undeclared, AP step")]
    assert sorted(stage.kind for stage in found.stages.values()) == ["data", "embed", "evaluate"]
    stage = found.stages[embeds(found)["theirs"]]
    assert stage.parents == ()
    assert stage.files == {"": str(tmp_path / "theirs.npz")}
    assert stage.label == "embed theirs -> tiny [no seed, from a file]"


def test_placeholders_variables_and_parts(tmp_path: Path, planned: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each seed, task and part has its own file; rows have seeds only where the files have."""
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    for task in ("a", "b"):
        for part in ("query", "gallery"):
            write(tmp_path / "runs" / f"{task}-{part}.npz")
            for seed in (3, 4):
                write(tmp_path / "runs" / f"{task}-{seed}-{part}.npz", seed)
    methods = """{
      seeded: {features: '${RUNS}/{task}-{seed}-{part}.npz'},
      alone: {features: {query: '$RUNS/{task}-query.npz', gallery: 'runs/{task}-gallery.npz'}},
    }"""
    found = planned(methods, seeds="[3, 4]", tasks="{a: {target: tiny}, b: {target: tiny}}")
    assert [(row.method, row.task, row.seed) for row in found.rows] == [
        ("seeded", "a", 3),
        ("seeded", "a", 4),
        ("seeded", "b", 3),
        ("seeded", "b", 4),
        ("alone", "a", None),
        ("alone", "b", None),
    ]
    files = {tuple(Path(file).name for file in one.files.values()) for one in found.stages.values() if one.files}
    assert ("a-3-query.npz", "a-3-gallery.npz") in files
    assert ("a-query.npz", "a-gallery.npz") in files


def test_missing_files_are_one_sentence(planned: Read, tmp_path: Path) -> None:
    write(tmp_path / "t-0.npz")
    (problem,) = problems(planned, "{theirs: {features: 't-{seed}.npz'}}", seeds="[0, 1, 2, 3, 4]")
    first = ", ".join(repr(str(tmp_path / f"t-{seed}.npz")) for seed in (1, 2, 3))
    assert problem == f"methods.theirs.features: no such file or folder: {first} and 1 more"


@pytest.mark.parametrize(
    ("method", "sentences"),
    [
        (
            "{features: there.npz, finetune: none}",
            ["methods.m.finetune: cannot be combined with `features`; only uses, "],
        ),
        ("{features: there.npz, flip_test: true}", ["methods.m.flip_test: cannot be combined with `features`"]),
        ("{features: 3}", ["methods.m.features: must be a path, not a number"]),
        ("{features: ''}", ["methods.m.features: must be a path, not empty"]),
        (
            "{features: 'there-{sed}.npz'}",
            ["methods.m.features: unknown placeholder {sed}; did you mean 'seed'? (known: "],
        ),
        ("{features: {query: there.npz}}", ["methods.m.features: needs `query:` and `gallery:`, or one file for both"]),
        (
            "{features: {queries: there.npz, gallery: there.npz}}",
            ["unknown key; did you mean 'query'?", "needs `query"],
        ),
        ("{features: there.pkl}", ["there.pkl: not a supported feature file"]),
        (
            "{features: there.npz, uses: [target image]}",
            ["'target image': unknown word; did you mean 'target images'?"],
        ),
        ("{features: there.npz, uses: target labels}", ["unknown word; did you mean 'target-labels'?"]),
        ("{features: there.npz, uses: [3]}", ["methods.m.uses: 3: must be text, not a number"]),
        ("{features: '${NOT_SET}/x.npz'}", ["the environment variable NOT_SET is not set; export NOT_SET=FILE"]),
        ("{finetune: none, uses: [pool]}", ["methods.m.uses: is for rows with `features`"]),
        ("{features: pipe.npz}", ["methods.m.features: ", "pipe.npz: cannot be read: not a regular file"]),
    ],
)
def test_mistakes(planned: Read, tmp_path: Path, method: str, sentences: list[str]) -> None:
    write(tmp_path / "there.npz")
    (tmp_path / "there.pkl").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.npz")
    told = " / ".join(problems(planned, f"{{m: {method}}}"))
    assert [sentence for sentence in sentences if sentence not in told] == [], told


def test_the_content_is_the_key(planned: Read, tmp_path: Path) -> None:
    """And the data that it is for; no name of a file, nothing declared, no setting of training."""
    write(tmp_path / "a.npz")
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes())
    key = embeds(planned("{m: {features: a.npz}}"))["m"]
    same = [
        planned("{m: {features: moved/b.npz}}"),
        planned("{m: {features: a.npz, uses: [pool], image_size: [64, 32]}}"),
        planned("{m: {features: a.npz}}", image_size="[64, 32]", threads="2"),
        planned("{m: {features: a.npz}}", seeds="[5]", tasks="{other: {target: tiny}}"),
    ]
    assert [embeds(found)["m"] for found in same] == [key] * 4
    two = planned("{m: {features: a.npz}, n: {features: moved/b.npz}}")
    assert len([stage for stage in two.stages.values() if stage.kind == "embed"]) == 1
    parts = planned("{m: {features: {query: a.npz, gallery: moved/b.npz}}}")
    other_data = planned("{m: {features: a.npz}}", data="{tiny: {use: synthetic, size: tiny}}")
    write(tmp_path / "a.npz", 2)
    changed = planned("{m: {features: a.npz}}")
    keys = [embeds(found)["m"] for found in (parts, other_data, changed)]
    assert len({key, *keys}) == 4


def test_a_folder_is_known_by_its_names_and_contents(planned: Read, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    np.save(tmp_path / "f" / "a.npy", np.ones(2))
    first = embeds(planned("{m: {features: f}}"))["m"]
    (tmp_path / "f").rename(tmp_path / "g")
    assert embeds(planned("{m: {features: g}}"))["m"] == first
    (tmp_path / "g" / "a.npy").rename(tmp_path / "g" / "b.npy")
    assert embeds(planned("{m: {features: g}}"))["m"] != first


def test_other_rows_keep_their_keys(planned: Read, tmp_path: Path) -> None:
    write(tmp_path / "a.npz")
    alone = planned("{own: {finetune: none}, bot: {finetune: bot}}")
    beside = planned("{own: {finetune: none}, bot: {finetune: bot}, theirs: {features: a.npz}}")
    assert alone.stages.keys() < beside.stages.keys()
    assert [row.key for row in beside.rows if row.method != "theirs"] == [row.key for row in alone.rows]


def test_words_are_printed_as_declared(planned: Read, tmp_path: Path) -> None:
    write(tmp_path / "a.npz")
    methods = """{
      own: {finetune: none},
      none: {features: a.npz, uses: []},
      said: {features: a.npz, uses: [target images, flip, ImageNet labels]},
      silent: {features: a.npz},
      both: {ensemble: [own, said]},
      unsure: {ensemble: [own, silent]},
    }"""
    words = {row.method: row.protocol.removesuffix(", AP step") for row in planned(methods).rows}
    assert words == {
        "own": "no labels",
        "none": "declared: no labels",
        "said": "declared: target images, declared: flip, declared: ImageNet labels",
        "silent": "undeclared",
        "both": "declared: target images, declared: flip, declared: ImageNet labels, ensemble of 2",
        "unsure": "undeclared, ensemble of 2",
    }


def test_a_declared_size_is_said_where_sizes_differ(planned: Read, tmp_path: Path) -> None:
    write(tmp_path / "a.npz")
    methods = """{
      own: {finetune: none},
      theirs: {features: a.npz, uses: [], image_size: [64, 32]},
      unknown: {features: a.npz, uses: []},
    }"""
    words = {row.method: row.protocol.removesuffix(", AP step") for row in planned(methods).rows}
    assert words == {
        "own": "no labels, tested at 32x16",
        "theirs": "declared: no labels, declared: tested at 64x32",
        "unknown": "declared: no labels",
    }


def test_an_ensemble_has_the_seeds_of_its_parts(planned: Read, tmp_path: Path) -> None:
    for seed in (0, 1):
        write(tmp_path / f"{seed}.npz", seed)
    methods = "{bot: {finetune: bot}, theirs: {features: '{seed}.npz'}, both: {ensemble: [theirs, bot]}}"
    rows = [row for row in planned(methods, seeds="[0, 1]").rows if row.method == "both"]
    assert [row.seed for row in rows] == [0, 1]
    assert len({row.key for row in rows}) == 2


def test_nothing_is_published_for_a_row_of_files(planned: Read, tmp_path: Path) -> None:
    write(tmp_path / "a.npz")
    methods = "{own: {finetune: none}, theirs: {features: a.npz}, both: {ensemble: [own, theirs]}}"
    told = problems(planned, methods, expect="{theirs: {tiny: x}, both: {tiny: x}}")
    assert told == [
        f"expect.{name}.tiny: no component of this method has published numbers" for name in ("theirs", "both")
    ]
