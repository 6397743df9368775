"""Tables in documents match their packs: `python -m benchmarks.tables`, `make tables`."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks import tables
from reidbench.errors import ReidbenchError

ROOT = Path(__file__).parents[2]
PACK = "benchmarks/results/packs/quickstart.zip"
BEGIN, END = f"<!-- table: {PACK} --trusted -->\n", "<!-- end of table -->\n"


@pytest.mark.slow
def test_every_table_is_that_of_its_pack() -> None:
    """To fix a failure run `make tables`, and then check the sentences around the table."""
    assert tables.stale(ROOT, write=False) == []


@pytest.mark.slow
def test_make_tables_is_that_program() -> None:
    dry = ["make", "--dry-run", "--no-print-directory", "tables"]  # this may run within `make test`
    said = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    words = said.splitlines()[-1].split()
    assert words[1:] == ["-m", "benchmarks.tables"]
    done = subprocess.run([sys.executable, *words[1:], "--check"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("page", ["benchmarks/README.md", "plugins/reidbench_cluster/README.md"])
def test_the_table_of_the_adaptation_names_its_pack(page: str) -> None:
    text = (ROOT / page).read_text()
    assert text.count("<!-- table: benchmarks/results/packs/adaptation.zip --trusted") == 1


@pytest.mark.parametrize("page", ["README.md", "benchmarks/README.md"])
def test_the_table_of_the_quickstart_names_its_pack(page: str) -> None:
    text = (ROOT / page).read_text()
    assert text.count(BEGIN) == 1
    assert "| bot " in text.split(BEGIN)[1].split(END)[0]


def test_a_cell_is_the_mean_of_the_numbers_in_the_pack() -> None:
    """mean ± sd [mean ± t sd / sqrt 3], with the 97.5 % quantile of Student's t of two degrees of freedom, 4.3027."""
    with zipfile.ZipFile(ROOT / PACK) as archive:
        board = json.loads(archive.read("board.json"))
        keys = [row["key"] for row in board["rows"] if (row["method"], row["task"]) == ("bot", "plaza->station")]
        manifests = [json.loads(archive.read(f"manifests/{key}.json")) for key in keys]
    values = np.array([100 * manifest["metrics"]["mAP"] for manifest in manifests])
    mean, sd = values.mean(), values.std(ddof=1)
    half = 4.302653 * sd / math.sqrt(3)
    cell = f"**{mean:.1f}** ± {sd:.1f} [{mean - half:.1f}, {mean + half:.1f}]"
    (row,) = (line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| bot  "))
    assert row.split("|")[4].strip() == cell


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with the pack and without documents."""
    (tmp_path / PACK).parent.mkdir(parents=True)
    shutil.copyfile(ROOT / PACK, tmp_path / PACK)
    return tmp_path


@pytest.mark.slow
def test_a_table_is_made_and_nothing_else_is_touched(project: Path) -> None:
    (project / "plugins" / "one").mkdir(parents=True)
    page = project / "plugins" / "one" / "README.md"
    page.write_text(f"# One\n{BEGIN}what was there\n{END}after\n")
    (project / "README.md").write_text("<!-- components -->\n| a |\n<!-- /components -->\n")
    before = (project / "README.md").stat().st_mtime_ns
    name = f"plugins/one/README.md:2: {PACK} --trusted"
    assert tables.stale(project, write=False) == [name]
    assert "what was there" in page.read_text()
    assert tables.stale(project, write=True) == [name]
    table = (ROOT / "README.md").read_text().split(BEGIN)[1].split(END)[0]
    assert page.read_text() == f"# One\n{BEGIN}{table}{END}after\n"
    assert tables.stale(project, write=True) == []
    assert (project / "README.md").stat().st_mtime_ns == before
    page.write_text(page.read_text().replace("[3.0, 3.3]", "[3.0, 3.4]", 1))
    assert tables.stale(project, write=False) == [name]


@pytest.mark.slow
def test_without_trust_it_is_what_the_command_prints(project: Path) -> None:
    printed = []
    for options in ([], ["--metric", "cmc1", "--against", "untrained", "--against", "colour-histogram"]):
        command = [sys.executable, "-m", "reidbench", "table", PACK, *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
        (project / "README.md").write_text(f"<!-- table: {' '.join([PACK, *options])} -->\n{END}")
        tables.stale(project, write=True)
        made = (project / "README.md").read_text().split("\n", 1)[1].removesuffix(END)
        for part in made.split("\n\n"):
            assert f"\n{part.strip()}\n" in done.stdout
    assert "self-reported" in made
    assert made.count("paired mean [95 % interval]") == 2
    assert printed[0].split("\n\n")[1] != made.split("\n\n")[0]  # another metric, another table


@pytest.mark.slow
def test_a_page_of_orders_is_what_the_command_prints() -> None:
    text = (ROOT / "benchmarks" / "validity.md").read_text()
    (found,) = re.findall(r"<!-- validity: (.*) -->\n(.*?)<!-- end of validity -->", text, re.DOTALL)
    command = [sys.executable, "-m", "reidbench", "validity", *found[0].split()]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == found[1]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("absent.yaml a.zip", "absent.yaml:1: cannot be read"),
        ("../groups.yaml a.zip", "../groups.yaml: not a path below the root"),
        ("groups.yaml", "the following arguments are required: pack"),
        (f"groups.yaml {PACK} absent.zip", "absent.zip: cannot be read"),
    ],
)
def test_orders_that_cannot_be_made_are_named_with_their_line(words: str, reason: str, project: Path) -> None:
    shutil.copyfile(ROOT / "benchmarks" / "validity.yaml", project / "groups.yaml")
    (project / "README.md").write_text(f"\n<!-- validity: {words} -->\n{END}")
    with pytest.raises(ReidbenchError) as caught:
        tables.stale(project, write=True)
    assert str(caught.value).startswith("README.md:2: ")
    assert reason in str(caught.value)


FAULTS = {
    "absent.zip": "absent.zip: cannot be read",
    "benchmarks": "benchmarks: not a file",
    "../elsewhere.zip": "../elsewhere.zip: not a path below the root",
    "/etc/passwd": "/etc/passwd: not a path below the root",
    "": "the following arguments are required: pack",
    f"{PACK} --format html": "unrecognized arguments: --format html",
    f"{PACK} --metric nonsense": "unknown metric 'nonsense'",
    f"{PACK} --against nobody": "nobody",
    f"{PACK} --columns params": "does not measure costs",
    f"{PACK} --columns nonsense": "unknown column 'nonsense'",
    f"{PACK} --trust": "unrecognized arguments: --trust",
    f"{PACK} 'a": "No closing quotation",
}


@pytest.mark.parametrize("words", FAULTS)
def test_a_table_that_cannot_be_made_is_named_with_its_line(words: str, project: Path) -> None:
    (project / "README.md").write_text(f"\n\n<!-- table: {words} -->\n{END}")
    with pytest.raises(ReidbenchError) as caught:
        tables.stale(project, write=True)
    line, _, reason = str(caught.value).partition(": ")
    assert line == "README.md:3"
    assert FAULTS[words] in reason


def test_nothing_is_written_where_one_table_cannot_be_made(project: Path) -> None:
    (project / "CHANGELOG.md").write_text(f"{BEGIN}old\n{END}")
    (project / "README.md").write_text(f"{BEGIN}old\n{END}<!-- table: absent.zip -->\n{END}")
    with pytest.raises(ReidbenchError, match=r"README\.md:4: .*absent\.zip: cannot be read"):
        tables.stale(project, write=True)
    for page in ("CHANGELOG.md", "README.md"):
        assert (project / page).read_text().startswith(f"{BEGIN}old\n")


@pytest.mark.parametrize("behind", ["", "| a |\n", f"| a |\n{BEGIN}{END}"])
def test_a_table_has_an_end(behind: str, project: Path) -> None:
    (project / "README.md").write_text(f"\n{BEGIN}{behind}")
    with pytest.raises(ReidbenchError, match=r"README.md:2: the table has no end: add a line <!-- end of table -->"):
        tables.stale(project, write=True)


@pytest.mark.slow
def test_the_program_ends_with_what_it_found(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tables, "ROOT", project)
    page = project / "README.md"
    page.write_text(f"{BEGIN}{END}")
    assert tables.main(["--check"]) == 1
    assert capsys.readouterr().out == (
        f"README.md:1: {PACK} --trusted: differs from the table of its pack; run `make tables`\n"
    )
    assert tables.main([]) == 0
    assert tables.main(["--check"]) == 0
    assert capsys.readouterr().out == f"README.md:1: {PACK} --trusted: updated\n"
    page.write_text(BEGIN)
    assert tables.main([]) == 2
    assert capsys.readouterr().err.startswith("benchmarks.tables: README.md:1: the table has no end")
