"""One network through every kind of row: a plugin, a file of features, an ONNX file and a program."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from reidbench.export import networks
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix

MATRIX = """
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks: {{t: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: [cosine, euclidean, k-reciprocal]
methods:
  plugin: {{finetune: {{use: bot, epochs: 1, identities: 4, images: 2}}}}
"""
MORE = """
  file: {features: theirs.npz, uses: [source labels]}
  onnx: {finetune: {use: onnx, file: net.onnx, labels: [tiny labels]}}
  program:
    finetune: {use: command, extract: "PYTHON extract.py {images} {out}", files: [extract.py], uses: [tiny labels]}
"""
PROGRAM = """
import subprocess, sys
from pathlib import Path
import numpy as np
images, out = Path(sys.argv[1]), Path(sys.argv[2])
pictures = sorted(str(file) for file in images.iterdir())
embed = [sys.executable, "-m", "reidbench", "embed", KEY, *pictures, "--store", STORE, "-o", str(out / "own.npz")]
subprocess.run(embed, check=True)
with np.load(out / "own.npz") as found:
    names, features = [Path(name).name for name in found["names"]], found["features"]
(out / "own.npz").unlink()
np.savez(out / "features.npz", names=names, features=features)
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_plugin_a_file_onnx_and_a_program_have_the_same_map_in_one_table(market: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    text = MATRIX.format(root=market)
    store, registry = Store(tmp_path / "store"), plugins.load()
    first, *_ = run_matrix(text, tmp_path).results
    assert first.row.key
    artifact = networks.network_of(store, first.row.key)
    networks.export(networks.load(store, artifact, registry), artifact, "onnx", tmp_path / "net.onnx")
    (features,) = (file for file in store.root.rglob("features.npz"))
    (tmp_path / "theirs.npz").write_bytes(features.read_bytes())
    program = f"KEY, STORE = {artifact.key!r}, {str(store.root)!r}\n{PROGRAM}"
    (tmp_path / "extract.py").write_text(program)

    board = run_matrix(text + MORE.replace("PYTHON", shlex.quote(sys.executable)), tmp_path)
    assert {result.row.method: result.error for result in board.results if result.error} == {}
    found = {(result.row.method, result.row.evaluator): result.metrics["mAP"] for result in board.results}
    assert {method for method, _ in found} == {"plugin", "file", "onnx", "program"}
    for (method, evaluator), value in found.items():
        assert value == pytest.approx(found["plugin", evaluator], abs=1e-6), method
