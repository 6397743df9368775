"""Matrix files of papers: each states its requirements, has every cell of its paper, and can be rehearsed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry
from reidbench.rehearsal.files import stand_in_files
from reidbench.rehearsal.standins import FILES, Cast, stand_in_data

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "papers"
FILES_OF_PAPERS = sorted(FOLDER.glob("*.yaml"))
# Rows of methods that learn from a labelled source, on columns that have none: no paper has such a cell.
WITHOUT_SOURCE = "transreid needs a source, and the task has none"
each_file = pytest.mark.parametrize("file", FILES_OF_PAPERS, ids=lambda path: path.stem)


def comment(file: Path) -> str:
    """The comment at the top of a file, on one line."""
    lines = file.read_text().split("\ntitle:")[0].splitlines()
    assert all(line.startswith("#") for line in lines)
    return " ".join(line.lstrip("# ") for line in lines)


@each_file
def test_the_comment_says_what_to_export_what_it_costs_and_who_may_use_the_data(file: Path) -> None:
    text, said = file.read_text(), comment(file)
    for variable in re.findall(r"\$\{(\w+)\}", text):
        assert f"{variable}=" in said, variable
    assert f"reidbench run benchmarks/papers/{file.name}" in said
    assert re.search(r"Needs [\d.,]+ to [\d.,]+ hours of one H200 and \d+ GB of disk", said)
    for data, name in {
        "market1501": "Market-1501",
        "msmt17": "MSMT17",
        "cuhk03": "CUHK03",
        "luperson": "LUPerson",
    }.items():
        if f"use: {data}" in text:
            assert re.search(rf"Data: [^:]*{name}[^:]* academic research only", said), name
    assert ("use: dukemtmc-reid" in text) == ("withdrawn by Duke University in 2019" in said)


@pytest.mark.slow
@each_file
def test_no_cell_is_not_applicable(file: Path, registry: Registry, tmp_path: Path) -> None:
    cast = Cast(reader.read(file, registry, must_exist=False))
    stand_in_data(cast, tmp_path)
    stand_in_files(cast, registry, tmp_path / FILES)
    assert not cast.refused
    rows = plan.expand(cast.benchmark).rows
    assert {row.reason for row in rows if row.key is None} <= {WITHOUT_SOURCE}
    seeds = {row.seed for row in rows} - {None}
    assert len(seeds) >= 3


def test_every_file_is_in_the_table_of_the_readme() -> None:
    readme = (FOLDER / "README.md").read_text()
    assert re.findall(r"^\| ([\w-]+\.yaml) \| \d", readme, re.MULTILINE) == [file.name for file in FILES_OF_PAPERS]


@pytest.mark.long
@pytest.mark.parametrize("name", ["cluster-contrast", "gcl-market", "up-reid-unsupervised"])
def test_a_file_can_be_rehearsed(name: str) -> None:
    command = [sys.executable, "-m", "reidbench", "rehearse", str(FOLDER / f"{name}.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "; ready" in done.stdout


@pytest.mark.long
def test_what_the_files_need_is_what_is_counted() -> None:
    code = "from benchmarks import papers_needs as p; p.write_sentence = lambda file, text: print(text); p.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    written = [re.findall(r"^# (Needs .*)$", file.read_text(), re.MULTILINE)[0] for file in FILES_OF_PAPERS]
    assert [line for line in done.stdout.splitlines() if line.startswith("Needs")] == written
    assert done.stdout.split("\n| file |", 1)[1] in (FOLDER / "README.md").read_text()
