"""Boards outlast the plugins and the versions that made them: tables without code, history, and what clean keeps."""

from __future__ import annotations

import importlib
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidbench.cli import main
from reidbench.errors import ReidbenchError
from reidbench.store.artifacts import Store
from reidbench.testing import make_plugin

PLUGIN = """
from reidbench import Component, Params, hookimpl
from reidbench_baseline.params import HistogramParams


class MineParams(HistogramParams):
    pass


@hookimpl
def reidbench_finetuners():
    yield Component(
        "mine", "reidbench_baseline.frozen:colour_histogram", MineParams, version=VERSION, summary="my own",
        traits=frozenset({"label-free", "backbone-free"}),
    )
"""
MATRIX = """
title: Lasting
image_size: [32, 16]
seeds: [0, 1]
data: {tiny: {use: market-folder, root: MARKET}}
tasks: {tiny: {source: tiny, target: tiny}}
backbone: {use: resnet-tiny, width: 4}
evaluate: cosine
methods:
  colours: {finetune: {use: colour-histogram, stripes: 2}}
  mine: {finetune: mine}
"""


@dataclass
class Done:
    """Output of a command."""

    stdout: str
    stderr: str


class Desk:
    """A folder with a matrix file, a store and a plugin whose version can be changed, as a user has them."""

    def __init__(self, folder: Path, market: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder, patch
        self.file = folder / "matrix.yaml"
        self.file.write_text(MATRIX.replace("MARKET", str(market)))
        self.store = Store(folder / ".reidbench")
        patch.chdir(folder)
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.syspath_prepend(str(folder / "site"))
        self.install(1)

    def change(self, old: str, new: str) -> None:
        assert old in self.file.read_text()
        self.file.write_text(self.file.read_text().replace(old, new))

    def install(self, version: int) -> None:
        make_plugin(self.folder / "site", "mine_plugin", PLUGIN.replace("VERSION", str(version)))

    def run(self, *arguments: str, plugin: bool = True, code: int = 0) -> Done:
        self.patch.setenv("REIDBENCH_PLUGINS", "reidbench-mine-plugin" if plugin else "")
        self.patch.delitem(sys.modules, "mine_plugin", raising=False)
        importlib.invalidate_caches()
        done = CliRunner().invoke(main.app, arguments)
        if isinstance(done.exception, ReidbenchError):
            assert code == 2
            return Done(done.stdout, f"{done.exception}\n")
        assert done.exit_code == code, (done.stderr, done.exception)
        return Done(done.stdout, done.stderr)

    def matrix(self, *arguments: str) -> str:
        return self.run("run", "matrix.yaml", "--executor", "inline", *arguments).stdout


@pytest.fixture
def desk(tmp_path: Path, market: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    (tmp_path / "desk").mkdir()
    return Desk(tmp_path / "desk", market, monkeypatch)


@pytest.mark.slow
def test_a_table_outlasts_its_plugin(desk: Desk) -> None:
    """Byte for byte, of this very file alone."""
    printed = desk.matrix()
    forms = ("md", "json")
    wanted = {form: desk.run("table", "matrix.yaml", "--format", form).stdout for form in forms}
    assert wanted["md"] == printed
    for form in forms:
        done = desk.run("table", "matrix.yaml", "--format", form, plugin=False)
        assert done.stdout == wanted[form]
        assert re.search(
            r"^note: not installed: finetuner mine; using the board recorded on \d{4}-\d\d-\d\d$",
            done.stderr,
            re.MULTILINE,
        )
    page = desk.run("table", "matrix.yaml", "--format", "html", "-o", "page.html", plugin=False)
    assert page.stdout == ""
    assert "my own" in (desk.folder / "page.html").read_text()
    built_in = desk.run("table", "matrix.yaml", "--without", "reidbench_baseline", plugin=False).stderr
    assert "finetuner colour-histogram and finetuner mine" in built_in
    desk.change("seeds: [0, 1]", "seeds: [0, 1] ")
    refused = desk.run("table", "matrix.yaml", plugin=False, code=2).stderr
    assert "matrix.yaml:11: methods.mine.finetune: unknown finetuner 'mine'" in refused
    assert ".reidbench has no recorded board of this file to use without the plugin" in refused


@pytest.mark.slow
def test_a_board_from_a_pack_says_so_and_stands_back(desk: Desk) -> None:
    """A stranger may have written it; the one that a run here has recorded is taken where there is one."""
    desk.matrix()
    (own,) = desk.store.boards()
    desk.store.save_board({**own.board, "title": "Theirs"}, "2099-01-01T00:00:00Z", source="theirs.zip")
    assert desk.run("table", "matrix.yaml", plugin=False).stdout.startswith("# Lasting\n")
    desk.store.board_file(own.digest).unlink()
    done = desk.run("table", "matrix.yaml", plugin=False)
    assert done.stdout.startswith("# Theirs\n")
    assert "recorded on 2099-01-01 in theirs.zip" in done.stderr


@pytest.mark.slow
def test_what_set_changed_belongs_to_the_board(desk: Desk) -> None:
    printed = desk.matrix("--set", "seeds=[0]")
    assert desk.run("table", "matrix.yaml", "--set", "seeds=[0]", plugin=False).stdout == printed
    assert "board of this file" in desk.run("table", "matrix.yaml", plugin=False, code=2).stderr
    refused = desk.run("table", "matrix.yaml", "--set", "seeds=[1]", plugin=False, code=2).stderr
    assert "board of this file and --set" in refused


@pytest.mark.slow
def test_another_mistake_is_the_usual_error(desk: Desk) -> None:
    """A board helps against a plugin that is gone, and hides no mistake in a file."""
    desk.matrix()
    desk.change("stripes: 2", "stripes: many")
    done = desk.run("table", "matrix.yaml", code=2)
    assert "stripes" in done.stderr
    assert "board" not in done.stderr


@pytest.mark.slow
def test_results_of_an_older_version_are_history(desk: Desk) -> None:
    """In Markdown and JSON, below the table; with the version, the date and the mean over its seeds."""
    desk.matrix()
    before = json.loads(desk.run("table", "matrix.yaml", "--format", "json").stdout)
    nothing = desk.run("table", "matrix.yaml", "--history").stdout
    assert nothing.endswith("The store has no results of earlier versions of this file.\n")
    desk.install(2)
    plain = desk.run("table", "matrix.yaml").stdout
    assert "not run" in plain
    found = desk.run("table", "matrix.yaml", "--history").stdout
    assert found.startswith(plain)
    (row,) = [line for line in found.removeprefix(plain).splitlines() if line.startswith("| mine")]
    assert "finetuner mine version 1 (now 2)" in row
    assert re.search(r"\| \d{4}-\d\d-\d\d +\|", row)
    (old,) = json.loads(desk.run("table", "matrix.yaml", "--history", "--format", "json").stdout)["history"]
    rows = [row for row in before["rows"] if row["method"] == "mine"]
    assert [one["key"] for one in old["rows"]] == [one["key"] for one in rows]
    assert old["changed"] == ["finetuner mine version 1 (now 2)"]
    scores = desk.run("table", "matrix.yaml", "--history", "--metric", "score").stdout
    assert re.search(r"^\| mine .*\d\.\d ±.*finetuner mine version 1 \(now 2\)", scores, re.MULTILINE)
    values = [one["metrics"]["mAP"] for one in rows]
    assert old["summary"]["mAP"]["n"] == 2
    assert old["summary"]["mAP"]["mean"] == pytest.approx(sum(values) / 2, abs=1e-12)
    assert "history" not in json.loads(desk.run("table", "matrix.yaml", "--format", "json").stdout)
    desk.matrix()  # the new version has results too: both are shown, the old one apart
    both = desk.run("table", "matrix.yaml", "--history").stdout
    assert both.count("finetuner mine version 1 (now 2)") == 1
    assert "not run" not in both


@pytest.mark.slow
def test_seeds_that_were_added_are_one_row_and_parameters_are_named(desk: Desk) -> None:
    desk.matrix("--set", "seeds=[0]")
    desk.matrix()
    desk.change("stripes: 2", "stripes: 3")
    content = json.loads(desk.run("table", "matrix.yaml", "--history", "--format", "json").stdout)
    assert [(one["method"], one["changed"]) for one in content["history"]] == [
        ("colours", ["colour-histogram stripes=2 (now 3)"])
    ]
    desk.change("  colours: {finetune: {use: colour-histogram, stripes: 3}}\n", "")
    content = json.loads(desk.run("table", "matrix.yaml", "--history", "--format", "json").stdout)
    assert [(one["method"], one["changed"]) for one in content["history"]] == [("colours", ["no longer in the file"])]


@pytest.mark.parametrize("form", ["csv", "latex", "html"])
def test_formats_without_history_say_so(desk: Desk, form: str) -> None:
    refused = desk.run("table", "matrix.yaml", "--history", "--format", form, code=2)
    assert refused.stderr == "--history works only with --format md or json, and without --published; remove it\n"


def manifest(desk: Desk, key: str) -> dict[str, Any]:
    return dict(desk.store.manifest(key).manifest)


@pytest.mark.slow
def test_clean_keeps_history_and_removes_it_by_name(desk: Desk) -> None:
    desk.matrix()
    keys = desk.store.keys()
    kinds = {key: manifest(desk, key)["stage"] for key in keys}
    old = {key for key in keys if "mine" in kinds[key]["label"]}
    results = {key for key in old if kinds[key]["kind"] == "evaluate"}
    assert len(results) == 2
    desk.install(2)
    desk.matrix()
    shown = desk.run("table", "matrix.yaml", "--history").stdout
    done = desk.run("clean", "matrix.yaml")
    assert "note: kept: 2 results of earlier versions of these files" in done.stderr
    assert desk.store.keys() & old == results
    assert desk.store.records() == old - results
    assert desk.run("table", "matrix.yaml", "--history").stdout == shown
    assert desk.run("clean", "matrix.yaml").stdout.startswith("0 items removed")
    assert "would remove board" in desk.run("clean", "matrix.yaml", "--history", "--dry-run").stdout
    assert desk.store.keys() & old == results
    desk.run("clean", "matrix.yaml", "--history")
    assert not desk.store.keys() & old
    assert desk.store.records() == set()
    assert len(list(desk.store.boards())) == 1
    last = desk.run("table", "matrix.yaml", "--history").stdout
    assert last.endswith("The store has no results of earlier versions of this file.\n")
    assert desk.run("clean", "matrix.yaml", "--history").stdout.startswith("0 items removed")


@pytest.mark.slow
def test_another_file_loses_its_weights_and_keeps_its_numbers(desk: Desk) -> None:
    """Results of a file that `clean` was not given can still be shown: boards name them."""
    printed = desk.matrix()
    rows = desk.run("table", "matrix.yaml", "--format", "csv").stdout
    other = desk.file.read_text().replace("title: Lasting", "title: Other").replace("seeds: [0, 1]", "seeds: [0]")
    (desk.folder / "other.yaml").write_text(other)
    done = desk.run("clean", "other.yaml")
    assert "kept:" not in done.stderr
    assert desk.run("table", "matrix.yaml", "--format", "csv").stdout == rows
    again = desk.run("run", "matrix.yaml", "--executor", "inline")
    assert "stages to run" in again.stderr
    assert again.stdout == printed
    assert desk.store.records() == set()


@pytest.mark.slow
def test_boards_that_cannot_be_read_are_named(desk: Desk) -> None:
    desk.matrix()
    (one,) = desk.store.boards()
    desk.store.save_board({**one.board, "format": 99, "rows": [{"key": "x"}]})
    done = desk.run("table", "matrix.yaml", "--history")
    assert "is skipped in the history: not a valid recorded board for this version: format" in done.stderr


@pytest.mark.slow
def test_a_run_of_some_methods_records_the_whole_file(desk: Desk) -> None:
    desk.matrix("--only", "colours")
    desk.matrix()
    (one,) = desk.store.boards()
    assert {row["method"] for row in one.board["rows"]} == {"colours", "mine"}
    assert one.board["text"] == desk.file.read_text()
