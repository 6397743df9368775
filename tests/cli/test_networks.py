"""Networks of rows on pictures: features that score as the table does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from reidbench.cli import main
from reidbench.errors import ReidbenchError
from reidbench.report import Leaderboard
from reidbench.testing import run_matrix, write_market_folder

MATRIX = """
image_size: [32, 16]
seeds: [0, 1]
data: {own: {use: csv-manifest, root: own.csv}}
tasks: {t: {source: own, target: own}}
backbone: {use: resnet-tiny, width: 4}
methods:
  bot: {finetune: {use: bot, epochs: 1, identities: 4, images: 2}}
  flipped: {flip_test: true, finetune: {use: bot, epochs: 1, identities: 4, images: 2}}
  colours: {finetune: {use: colour-histogram, bins: 2}}
  both: {ensemble: [bot, colours]}
"""


class Place:
    """A manifest, a matrix over it, and a store in which the matrix has run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        data = write_market_folder(folder / "data", images=2, size=(32, 16))
        self.gallery = data / "bounding_box_test"
        self.queries = sorted((data / "query").iterdir())
        rows = [f"{name},{split}" for split in ("train", "query", "gallery") for name in self._labelled(data, split)]
        rows.append(f"{rows[-1].rpartition(',')[0]},query")  # a picture that is in the gallery as well
        (folder / "own.csv").write_text("\n".join(["path,pid,camid,split", *rows]))
        self.board: Leaderboard = run_matrix(MATRIX, folder)
        assert {result.status for result in self.board.results} == {"ok"}

    def _labelled(self, data: Path, split: str) -> list[str]:
        place = data / {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}[split]
        found = sorted(file.relative_to(self.folder).as_posix() for file in place.iterdir())
        return [f"{name},{int(Path(name).name[:4])},{int(Path(name).name[6]) - 1}" for name in found]

    def row(self, method: str, seed: int | None = 1) -> list[str]:
        """The options that name a row."""
        words = ["--file", str(self.folder / "matrix.yaml"), "--store", str(self.folder / "store")]
        return [*words, "--row", method, "--task", "t", *([] if seed is None else ["--seed", str(seed)])]

    def result(self, method: str, seed: int | None = 1) -> tuple[str, float]:
        """Key and mAP of a row of the table."""
        (found,) = (one for one in self.board.results if (one.row.method, one.row.seed) == (method, seed))
        return found.row.key or "", found.metrics["mAP"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Read only."""
    return Place(tmp_path_factory.mktemp("networks"))


def program(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    command = [sys.executable, "-m", "reidbench", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def run(*arguments: object) -> str:
    """A command in this process; its output. Its errors are raised."""
    return CliRunner().invoke(main.app, [str(one) for one in arguments], catch_exceptions=False).output


def arrays(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as found:
        return dict(found)


# ---------------------------------------------------------------------- embed and export
def test_a_manifest_that_is_embedded_scores_as_the_row_in_the_table(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    done = program("embed", *place.row("bot"), place.folder / "own.csv", "-o", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{out}: 9 query and 8 gallery pictures, 28 numbers each, by finetune bot [own, seed")
    scored = json.loads(program("score", out, "--json").stdout)
    assert scored["mAP"] == pytest.approx(place.result("bot")[1], abs=1e-6)
    assert scored["warnings"] == []
    first = arrays(out)["query_names"][0]
    assert Path(str(first)).read_bytes() == place.queries[0].read_bytes()


@pytest.mark.parametrize(
    ("method", "seed", "ending"),
    [("flipped", 1, ".npz"), ("colours", None, ".npz"), ("both", 0, ".npz"), ("both", 1, ".mat")],
)
def test_so_do_rows_with_mirror_images_without_a_seed_and_of_several_networks(
    place: Place, tmp_path: Path, method: str, seed: int | None, ending: str
) -> None:
    out = tmp_path / f"x{ending}"
    told = run("embed", *place.row(method, seed), place.folder / "own.csv", "-o", out)
    assert "note: 1 query pictures are in the gallery too; no query is matched with its own picture" in told
    assert ("by an ensemble of 2: finetune bot [own, seed" in told) == (method == "both")
    assert ("with mirror images" in told) == (method == "flipped")
    scored = json.loads(run("score", out, "--json"))
    assert scored["mAP"] == pytest.approx(place.result(method, seed)[1], abs=1e-6)


@pytest.mark.parametrize("method", ["bot", "flipped", "both"])
def test_a_row_and_its_key_give_the_same_features(place: Place, tmp_path: Path, method: str) -> None:
    store = ["--store", place.folder / "store"]
    run("embed", place.result(method)[0], place.gallery, "-o", tmp_path / "key.npz", *store)
    run("embed", *place.row(method), place.gallery, "-o", tmp_path / "row.npz")
    one, other = arrays(tmp_path / "key.npz"), arrays(tmp_path / "row.npz")
    assert one.keys() == other.keys() == {"features", "names", "network"}
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_export_takes_a_row(place: Place, tmp_path: Path) -> None:
    for name, words in (
        ("key", [place.result("bot")[0], "--store", place.folder / "store"]),
        ("row", place.row("bot")),
    ):
        run("export", *words, "--format", "safetensors", "-o", tmp_path / f"{name}.safetensors")
    assert (tmp_path / "key.safetensors").read_bytes() == (tmp_path / "row.safetensors").read_bytes()
    with pytest.raises(ReidbenchError, match=r"^both is an ensemble; name one of its members: "):
        run("export", *place.row("both"), "-o", tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["embed", "--row", "bot", "photos", "-o", "OUT"], r"^--row is of a row, so it needs --file FILE"),
        (["embed", "key", "-o", "OUT"], r"^no pictures: name some, a folder or a manifest"),
        (["embed", "ROW", "-o", "OUT", "none.csv"], r"^none\.csv: no such manifest$"),
        (["export", "key", "ROW", "-o", "OUT"], r"^both a key \(key\) and --file are given; leave one of them out$"),
        (["export", "-o", "OUT"], r"^which network\? give its KEY, or --file FILE --row METHOD"),
    ],
)  # fmt: skip
def test_a_slip_is_one_sentence(place: Place, tmp_path: Path, words: list[str], sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    meant = {"OUT": [tmp_path / "x.npz"], "ROW": place.row("bot"), "GALLERY": [place.gallery]}
    meant |= {"QUERY": [place.queries[0]], "EMPTY": [tmp_path / "empty"]}
    with pytest.raises(ReidbenchError, match=sentence):
        run(*(one for word in words for one in meant.get(word, [word])))
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
