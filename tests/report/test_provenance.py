"""The provenance of a cell whose steps have different networks and image sizes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from reidbench import report
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry
from reidbench.report.html.page import render
from reidbench.report.options import Options
from reidbench.report.provenance import Evidence
from reidbench.store.artifacts import Store

METHODS = """{
  plain: {finetune: none},
  own: {
    pretrain: {use: moco-v2, backbone: {use: resnet18, last_stride: 2}, image_size: [64, 32]},
    finetune: {use: none, backbone: resnet18, resize: bicubic},
  },
}"""


def test_settings_and_steps_say_each_stages_own(
    matrix: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    file = matrix(methods=METHODS, tasks="{t: {source: tiny, target: tiny, pool: tiny}}")
    the_plan, store = plan.expand(reader.read(file, registry)), Store(tmp_path / "store")
    board, evidence = report.collect(the_plan, store), Evidence(the_plan, store)
    plain, own = (evidence.provenance(board, method, "t", "cosine") for method in ("plain", "own"))
    common = "images 32x16, 1 thread, precision 32-true"
    assert plain.settings == common
    assert plain.circumstances[0] == f"resnet-tiny, {common}"
    bicubic = "images 32x16, resize bicubic"
    said = f"{common}; pretrain moco-v2: images 64x32; finetune none: {bicubic}; embed: {bicubic}"
    assert own.settings == said
    assert own.circumstances[0] == f"resnet18, {said}"
    assert [(step.kind, step.component.name) for step in own.steps] == [
        ("backbone of pretrain", "resnet18"),
        ("pretrain", "moco-v2"),
        ("backbone of finetune", "resnet18"),
        ("finetune", "none"),
        ("evaluate", "cosine"),
    ]
    assert "last_stride=2" in own.steps[0].params
    assert [step.kind for step in plain.steps] == ["backbone", "finetune", "evaluate"]


def test_a_row_of_files_names_them_with_their_hashes(
    matrix: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    """And the ensemble that it is part of; nothing is said of a network. The page says that words are declared."""
    for part in ("query", "gallery"):
        (tmp_path / f"<{part}>.npz").write_bytes(part.encode())
    theirs = "{features: '<{part}>.npz', uses: [pool]}"
    file = matrix(methods=f"{{own: {{finetune: none}}, theirs: {theirs}, both: {{ensemble: [own, theirs]}}}}")
    the_plan, store = plan.expand(reader.read(file, registry)), Store(tmp_path / "store")
    board, evidence = report.collect(the_plan, store), Evidence(the_plan, store)
    own, outside, both = (evidence.provenance(board, name, "tiny", "cosine") for name in ("own", "theirs", "both"))
    hashes = {part: hashlib.sha256(part.encode()).hexdigest() for part in ("query", "gallery")}
    assert own.files == ()
    assert outside.files == both.files
    assert [(one.name, one.fingerprint) for one in outside.files] == [
        ("<gallery>.npz (gallery)", hashes["gallery"]),
        ("<query>.npz (query)", hashes["query"]),
    ]
    assert [step.kind for step in outside.steps] == ["evaluate"]
    assert outside.circumstances[0] == "features from a file, images 32x16, 1 thread, precision 32-true"
    page = render(board, the_plan, store, Options(pictures="none"))
    assert page.count("Features from files") == 2
    assert f"<dt>&lt;query&gt;.npz (query)</dt><dd>content <code>{hashes['query']}</code></dd>" in page
    assert "declared in the matrix file, not measured" in page
