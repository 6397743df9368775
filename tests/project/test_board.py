"""The board of this project, benchmarks/results: the output of `reidbench new-results`, with valid packs."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from reidbench.packs.reading import Pack
from reidbench.packs.recorded import recorded_plan
from reidbench.scaffold import results

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "benchmarks" / "results"
PACKS = sorted((BOARD / "packs").glob("*.zip"))
# Differences of its README from the command's output.
EDITS = {
    "The board: https://OWNER.github.io/REPOSITORY/ (replace it with your address).\n": (
        "This folder is part of the repository of reidbench. `git subtree push --prefix benchmarks/results REMOTE main`"
        " pushes it to a\nseparate repository, in which its workflows run.\n"
    ),
    "5. Add a licence for the results as `LICENSE`, such as CC BY 4.0, before you accept the first pack from "
    "others.\n": "5. The results are under the licence of reidbench, Apache-2.0.\n",
}
PLACES = re.compile(rb"/(?:home|root|Users|tmp|mnt|media|srv|var|opt|work|data)/")


def test_it_is_what_the_command_writes() -> None:
    expected = results.render("The board of reidbench")
    for before, after in EDITS.items():
        assert expected["README.md"].count(before) == 1
        expected["README.md"] = expected["README.md"].replace(before, after)
    found = {path.relative_to(BOARD).as_posix(): path for path in BOARD.rglob("*") if path.is_file()}
    assert set(found) == {*expected, *(path.relative_to(BOARD).as_posix() for path in PACKS)}
    for path, text in expected.items():
        assert found[path].read_text() == text, path


def test_all_packs_together_are_small() -> None:
    assert "quickstart.zip" in {path.name for path in PACKS}
    assert sum(path.stat().st_size for path in PACKS) < 40e6


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_a_pack_is_whole_and_says_nothing_of_the_machine(path: Path) -> None:
    with Pack(path) as pack:
        rows = recorded_plan(pack.board).rows
        ran = [row for row in rows if not row.reason]  # the others are not applicable
        assert [row for row in ran if row.key not in pack.manifests] == []
        assert all(pack.results(str(row.key)) for row in ran)
        assert [manifest for manifest in pack.manifests.values() if "host" in manifest] == []
    with zipfile.ZipFile(path) as archive:
        assert [name for name in archive.namelist() if PLACES.search(archive.read(name))] == []
