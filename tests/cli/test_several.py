"""`--store A --store B`: what reads takes both, what writes refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from reidbench.cli import main
from reidbench.errors import ReidbenchError, StoreError
from reidbench.store.artifacts import Store
from reidbench.testing import write_market_folder

MATRIX = """
image_size: [32, 16]
data: {{own: {{use: market-folder, root: {data}}}}}
tasks: {{t: {{source: own, target: own}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods:
  bot: {{finetune: {{use: bot, epochs: 1, identities: 4, images: 2}}}}
  colours: {{finetune: {{use: colour-histogram, bins: 2}}}}
"""


def run(*arguments: object) -> Result:
    """A command in this process. Its errors are raised."""
    return CliRunner().invoke(main.app, [str(one) for one in arguments], catch_exceptions=False)


class Place:
    """A matrix whose one row is in one store, and the other in another; and a store with both."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "matrix.yaml"
        self.file.write_text(MATRIX.format(data=write_market_folder(folder / "data", images=2, size=(32, 16))))
        self.one, self.two, self.whole = (folder / name for name in ("one", "two", "whole"))
        for store, only in ((self.one, "bot"), (self.two, "colours"), (self.whole, "*")):
            done = run("run", self.file, "--store", store, "--only", only, "--executor", "inline")
            assert done.exit_code == 0, done.output
        self.both = ["--store", self.one, "--store", self.two]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Read only."""
    return Place(tmp_path_factory.mktemp("several"))


@pytest.mark.slow
def test_the_table_of_halves_is_that_of_the_whole(place: Place) -> None:
    """No half has all results, and results that several of them have are not a conflict."""
    for form in ("md", "csv", "json", "latex"):
        whole = run("table", place.file, "--store", place.whole, "--format", form)
        halves = run("table", place.file, *place.both, "--format", form)
        assert halves.stdout == whole.stdout
        assert "warning" not in halves.stderr
        assert run("table", place.file, "--store", place.one, "--format", form).stdout != whole.stdout
    said = run("table", place.file, *place.both, "--store", place.whole).stderr
    assert said == f"results: {place.one}, {place.two}, {place.whole}\n"  # equal artifacts do not conflict


def test_the_page_has_the_ranked_lists_of_both(place: Place, tmp_path: Path) -> None:
    pages = []
    for number, stores in enumerate((place.both, ["--store", place.whole])):
        out = tmp_path / f"{number}.html"
        said = run("table", place.file, *stores, "--format", "html", "-o", out).stderr
        assert said == f"{out}: one file of {out.stat().st_size / 1e6:.1f} MB\n"
        pages.append(out.read_text())
    assert [page.count('class="ranked"') for page in pages] == [2, 2]


def test_plan_finds_nothing_to_run(place: Place) -> None:
    planned = json.loads(run("plan", place.file, "--json", *place.both).stdout)
    assert planned["to_run"] == 0
    assert json.loads(run("plan", place.file, "--json", "--store", place.two).stdout)["to_run"] > 0


def test_networks_and_curves_are_found_in_either(place: Place, tmp_path: Path) -> None:
    turned = ["--store", place.two, "--store", place.one]
    row = ["--file", place.file, "--row", "bot", "--task", "t"]
    run("embed", *row, place.file.parent / "data" / "query", "-o", tmp_path / "bot.npz", *turned)
    assert (tmp_path / "bot.npz").is_file()
    run("export", *row, "--format", "safetensors", "-o", tmp_path / "bot.safetensors", *place.both)
    assert (tmp_path / "bot.safetensors").is_file()
    assert run("curves", *turned, "-o", tmp_path / "curves").stdout.startswith("1 new runs")
    with pytest.raises(StoreError, match=f"no key in the store {place.two} and {place.one} starts with it"):
        run("embed", "0" * 32, place.file.parent / "data" / "query", "-o", tmp_path / "none.npz", *turned)


def test_what_differs_is_a_warning_and_the_first_is_shown(place: Place, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    rows = json.loads(run("table", place.file, "--store", place.one, "--format", "json").stdout)["rows"]
    (row,) = (row for row in rows if row["method"] == "bot")
    artifact = Store(place.one).read(row["key"])
    with other.publishing(row["key"]) as (folder, manifest):
        manifest.update(artifact.manifest)
        manifest["metrics"] = {**artifact.metrics, "mAP": 0.0}
        for name in artifact.manifest["files"]:
            (folder / name).write_bytes((artifact.path / name).read_bytes())
    done = run("table", place.file, "--format", "json", *place.both, "--store", other.root)
    shown = {row["method"]: row["metrics"]["mAP"] for row in json.loads(done.stdout)["rows"]}
    assert shown["bot"] == artifact.metrics["mAP"] > 0
    assert done.stderr.startswith("warning: evaluate cosine of bot -> own [seed 0] (")
    assert done.stderr.endswith(
        f" ({row['key']}): {place.one} and {other.root} differ in mAP ({shown['bot']!r}, 0.0); "
        f"that of {place.one} is used\n"
    )
    last = run("table", place.file, "--format", "json", "--store", other.root, *place.both)
    assert json.loads(last.stdout)["rows"][0]["metrics"]["mAP"] == 0.0


@pytest.mark.parametrize("command", ["run", "clean"])
def test_what_writes_takes_one_store(place: Place, command: str) -> None:
    before = sorted(place.file.parent.rglob("*"))
    with pytest.raises(ReidbenchError) as caught:
        run(command, place.file, *place.both)
    assert str(caught.value) == (
        f"{command} writes to one store, but 2 are given; merge them first: "
        f"`reidbench merge {place.one} {place.two} --store NEW`, and use --store NEW"
    )
    assert sorted(place.file.parent.rglob("*")) == before


def test_a_store_that_is_not_there_is_no_empty_half(place: Place, tmp_path: Path) -> None:
    with pytest.raises(ReidbenchError, match=r"none: no such folder; each of several --store must exist"):
        run("table", place.file, "--store", place.one, "--store", tmp_path / "none")
