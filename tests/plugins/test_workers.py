"""Every training that prepares batches ahead gives the same files with 0, 1 and 4 workers, to the last bit."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from safetensors import safe_open

from reidbench.execution import executors, progress, runner
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.store.artifacts import Store

CLUSTERS = "rounds: 2, iterations: 3, identities: 2, images: 2, k1: 4, k2: 2, min_samples: 2"
GCL = "epochs: 2, iterations: 3, batch: 6, k1: 4, min_samples: 2"
METHODS = {
    "bot": "finetune: &source {use: bot, epochs: 2, identities: 2, images: 2}",
    "bot gem": "finetune: {use: bot, epochs: 2, identities: 2, images: 2, pool: gem}",
    "bot memory": "finetune: {use: bot, epochs: 2, identities: 2, images: 2, memory: 8, memory_start: 0, head: circle}",
    "distill": "finetune: {use: distill, epochs: 2, identities: 2, images: 2, teacher: {use: bot, epochs: 1, "
    "identities: 2, images: 2, keep_classifier: true}}",
    "bdb": "finetune: {use: bdb, epochs: 2, identities: 2, images: 2, global_dim: 8, drop_dim: 8}",
    "mgn": "finetune: {use: mgn, epochs: 2, identities: 2, images: 2, dim: 4}",
    "transreid": "finetune: {use: transreid, epochs: 2, identities: 2, images: 2}",
    "adabn": "finetune: *source, adapt: {use: adabn, batch: 4}",
    "pseudo-label": f"finetune: *source, adapt: {{use: pseudo-label, clustering: k-means, clusters: 3, {CLUSTERS}}}",
    "cluster-contrast": f"finetune: *source, adapt: {{use: cluster-contrast, {CLUSTERS}}}",
    "spcl": f"finetune: *source, adapt: {{use: spcl, use_source: false, {CLUSTERS}}}",
    "spcl with source": f"finetune: *source, adapt: {{use: spcl, use_source: true, {CLUSTERS}}}",
    "strong-baseline with source": f"finetune: *source, adapt: {{use: strong-baseline, {CLUSTERS}}}",
    "mmt": f"finetune: *source, adapt: {{use: mmt, clusters: 3, {CLUSTERS}}}",
    "arn": "finetune: *source, adapt: {use: arn, epochs: 2, iterations: 3, identities: 2, images: 2, pad: 2}",
    "hhl": "finetune: *source, adapt: {use: hhl, epochs: 2, id_batch: 8, identities: 2, images: 2, target_images: 2, "
    "style: {use: self-style}}",
    "spgan": "finetune: *source, adapt: {use: spgan, translation: null, epochs: 2, batch: 4}",
    "gcl-contrast": f"finetune: *source, adapt: {{use: gcl-contrast, augment: classic, {GCL}}}",
}


def run(folder: Path, market: Path, workers: int) -> dict[str, dict[str, object]]:
    """Run the matrix in this process; return the store's contents by key."""
    folder.mkdir()
    rows = "".join(f"  {name}: {{{text}}}\n" for name, text in METHODS.items())
    (folder / "matrix.yaml").write_text(
        f"image_size: [32, 16]\ndata: {{here: {{use: market1501, root: {market}}}}}\n"
        "tasks: {t: {source: here, target: here}}\nbackbone: {use: resnet-tiny, width: 4}\n"
        f"evaluate: cosine\nmethods:\n{rows}"
    )
    registry = plugins.load()
    the_plan = plan.expand(reader.read(folder / "matrix.yaml", registry))
    store, lines = Store(folder / "store"), progress.Lines(Console(file=io.StringIO()))
    executor = executors.make("inline", 1)
    runner.Runner(the_plan, store, executor, lines, registry.disabled, workers=workers).run()
    assert all(store.has(key) for key in the_plan.stages)
    return {key: files(folder / "store" / "objects" / key) for key in the_plan.stages}


def files(folder: Path) -> dict[str, object]:
    """Return the tensors and features of an artifact, without times and hosts."""
    found: dict[str, object] = {file.name: file.read_bytes() for file in folder.glob("*.npz")}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "np") as tensors:
            found[file.name] = {name: tensors.get_tensor(name).tobytes() for name in tensors.keys()}  # noqa: SIM118
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_workers_change_no_digit(tmp_path: Path, market: Path) -> None:
    none, one, four = (run(tmp_path / str(workers), market, workers) for workers in (0, 1, 4))
    trained = [found["embedder.safetensors"] for found in none.values() if "embedder.safetensors" in found]
    assert len(trained) == len(METHODS) + 1  # and a teacher
    assert all(trained[0] != other for other in trained[1:])
    assert none == one
    assert none == four
