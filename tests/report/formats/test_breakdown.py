"""Rows in parts as Markdown, CSV and JSON, and the options of `reidbench table` that they come from."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reidbench.cli.options import refuse_breakdown
from reidbench.errors import ReidbenchError
from reidbench.matrix.stage import Row
from reidbench.report import Leaderboard, Result
from reidbench.report.breakdown.parts import Breakdown, Part
from reidbench.report.formats import breakdown as formats
from reidbench.report.results import summarise
from tests.support.lines import run_line, write_line

COUNTS = {"value": 0.5, "queries": 4, "results": 2, "results_in_all": 2}
EVIL = "a|b <img src=x>\x1b"


def board(*methods: str) -> Leaderboard:
    results = tuple(Result(Row(m, "t", "cosine", 0, None, m, protocol="x"), "ok", {"mAP": 0.5}) for m in methods)
    return Leaderboard("Title", results, tuple(summarise(results)))


def cameras(method: str, *parts: Part, **more: Any) -> Breakdown:
    return Breakdown((method, "t", "cosine"), parts=parts, parts_in_all=len(parts), **{**COUNTS, **more})


def test_cameras_in_one_table_for_a_task() -> None:
    found = [
        cameras("a", Part((-1,), 0.25, 1), Part((0,), 0.6, 2), Part((3,), math.nan, 0), results=1, dropped=2),
        cameras("b", Part((0,), 0.1234, 2), dropped=2),
        Breakdown(("c", "t", "cosine"), "failed: boom"),
    ]
    text = formats.markdown(board("a", "b", "c"), found, "camera", "mAP")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert cells[0] == ["method", "all", "camera 0", "camera 3", "unknown camera"]
    assert cells[2] == ["a (1/2 results)", "50.0 (4)", "60.0 (2)", "-", "25.0 (1)"]
    assert cells[3] == ["b", "50.0 (4)", "12.3 (2)", "-", "-"]
    assert "mAP in % by query camera" in text
    assert text.count("t: 2 of 6 queries are ignored: they have no true match") == 1
    assert "- c on t: failed: boom" in text


def test_pairs_in_a_table_for_each_row() -> None:
    found = [cameras("a", Part((0, 1), 0.6, 2), Part((1, 0), 0.3, 1), Part((1, 1), 0.9, 2), across=0.45, zeroed=1)]
    text = formats.markdown(board("a"), found, "camera-pair", "mAP")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert cells[0] == ["query", "camera 0", "camera 1"]
    assert cells[2:] == [["camera 0", "-", "60.0 (2)"], ["camera 1", "30.0 (1)", "90.0 (2)"]]
    assert "Mean over pairs of different cameras: 45.0." in text
    assert "t: 1 of 4 queries count as 0" in text
    assert "Zheng et al., ICCV 2015" in text


def test_persons_with_their_share_of_the_error() -> None:
    """Two of the four persons have three of the four queries and 60 + 15 % of the error."""
    found = [cameras("a", Part((7,), 0.1, 2, 0.6), Part((0,), 0.5, 1, 0.15))]
    found = [Breakdown(**{**vars(found[0]), "parts_in_all": 4})]
    text = formats.markdown(board("a"), found, "persons", "mAP")
    assert "These 2 of 4 identities have 3 of 4 queries and 75.0 % of the error (the gap between mAP" in text
    assert "0 (distractor)" in text
    open_end = [cameras("a", Part((7,), 0.1, 2))]
    text = formats.markdown(board("a"), open_end, "persons", "mAP")
    assert "of the error (the gap" not in text


def test_csv_and_json_have_the_same_values() -> None:
    found = [
        cameras(EVIL, Part((0,), 0.6, 2, 0.25), Part((3,), math.nan, 0, None)),
        Breakdown(("=c", "t", "cosine"), "failed: boom"),
    ]
    first, second, third = csv.DictReader(io.StringIO(formats.as_csv(board(EVIL), found, "camera", "mAP")))
    assert (first["camera"], first["value"], first["queries"], first["share"]) == ("0", "0.6", "2", "0.25")
    assert (first["method"], second["value"], second["share"]) == ("a|b <img src=x> ", "", "")
    assert (third["method"], third["camera"], third["reason"]) == ("'=c", "", "failed: boom")
    content = json.loads(formats.as_json(board(EVIL), found, "camera", "mAP"))
    assert (content["breakdown"], content["metric"]) == ("camera", "mAP")
    one, other = content["rows"]
    assert one["parts"][0] == {"camera": 0, "value": 0.6, "queries": 2, "share": 0.25}
    assert one["parts"][1]["value"] is None
    assert (other["reason"], other["parts"]) == ("failed: boom", [])


@pytest.mark.parametrize(
    ("kind", "columns"), [("camera-pair", ["query_camera", "gallery_camera"]), ("persons", ["pid"])]
)
def test_columns_of_csv(kind: Any, columns: list[str]) -> None:
    (header,) = csv.reader(io.StringIO(formats.as_csv(board("a"), [], kind, "mAP")))
    assert header[4 : 4 + len(columns)] == columns


def test_names_break_no_table() -> None:
    text = formats.markdown(board(EVIL), [cameras(EVIL, Part((0,), 0.6, 2))], "camera", "mAP")
    assert "<img" not in text
    assert "\x1b" not in text
    assert len({line.count("|") - line.count("\\|") for line in text.splitlines() if line.startswith("|")}) == 1


# ---------------------------------------------------------------------- the command
def table(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reidbench", "table", str(file), "--store", str(file.parent / "store")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment)


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    write_line(tmp_path)
    run_line(tmp_path, "euclidean", "near: {features: near.npz}", "right: {features: right.npz}")
    file = tmp_path / "matrix.yaml"
    done = table(file, "--breakdown", "camera-pair", "--only", "near", "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    lines = list(csv.DictReader(io.StringIO(done.stdout)))
    pairs = {(line["query_camera"], line["gallery_camera"]): float(line["value"]) for line in lines}
    assert pairs == {("0", "1"): pytest.approx(0.6), ("1", "0"): pytest.approx(1 / 3)}
    assert {line["method"] for line in lines} == {"near"}
    done = table(file, "--breakdown", "persons", "--worst", "1", "--metric", "cmc1")
    assert "These 1 of 2 identities" in done.stdout
    done = table(file, "--breakdown", "camera", "--format", "html")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--breakdown works only with --format md, csv or json" in done.stderr


@pytest.mark.parametrize(
    ("kind", "form", "worst", "only", "beside", "sentence"),
    [
        ("camera", "latex", None, None, False, "works only with --format md, csv or json"),
        ("camera", "md", 3, None, False, "--worst requires --breakdown persons"),
        ("persons", "md", None, None, True, "without --history"),
        (None, "md", None, "near", False, "--worst and --only require --breakdown"),
        (None, "md", 3, None, False, "--worst and --only require --breakdown"),
    ],
)
def test_options_that_exclude_each_other(
    kind: Any, form: str, worst: Any, only: Any, beside: bool, sentence: str
) -> None:
    with pytest.raises(ReidbenchError, match=sentence):
        refuse_breakdown(kind, form, worst, only, beside)


def test_what_may_stand_together() -> None:
    refuse_breakdown(None, "html", None, None, True)
    refuse_breakdown("persons", "json", 3, "near", False)
