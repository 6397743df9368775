"""Pictures that are replaced after they were listed: the stage that may have read them is not published."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from reidbench import config, display, executors, plan, plugins, report, runner
from reidbench.store import Store
from reidbench.testing import make_plugin, write_market_folder

PLUGIN = '''
"""A fine-tuner that replaces a picture while it trains."""
from pathlib import Path
from reidbench import Component, hookimpl


@hookimpl
def reidbench_finetuners():
    yield Component("replaces", "replacing_plugin:fit")


def fit(ctx):
    import shutil
    from reidbench.training import BackboneEmbedder, Preprocess

    ctx.source.image(0)
    shutil.copy(ctx.source.root / ctx.source.paths[1], ctx.source.root / ctx.source.paths[0])
    return BackboneEmbedder(ctx.backbone(), Preprocess(ctx.image_size))
'''
MATRIX = """
image_size: [32, 16]
data: {{tiny: {{use: {reader}, root: {root}}}}}
tasks: {{t: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: cosine
methods: {methods}
"""


class Bench:
    """A data set of its own, plans that are made before it changes, and runs after."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.market = write_market_folder(folder / "market")
        self.store = Store(folder / "store")

    def plan(self, methods: str, reader: str = "market-folder") -> plan.Plan:
        file = self.folder / "matrix.yaml"
        file.write_text(MATRIX.format(root=self.market, methods=methods, reader=reader))
        registry = plugins.load()
        return plan.expand(config.read(file, registry), registry)

    def run(self, the_plan: plan.Plan) -> report.Leaderboard:
        shown: Any = display.Lines(Console(file=io.StringIO()))
        runner.Runner(the_plan, self.store, executors.Inline(), shown, frozenset()).run()
        return report.collect(the_plan, self.store)

    def picture(self, part: str) -> Path:
        return sorted((self.market / part).glob("*.*g"))[3]

    def published(self, the_plan: plan.Plan) -> set[str]:
        return {stage.kind for key, stage in the_plan.stages.items() if self.store.has(key)}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def replace(file: Path, how: str = "content") -> None:
    """Another picture under the name; the size and the times of the old one where `how` is "in disguise"."""
    before = file.stat()
    if how == "removed":
        file.unlink()
    elif how == "in disguise":
        content = bytearray(file.read_bytes())
        content[-20] ^= 1
        file.write_bytes(content)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        Image.fromarray(np.full((40, 20, 3), 7, dtype=np.uint8)).save(file)


@pytest.mark.parametrize("how", ["content", "in disguise", "removed"])
def test_between_the_plan_and_the_list(bench: Bench, how: str) -> None:
    the_plan = bench.plan("{m: {finetune: colour-histogram}}")
    file = bench.picture("bounding_box_train")
    replace(file, how)
    (result,) = bench.run(the_plan).results
    assert result.status == "blocked"
    assert f"{bench.market}: files have changed since the run began" in result.error
    if how != "removed":
        assert str(file) in result.error
    assert "data" not in bench.published(the_plan)
    assert bench.run(bench.plan("{m: {finetune: colour-histogram}}")).results[0].status == "ok"


@pytest.mark.parametrize("how", ["content", "in disguise", "removed"])
@pytest.mark.parametrize(("part", "lacking"), [("bounding_box_train", "finetune"), ("query", "embed")])
def test_between_the_list_and_the_reader(bench: Bench, how: str, part: str, lacking: str) -> None:
    bench.run(bench.plan("{first: {finetune: colour-histogram}}"))  # lists the pictures
    the_plan = bench.plan("{m: {finetune: {use: bot, epochs: 1, identities: 2, images: 2}}}")
    file = bench.picture(part)
    replace(file, how)
    (result,) = bench.run(the_plan).results
    assert result.status == "blocked"
    assert str(file) in result.error
    assert lacking not in bench.published(the_plan)


def test_while_it_is_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    make_plugin(bench.folder / "site", "replacing_plugin", PLUGIN)
    monkeypatch.syspath_prepend(str(bench.folder / "site"))
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-replacing-plugin")
    the_plan = bench.plan("{m: {finetune: replaces}}")
    (result,) = bench.run(the_plan).results
    first = min((bench.market / "bounding_box_train").iterdir())
    assert result.status == "blocked"
    assert f"{first}: changed since they were listed as part of tiny; nothing is published" in result.error
    assert bench.published(the_plan) == {"data"}


def test_other_times_and_equal_contents_are_no_change(bench: Bench) -> None:
    the_plan = bench.plan("{m: {finetune: colour-histogram}}")
    for file in sorted(bench.market.rglob("*.*g")):
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)
        os.utime(file, (1e9, 1e9))
    assert bench.run(the_plan).results[0].status == "ok"
