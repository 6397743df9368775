"""A program's features are a normal row: equal numbers in every executor, and a key that covers its inputs."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench.data import read_market_folder

from .conftest import BYTES, Bench, errors, scores

EXTRACT = {"use": "command", "extract": "python extract.py {images} {out}", "files": ["extract.py"]}
# The definition of colour-histogram, with only numpy and Pillow.
HISTOGRAM = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
def stripe(colours):
    return np.bincount(colours.ravel(), minlength=512) / colours.size
def feature(file):
    image = Image.open(file).convert("RGB").resize((32, 64), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)[:, 8:24].astype(np.float32) / np.float32(255)
    red, green, blue = np.moveaxis(np.minimum((pixels * 8).astype(int), 7), 2, 0)
    return np.concatenate([stripe(part) for part in np.array_split(64 * red + 8 * green + blue, 6)])
images, out = map(Path, sys.argv[1:])
files = sorted(images.iterdir(), reverse=True)
np.savez(out / "features.npz", names=[str(file) for file in files], features=[feature(file) for file in files])
"""


@pytest.mark.slow
def test_the_same_features_give_the_same_numbers_as_a_plugins_row(rendered: Bench) -> None:
    rendered.program("histogram.py", HISTOGRAM)
    mine = {**EXTRACT, "extract": "python histogram.py {images} {out}", "files": ["histogram.py"], "uses": "none"}
    board = rendered.run(plugin={"finetune": "colour-histogram"}, mine={"finetune": mine})
    found = scores(board)
    assert found["mine"] == pytest.approx(found["plugin"], abs=1e-6)
    assert found["mine"] > 0.2
    protocols = {result.row.method: result.row.protocol for result in board.results}
    assert protocols["mine"] == protocols["plugin"] == "no labels, AP step"
    assert [result.row.seed for result in board.results] == [None, None]  # neither is given one


def test_each_row_belongs_to_its_picture(bench: Bench, market: Path) -> None:
    """Compared with the bytes of the files in the data set's order."""
    assert errors(bench.run(mine={"finetune": EXTRACT})) == {}
    found = bench.features()
    data = read_market_folder(market, name="tiny")
    for part, split in data.parts().items():
        if part != "train":
            files = [(market / path).read_bytes() for path in split.paths]
            counts = [[file.count(value) for value in range(0, 256, 8)] for file in files]
            assert np.array_equal(found[f"{part}_features"], np.array(counts, dtype=np.float32))
            assert found[f"{part}_pids"].tolist() == split.pids.tolist()


TRAIN = "import sys; print('TRAINS'); open(sys.argv[1] + '/w', 'w').write(sys.argv[2])"


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["process", "ray"])
def test_every_executor_prints_the_same_table_and_keeps_the_log(executor: str, bench: Bench) -> None:
    if executor == "ray" and find_spec("ray") is None:
        pytest.skip("needs the extra ray")
    bench.program("train.py", TRAIN)
    trained = {**EXTRACT, "train": "python train.py {out} {seed}", "extract": f"{EXTRACT['extract']} {{model}}"}
    methods: dict[str, Any] = {"a": {"finetune": EXTRACT}, "b": {"finetune": trained}}
    inline = bench.command("run", "matrix.yaml", "--store", "other", "--executor", "inline", **methods)
    done = bench.command("run", "matrix.yaml", "--store", "store", "--executor", executor)
    assert (done.returncode, inline.returncode) == (0, 0), done.stderr + inline.stderr
    assert done.stdout == inline.stdout
    assert "(no seed)" in done.stdout
    assert bench.log().count("TRAINS\n") == 2
    models = [folder / "model" / "w" for folder in bench.artifacts("finetune")]
    assert {file.read_text() for file in models if file.is_file()} == {"0", "1"}
    bench.store = bench.folder / "other"
    assert bench.log().count("TRAINS\n") == 2


def test_a_program_of_another_environment(bench: Bench) -> None:
    """A second virtual environment, without packages, instead of conda."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bench.folder / "old")], check=True)
    bench.program(
        "say.py", "import sys, extract\nprint('PREFIX', sys.prefix, [p for p in sys.path if 'reidbench' in p])"
    )
    bench.program("lock.txt", "nothing\n")
    both = "cd {out} && $HERE/old/bin/python $HERE/extract.py {images} {out} && $HERE/old/bin/python $HERE/say.py"
    own = {"use": "command", "extract": both, "shell": True, "env": {"HERE": str(bench.folder)}, "lock": "lock.txt"}
    assert errors(bench.run(mine={"finetune": own})) == {}
    assert "PREFIX ***/old []" in bench.log()


def test_the_key_has_commands_files_lock_environment_and_declared_uses(bench: Bench) -> None:
    bench.program("lock.txt", "numpy==1\n")
    (bench.folder / "weights").mkdir()
    bench.program("weights/a.bin", "one")
    changes: list[dict[str, Any]] = [
        {},
        {"extract": "python extract.py {images} {out} --fast"},
        {"files": ["extract.py", "weights"]},
        {"lock": "lock.txt"},
        {"env": {"MODE": "fast"}},
        {"env": {"MODE": "slow"}},
        {"uses": ["ImageNet labels"]},
        {"uses": "none"},
    ]
    seen = [bench.key(**{**EXTRACT, **change}) for change in changes]
    bench.program("weights/a.bin", "two")
    bench.program("lock.txt", "numpy==2\n")
    seen += [bench.key(**{**EXTRACT, **change}) for change in changes[2:4]]
    bench.program("extract.py", BYTES + "# changed\n")
    seen.append(bench.key(**EXTRACT))
    assert len(set(seen)) == len(changes) + 3


def test_limits_the_place_and_bytecode_are_no_part_of_the_key(bench: Bench) -> None:
    (bench.folder / "code" / "__pycache__").mkdir(parents=True)
    listed = {**EXTRACT, "files": ["extract.py", "code"]}
    before = bench.key(**listed)
    bench.program("code/__pycache__/x.pyc", "bytecode")
    assert bench.key(**listed, minutes=5, memory_gb=4, resumable=True, folder="code") == before


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["process", "inline"])
def test_values_of_the_environment_are_kept_nowhere(executor: str, bench: Bench) -> None:
    bench.program(
        "say.py",
        "import os, sys\nfor _ in range(3): print('it is', os.environ['TOKEN'] * 2)\nsys.exit(os.environ['TOKEN'])",
    )
    failing = {**EXTRACT, "extract": "python say.py {images} {out}"}
    secret = "-".join(("correct", "horse", "battery"))
    methods = {name: {"finetune": {**one, "env": {"TOKEN": secret}}} for name, one in (("a", EXTRACT), ("b", failing))}
    done = bench.command("run", "matrix.yaml", "--store", "store", "--executor", executor, **methods)
    assert "; its last line: ***" in done.stdout + done.stderr
    assert "it is ******" in bench.log()
    shown = bench.command("plan", "matrix.yaml", "--store", "store")
    page = bench.command("table", "matrix.yaml", "--store", "store", "--format", "html", "-o", "page.html")
    for text in (done.stdout, done.stderr, shown.stdout, page.stdout):
        assert secret not in text
    holding = [file for file in bench.folder.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
    assert holding == [bench.folder / "matrix.yaml"]
    manifests = "".join((folder / "manifest.json").read_text() for folder in bench.artifacts("finetune"))
    assert len(set(re.findall(r'"TOKEN": "(sha256:\w{64})"', manifests))) == 1


def test_a_path_that_is_not_listed_is_noted(bench: Bench) -> None:
    bench.program("weights.bin", "w")
    bare = {"use": "command", "extract": "python extract.py {images} {out} --weights=weights.bin", "lock": "extract.py"}
    (result,) = bench.run(m={"finetune": bare}).results
    assert [note.partition(": ")[2].partition(" is used in a command")[0] for note in result.notes] == [
        "extract.py",
        "weights.bin",
    ]
    bench.store = bench.folder / "store"
    (listed,) = bench.run(m={"finetune": {**bare, "files": ["extract.py", "weights.bin"]}}).results
    assert listed.notes == ()


@pytest.mark.slow
def test_embed_and_export_say_that_the_row_is_a_program(bench: Bench) -> None:
    assert errors(bench.run(mine={"finetune": EXTRACT})) == {}
    (key,) = (folder.name for folder in bench.artifacts("embed"))
    for words in (("embed", key, str(bench.folder), "-o", "x.npz"), ("export", key, "-o", "x.onnx")):
        (bench.folder / "a.png").write_bytes(b"")
        done = bench.command(*words, "--store", "store")
        assert done.returncode == 2
        assert "is an external program without a network" in done.stderr
        assert "Traceback" not in done.stderr
