"""`reidbench look` by row and by key, in a separate process, on rendered persons; and its errors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reidbench.report import Leaderboard
from reidbench.testing import run_matrix

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.slow

MATRIX = """
image_size: [32, 16]
seeds: [0, 1]
data: {own: {use: synthetic, world: plaza, size: tiny}}
tasks: {t: {source: own, target: own}}
backbone: {use: resnet-tiny, width: 4}
methods:
  untrained: {finetune: none}
  colours: {finetune: colour-histogram}
"""


class Place:
    """A matrix over rendered persons, and a store in which it has run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.board: Leaderboard = run_matrix(MATRIX, folder)

    def look(self, *arguments: object, file: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command in a separate process."""
        return self.program("look", *arguments, *(["--file", self.folder / "matrix.yaml"] if file else []))

    def program(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run any command in a separate process."""
        command = [sys.executable, "-m", "reidbench", *arguments, "--store", self.folder / "store"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Read only."""
    return Place(tmp_path_factory.mktemp("look"))


def test_a_page_of_two_rows(place: Place, tmp_path: Path) -> None:
    """With maps of the network, the reason why the other row has none, and the same bytes by key and again."""
    page = tmp_path / "page.html"
    row = ["--row", "untrained", "--seed", 1, "--against", "colours", "--maps", "-o"]
    ran = place.look(*row, page)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "untrained on t, seed 1 and colours on t, one file of" in ran.stdout
    text = page.read_text()
    assert text.count("<h4>") == 3
    assert 'alt="Grad-CAM, rank 1' in text
    assert "No maps: ColourHistogram is not a network" in text
    assert "Do not publish" not in text  # rendered persons
    again = tmp_path / "again.html"
    place.look(*row, again)
    assert again.read_bytes() == page.read_bytes()


def test_a_page_by_key(place: Place, tmp_path: Path) -> None:
    key = next(one.row.key for one in place.board.results if (one.row.method, one.row.seed) == ("untrained", 0))
    page = tmp_path / "page.html"
    ran = place.look(str(key)[:12], "--query", 1, "--query", 2, "--top", 4, "-o", page, file=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    text = page.read_text()
    assert re.findall(r"<h4>(Query \d+)", text) == ["Query 1", "Query 2"]
    assert "Grad-CAM," not in text


@pytest.mark.parametrize(
    ("words", "file", "message"),
    [
        (["--row", "untrained"], True, "untrained on t has several seeds; choose one with --seed: 0, 1"),
        (["--row", "colors"], True, "unknown method 'colors'; did you mean"),
        (["abc", "--row", "colours"], True, "both a key (abc) and --file are given; remove one of them"),
        (["--row", "colours"], False, "--row requires --file FILE"),
        ([], False, "no row given; give the KEY of a result"),
        (["zzz"], False, "unknown key 'zzz'"),
        (["--row", "colours", "--query", "1", "--worst", "2"], True, "remove one of them"),
        (["--row", "colours", "--query", "mine.png"], True, "--query mine.png: not a query of colours on t"),
        (["--row", "colours", "--set", "seeds=[7]"], True, ""),
    ],
)
def test_errors_in_one_sentence(place: Place, tmp_path: Path, words: list[str], file: bool, message: str) -> None:
    ran = place.look(*words, "-o", tmp_path / "page.html", file=file)
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.returncode == (2 if message else 0)
    assert (tmp_path / "page.html").exists() == (not message)


def test_a_row_without_results_names_the_command(place: Place, tmp_path: Path) -> None:
    words = ["--row", "untrained", "--seed", 7, "--set", "seeds=[7]", "-o", tmp_path / "page.html"]
    ran = place.look(*words)
    assert ran.returncode == 2
    assert "untrained on t, seed 7, has no result in the store" in ran.stderr
    assert "--only untrained/t --set" in ran.stderr


def test_the_page_of_a_leaderboard_with_a_closer_look(place: Place, tmp_path: Path) -> None:
    page, file = tmp_path / "page.html", place.folder / "matrix.yaml"
    ran = place.program("table", file, "--format", "html", "--look", "--ranked", 1, "-o", page)
    assert ran.returncode == 0
    text = page.read_text()
    assert text.count('class="space"') == 2
    assert 'alt="Grad-CAM, query' in text
    ran = place.program("table", file, "--look")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--look works only with --format html; add it, or remove --look" in ran.stderr
