"""Files that change while a run goes: their results would be kept under the key of what they were."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from reidbench import plugins
from reidbench.diskcontent import content_of, refuse_changed, short
from reidbench.errors import DataError
from reidbench.store import Store
from reidbench.testing import make_plugin, run_matrix

BUSY = '''
"""A fine-tuner during which somebody turns a picture over, once; the file keeps its size."""
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
    (tmp_path / "todo").write_text(str(next(file for file in files if file.parent.name == "query")))
    monkeypatch.setenv("BUSY_PICTURE", str(tmp_path / "todo"))
    given = root / "m.csv" if reader == "csv-manifest" else root
    text = (
        f"image_size: [32, 16]\nseeds: [0]\ndata: {{m: {{use: {reader}, root: {given}}}}}\n"
        "tasks: {m: {source: m, target: m}}\nbackbone: {use: resnet-tiny}\nmethods: {busy: {finetune: busy}}\n"
    )
    (row,) = run_matrix(text, tmp_path).results
    assert row.status != "ok"
    assert "data m: its files changed during the run; this result is not kept" in row.error
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
    stage = {"kind": "data", "use": "image-folder", "params": {}, "root": str(pool), "label": "data p", "data": []}
    spec = {"store": str(tmp_path / store), "stage": {**stage, "content": seen}}
    refuse_changed(spec, registry)
    (pool / "b.png").write_bytes(b"b")
    with pytest.raises(DataError, match="data p: its files changed") if refused else nullcontext():
        refuse_changed(spec, registry)


def stored(folder: Path) -> set[str]:
    return set(Store(folder / "store").keys())


def _kind(folder: Path, key: str) -> str:
    return str(Store(folder / "store").manifest(key).manifest["stage"]["kind"])
