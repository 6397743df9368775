"""Files that change while a run goes: their results would be kept under the key of what they were."""

from __future__ import annotations

import io
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from reidbench import report
from reidbench.errors import DataError
from reidbench.execution import executors, progress, runner
from reidbench.matrix import plan
from reidbench.matrix.keys import content_of, short
from reidbench.matrix.reading import reader as config
from reidbench.matrix.stage import Plan, Stage
from reidbench.registry import plugins
from reidbench.stages.checks.unchanged import refuse_changed
from reidbench.stages.inputs import Inputs
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store
from reidbench.testing import make_plugin, run_matrix, write_market_folder

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
BUSY = '''
"""A fine-tuner during which an image is turned over, once; the file keeps its size."""
import os
from pathlib import Path
from PIL import Image
from reidbench import Component, hookimpl
from reidbench.training import BackboneEmbedder, Preprocess


@hookimpl
def reidbench_finetuners():
    yield Component("busy", "busy:fit")


def fit(ctx):
    file = Path(os.environ["BUSY_PICTURE"])
    if file.exists():
        target = file.read_text()
        Image.open(target).rotate(180).save(target)
        file.unlink()
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
    """A separate data set, plans that are made before it changes, and runs after."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.market = write_market_folder(folder / "market")
        self.store = Store(folder / "store")

    def plan(self, methods: str, reader: str = "market-folder") -> Plan:
        file = self.folder / "matrix.yaml"
        file.write_text(MATRIX.format(root=self.market, methods=methods, reader=reader))
        registry = plugins.load()
        return plan.expand(config.read(file, registry))

    def run(self, the_plan: Plan) -> report.Leaderboard:
        shown: Any = progress.Lines(Console(file=io.StringIO()))
        runner.Runner(the_plan, self.store, executors.Inline(), shown, frozenset()).run()
        return report.collect(the_plan, self.store)

    def picture(self, part: str) -> Path:
        return sorted((self.market / part).glob("*.*g"))[3]

    def published(self, the_plan: Plan) -> set[str]:
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
    assert "data tiny: its files changed during the run" in result.error
    if how != "removed":
        assert str(file) in result.error
    assert "data" not in bench.published(the_plan)
    assert bench.run(bench.plan("{m: {finetune: colour-histogram}}")).results[0].status == "ok"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["content", "in disguise", "removed"])
@pytest.mark.parametrize("part", ["bounding_box_train", "query"])
def test_between_the_list_and_the_reader(bench: Bench, how: str, part: str) -> None:
    bench.run(bench.plan("{first: {finetune: colour-histogram}}"))  # lists the pictures
    the_plan = bench.plan("{m: {finetune: {use: bot, epochs: 1, identities: 2, images: 2}}}")
    file = bench.picture(part)
    replace(file, how)
    (result,) = bench.run(the_plan).results
    assert result.status == "blocked"
    assert str(file) in result.error
    assert bench.published(the_plan) == {"data"}


@pytest.mark.parametrize("store", ["store", "market/store"])
def test_while_it_is_read(bench: Bench, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the store below the root, where files always change, the pictures themselves are compared."""
    bench.store = Store(bench.folder / store)
    make_plugin(bench.folder / "site", "replacing_plugin", PLUGIN)
    monkeypatch.syspath_prepend(str(bench.folder / "site"))
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-replacing-plugin")
    the_plan = bench.plan("{m: {finetune: replaces}}")
    (result,) = bench.run(the_plan).results
    first = min((bench.market / "bounding_box_train").iterdir())
    assert result.status == "blocked"
    assert f"data tiny: its files changed during the run, {first} among them; this result is discarded" in result.error
    assert bench.published(the_plan) == {"data"}


def test_other_times_and_equal_contents_are_no_change(bench: Bench) -> None:
    the_plan = bench.plan("{m: {finetune: colour-histogram}}")
    for file in sorted(bench.market.rglob("*.*g")):
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)
        os.utime(file, (1e9, 1e9))
    assert bench.run(the_plan).results[0].status == "ok"


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["market-folder", "csv-manifest"])
def test_a_result_of_files_that_changed_meanwhile_is_not_kept(
    reader: str, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plugin(tmp_path / "site", "busy", BUSY)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-busy")
    root = tmp_path / "m"
    for file in sorted(market.rglob("*.png")):
        (root / file.parent.name).mkdir(parents=True, exist_ok=True)
        (root / file.parent.name / file.name).write_bytes(file.read_bytes())
    parts = {"bounding_box_train": "train", "query": "query", "bounding_box_test": "gallery"}
    files = [path for path in sorted(root.rglob("*.png")) if path.parent.name in parts]
    rows = [f"{path.relative_to(root)},{int(path.name[:4])},{parts[path.parent.name]}" for path in files]
    (root / "m.csv").write_text("path,pid,split\n" + "\n".join(rows))
    picture = next(file for file in files if file.parent.name == "query")
    (tmp_path / "todo").write_text(str(picture))
    monkeypatch.setenv("BUSY_PICTURE", str(tmp_path / "todo"))
    given = root / "m.csv" if reader == "csv-manifest" else root
    text = (
        f"image_size: [32, 16]\nseeds: [0]\ndata: {{m: {{use: {reader}, root: {given}}}}}\n"
        "tasks: {m: {source: m, target: m}}\nbackbone: {use: resnet-tiny}\nmethods: {busy: {finetune: busy}}\n"
    )
    (row,) = run_matrix(text, tmp_path).results
    assert row.status != "ok"
    assert f"data m: its files changed during the run, {picture} among them; this result is discarded" in row.error
    assert {_kind(tmp_path, key) for key in stored(tmp_path)} <= {"data"}
    (row,) = run_matrix(text, tmp_path).results  # nothing changes any more
    assert row.status == "ok", row.error


@pytest.mark.parametrize(("store", "refused"), [("elsewhere/store", True), ("pool/store", False)])
def test_a_pool_that_has_the_store_in_it_may_change(store: str, refused: bool, tmp_path: Path) -> None:
    registry, pool = plugins.load(), tmp_path / "pool"
    pool.mkdir()
    (pool / "a.png").write_bytes(b"a")
    component = registry.get("dataset", "image-folder")
    seen = short(content_of(component, component.params(), pool))
    stage = Stage("k", "data", "image-folder", {}, root=str(pool), label="data p", content=seen)
    spec = StageSpec.model_construct(stage=stage, store=tmp_path / store)
    inputs = Inputs(spec, Store(tmp_path / store), registry, lambda event: None)
    refuse_changed(inputs, tmp_path, {})
    (pool / "b.png").write_bytes(b"b")
    with pytest.raises(DataError, match="data p: its files changed") if refused else nullcontext():
        refuse_changed(inputs, tmp_path, {})


def stored(folder: Path) -> set[str]:
    return set(Store(folder / "store").keys())


def _kind(folder: Path, key: str) -> str:
    return str(Store(folder / "store").manifest(key).manifest["stage"]["kind"])
