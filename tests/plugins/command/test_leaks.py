"""A program receives no labels: not by names, times, order or links, and not by arguments or variables."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench.data import Split
from reidbench.data.pictures.opaque import TIME

from .conftest import Bench, errors

# Copies its input to a place known to the test, and writes file sizes as features.
SPY = """
import json, os, sys
from pathlib import Path
from extract import counts, write
place, folders, out = Path(sys.argv[1]), [Path(one) for one in sys.argv[2:-1]], Path(sys.argv[-1])
seen = []
for folder in folders:
    for file in [folder, *folder.rglob("*")] if folder.is_dir() else [folder]:
        info = file.lstat()
        link = os.path.islink(file) or (file.is_file() and info.st_nlink > 1)
        data = file.read_bytes().hex() if file.is_file() else ""
        seen.append([str(folder), str(file), file.is_file(), link, info.st_mtime_ns, info.st_mode, data])
held = {"arguments": sys.argv[1:], "variables": dict(os.environ), "folder": os.getcwd(), "stdin": sys.stdin.read()}
(place).write_text(json.dumps({"seen": seen, **held, "listed": [os.listdir(f) for f in folders if f.is_dir()]}))
if "images" in str(folders[0]):
    files = sorted(folders[0].iterdir())
    write(out, [file.name for file in files], [counts(file) for file in files])
else:
    (out / "done").touch()
"""


def spied(bench: Bench, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bench.folder / name).read_text())
    return found


def parts(bench: Bench) -> dict[str, Split]:
    """The lists of the data set, whose paths and labels must be hidden."""
    (folder,) = bench.artifacts("data")
    root = Path(json.loads((folder / "manifest.json").read_text())["root"])
    return {part: Split.load(folder / f"{part}.json", root) for part in ("train", "query", "gallery")}


def check_hidden(given: dict[str, Any], folder: str, split: Split) -> list[str]:
    """Nothing in the input reveals a pid or a camera of these images, whose bytes are those of the data set."""
    files = [row for row in given["seen"] if folder in row[0] and row[2]]
    names = [Path(row[1]).name for row in files]
    assert len(names) == len(set(names)) == len(split)
    originals = sorted((split.root / path).read_bytes() for path in split.paths)
    assert sorted(bytes.fromhex(row[6]) for row in files) == originals
    assert {row[3] for row in files} == {False}, "a link leads to the data"
    assert {row[4] for row in files} == {TIME * 10**9}
    assert len({row[5] for row in files}) == 1
    words = {Path(path).stem for path in split.paths} | {f"{pid:04d}_" for pid in split.pids} | {str(split.root)}
    texts = json.dumps({**given, "seen": [row[:6] for row in given["seen"]]})
    assert [word for word in words if word in texts] == []
    assert not [name for name in names if re.search(r"[0-9]", name)], "a pid could be in a name"
    return names


def run(bench: Bench, **step: Any) -> None:
    kind = "adapt" if "{target}" in step["train"] else "finetune"
    bench.program("spy.py", SPY)
    assert errors(bench.run(m={kind: {"use": "command", **step}})) == {}


@pytest.fixture
def adapted(rendered: Bench) -> Bench:
    """Trained on hidden target images, then run on query and gallery."""
    extract = "python spy.py extract.json {images} {model} {out}"
    run(rendered, train="python spy.py train.json {target} {out}", extract=extract)
    return rendered


def test_pictures_are_copies_under_names_that_say_nothing(adapted: Bench) -> None:
    own = parts(adapted)
    check_hidden(spied(adapted, "train.json"), "/target", own["train"])
    both = Split(own["query"].root, [*own["query"].samples, *own["gallery"].samples])
    given = spied(adapted, "extract.json")
    names = check_hidden(given, "/images", both)
    assert given["stdin"] == ""
    assert not [name for name in given["variables"] if name.startswith(("REIDBENCH", "PYTHONPATH"))]
    # The sorted order reveals nothing: queries are neither first nor together.
    query = {(own["query"].root / path).read_bytes() for path in own["query"].paths}
    data = {Path(row[1]).name: bytes.fromhex(row[6]) for row in given["seen"] if row[2]}
    is_query = np.array([data[name] in query for name in sorted(names)])
    changes = int((is_query[1:] != is_query[:-1]).sum())
    assert changes > len(query) / 2


@pytest.mark.slow
def test_names_are_the_same_in_each_run_and_others_with_another_seed(rendered: Bench, tmp_path: Path) -> None:
    seen = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        again = Bench(tmp_path / name, rendered.data)
        again.program("spy.py", SPY)
        step = {"use": "command", "extract": "python spy.py {seed}.json {images} {out}"}
        assert errors(again.run(m={"finetune": step})) == {}
        seen.append([sorted(spied(again, f"{seed}.json")["listed"][0]) for seed in (0, 1)])
    assert seen[0] == seen[1]
    assert not set(seen[0][0]) & set(seen[0][1])


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["market", "csv"])
def test_the_source_has_its_labels_and_the_target_none(layout: str, rendered: Bench) -> None:
    extract = "python spy.py extract.json {images} {model} {out}"
    train = "python spy.py train.json {target} {source} {out}"
    run(rendered, train=train, extract=extract, layout=layout)
    split = parts(rendered)["train"]
    labels = {(split.root / p).read_bytes(): (pid, camid) for p, pid, camid, *_ in split.samples}
    given = spied(rendered, "train.json")
    source = [row for row in given["seen"] if row[0].endswith("/source") and row[2]]
    if layout == "market":
        found = {}
        for row in source:
            pid, camera, _ = re.fullmatch(r"(\d{4})_c(\d+)s1_(\d{6})_00\.png", Path(row[1]).name).groups()  # type: ignore[union-attr]
            assert Path(row[1]).parent.name == "bounding_box_train"
            found[bytes.fromhex(row[6])] = int(pid), int(camera) - 1
    else:
        (table,) = [row for row in source if row[1].endswith("/train.csv")]
        data = {row[1].partition("/source/")[2]: bytes.fromhex(row[6]) for row in source}
        rows = list(csv.DictReader(bytes.fromhex(table[6]).decode().splitlines()))
        assert {row["split"] for row in rows} == {"train"}
        found = {data[row["path"]]: (int(row["pid"]), int(row["camid"])) for row in rows}
    assert found == labels


@pytest.mark.slow
def test_cameras_are_given_where_they_are_asked_for(rendered: Bench) -> None:
    extract = "python spy.py extract.json {images} {cameras} {model} {out}"
    run(rendered, train="python spy.py train.json {target} {out}", extract=extract, cameras=True)
    own = parts(rendered)
    data = {(s.root / p).read_bytes(): camid for s in (own["query"], own["gallery"]) for p, _, camid, *_ in s.samples}
    given = spied(rendered, "extract.json")["seen"]
    pictures = {Path(row[1]).name: bytes.fromhex(row[6]) for row in given if "/images/" in row[1]}
    (table,) = [bytes.fromhex(row[6]).decode() for row in given if row[1].endswith("cameras.csv")]
    rows = list(csv.DictReader(table.splitlines()))
    assert {pictures[row["name"]]: int(row["camera"]) for row in rows} == data
