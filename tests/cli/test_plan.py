"""`plan`, `run`, `trials`, `table`, `clean`, `pack` and `verify` of a file with searches, as a person meets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidbench.cli import main
from reidbench.testing import make_plugin, write_market_folder

TOY = Path(__file__).parents[1] / "support" / "toy_plugin.py"
SEARCHES = """
image_size: [32, 16]
seeds: [0]
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
validate: {{identities: 0.5}}
backbone: {{use: resnet-tiny, width: 4}}
methods:
  m: {{finetune: {{use: toy, search: {{epochs: [1, 2]}}, select: source-val}}}}
  o: {{finetune: {{use: toy, search: {{fail: [raise, fine]}}, select: oracle}}}}
"""


@dataclass
class Done:
    """A file with two searches, the store that they ran in, and what was said before and meanwhile."""

    folder: Path
    file: Path
    planned: str
    before: dict[str, Any]
    said: str
    code: int

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def command(self, *words: object, code: int = 0) -> str:
        found = CliRunner().invoke(main.app, [str(word) for word in words])
        assert found.exit_code == code, (found.output, found.exception)
        return found.stdout


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    folder = tmp_path_factory.mktemp("searches")
    make_plugin(folder / "site", "toy_plugin", TOY.read_text())
    file = folder / "matrix.yaml"
    file.write_text(SEARCHES.format(root=write_market_folder(folder / "persons")))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "site"))
        patch.setenv("REIDBENCH_PLUGINS", "reidbench-toy-plugin")
        found = Done(folder, file, "", {}, "", 0)
        found.planned = found.command("plan", file, "--store", found.store)
        found.before = json.loads(found.command("plan", file, "--store", found.store, "--json"))
        ran = CliRunner().invoke(main.app, ["run", str(file), "--store", str(found.store), "--executor", "inline"])
        found.said, found.code = ran.stdout, ran.exit_code
        yield found


def test_plan_counts_trials_and_what_they_share(done: Done) -> None:
    """Trials of m share the derived data, those of o the data of the rows; each trial has its own training and test.

    Alone each of the four is four stages. Of the rows that the searches fill, that of o is one of its trials, and m
    trains again on all identities.
    """
    found = done.before["searches"]
    assert [(one["row"], one["trials"], one["done"]) for one in found["of"]] == [
        ("m (tuned)", 2, 0),
        ("o (tuned)", 2, 0),
    ]
    assert {name: found[name] for name in ("stages", "to_run", "alone", "also_rows", "then", "at_most")} == {
        "stages": 14, "to_run": 14, "alone": 16, "also_rows": 4, "then": 3, "at_most": 0,
    }  # fmt: skip
    assert done.before["rows"] == 4
    assert done.before["stages"] == 14 + 3 + 3  # what both rows share as they are written: one training
    assert "m (tuned) on tiny: grid, 2 trials, chosen on held-out identities, by mAP; 0 done" in done.planned
    assert "trials: 14 stages, 14 to run; 16 without sharing among trials, 4 shared with rows" in done.planned


def test_a_run_with_a_failed_trial_has_all_its_rows(done: Done) -> None:
    assert done.code == 0
    for row in ("m", "m (tuned)", "o", "o (tuned)"):
        assert f"| {row} " in done.said
    assert "source labels, chosen on held-out identities (2 trials), AP step" in done.said
    assert "1 failed and could not be chosen: trial 1: finetune toy" in done.said
    assert "Never ranked, because chosen on test labels: o (tuned)." in done.said


def test_trials_lists_every_trial(done: Done) -> None:
    found = json.loads(done.command("trials", done.file, "--store", done.store, "--json"))
    assert [(one["row"], one["trial"], one["status"]) for one in found] == [
        ("m (tuned)", 1, "done"), ("m (tuned)", 2, "done"), ("o (tuned)", 1, "failed"), ("o (tuned)", 2, "done"),
    ]  # fmt: skip
    assert [one["values"] for one in found][:2] == [{"finetune.epochs": 1}, {"finetune.epochs": 2}]
    assert sum(one["winner"] for one in found) == 2
    assert found[3]["winner"]
    assert found[0]["by_seed"] == {"0": found[0]["score"]}
    assert "it went wrong" in found[2]["error"]
    text = done.command("trials", done.file, "--store", done.store)
    assert "o (tuned) on tiny: grid, 2 trials, chosen on test labels, by mAP" in text
    assert "*    2  finetune.fail=fine  done" in text


def test_a_failed_trial_is_all_that_another_run_tries_again(done: Done) -> None:
    found = json.loads(done.command("plan", done.file, "--store", done.store, "--json"))
    assert found["to_run"] == 3
    assert [(one["done"], one["failed"]) for one in found["searches"]["of"]] == [(2, 0), (1, 1)]


def test_clean_keeps_trials(done: Done) -> None:
    assert "0 items to remove" in done.command("clean", done.file, "--store", done.store, "--dry-run")


def test_the_page_says_in_red_what_was_chosen_on_test_labels(done: Done) -> None:
    pytest.importorskip("jinja2")
    page = done.command("table", done.file, "--store", done.store, "--format", "html")
    assert '<b class="on-test">chosen on test labels</b>' in page
    assert ".on-test { color: var(--no); }" in page


def test_a_pack_has_the_winners_and_passes_its_checks(done: Done) -> None:
    """The verifier has no trials: rows are planned again with the values that the pack gives, which a note says."""
    pack = done.folder / "results.zip"
    done.command("pack", done.file, "--store", done.store, "-o", pack, "--features")
    table = json.loads(done.command("table", pack, "--format", "json"))
    (note,) = {
        note for row in table["rows"] if row["method"] == "m (tuned)" for note in row["notes"] if "trial" in note
    }
    assert note.startswith("m (tuned) on tiny: chosen on held-out identities: finetune.epochs=")
    found = CliRunner().invoke(main.app, ["verify", str(pack), "--root", f"tiny={done.folder / 'persons'}"])
    assert found.exit_code == 0, found.output
    assert "its trials are not in the pack and not checked" in found.output
    assert "mismatches: 0" in found.output


def test_a_file_without_searches_has_no_trials(done: Done) -> None:
    file = done.folder / "plain.yaml"
    file.write_text("\n".join(line for line in done.file.read_text().splitlines() if "search:" not in line))
    file.write_text(file.read_text() + "\n  n: {finetune: none}\n")
    assert json.loads(done.command("trials", file, "--store", done.store, "--json")) == []
    found = CliRunner().invoke(main.app, ["trials", str(file), "--store", str(done.store)])
    assert "has no trials: no row or step has a `search:`" in str(found.exception)
