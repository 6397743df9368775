"""Output of `reidbench plan` for stages with their own network or image size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from reidbench.cli import main as cli
from reidbench.execution.preview import preview
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store

METHODS = """{
  plain: {finetune: none},
  own: {
    pretrain: {use: moco-v2, backbone: {use: resnet18, last_stride: 2}, image_size: [64, 32]},
    finetune: {use: none, backbone: resnet18, resize: bicubic},
  },
}"""
POOLED = "{t: {source: tiny, target: tiny, pool: tiny}}"


def test_stages_are_listed_by_what_differs_from_the_file(
    matrix: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    found = preview(
        plan.expand(reader.read(matrix(methods=METHODS, tasks=POOLED), registry)), Store(tmp_path), registry
    )
    setups = {(line["kind"], line["setup"]): line["stages"] for line in found["kinds"]}
    assert setups == {
        ("data", ""): 1,
        ("finetune", ""): 1,
        ("embed", ""): 1,
        ("evaluate", ""): 1,
        ("pretrain", "resnet18 (last_stride=2), images 64x32"): 1,
        ("finetune", "resnet18, images 32x16, resize bicubic"): 1,
        ("embed", "images 32x16, resize bicubic"): 1,
        ("evaluate", "images 32x16, resize bicubic"): 1,
    }
    assert sum(setups.values()) == found["stages"]


def test_the_command_prints_it_and_nothing_where_nothing_differs(matrix: Callable[..., Path], tmp_path: Path) -> None:
    file = matrix(methods=METHODS, tasks=POOLED)
    said = CliRunner().invoke(cli.app, ["plan", str(file), "--store", str(tmp_path / "store")]).stdout
    (line,) = [line for line in said.splitlines() if "moco-v2" in line]
    assert line.endswith(" to run, with resnet18 (last_stride=2), images 64x32")
    plain = matrix(tasks=POOLED)
    assert ", with " not in CliRunner().invoke(cli.app, ["plan", str(plain), "--store", str(tmp_path / "store")]).stdout
    whole = CliRunner().invoke(cli.app, ["plan", str(plain), "--json", "--store", str(tmp_path / "store")]).stdout
    assert {line["setup"] for line in json.loads(whole)["kinds"]} == {""}


def test_what_is_held_out_is_named_where_a_row_looks_at_it(matrix: Callable[..., Path], tmp_path: Path) -> None:
    rows = "bot: {finetune: {use: bot}}, best: {finetune: {use: bot, choose_epoch: best}}"
    for methods, lines in (
        (f"{{{rows}}}", ["validation: tiny (2 identities held out)"]),
        ("{bot: {finetune: bot}}", []),
    ):
        file = matrix(methods=methods, validate="{identities: 2}")
        said = CliRunner().invoke(cli.app, ["plan", str(file), "--store", str(tmp_path / "store")]).stdout
        assert [line for line in said.splitlines() if line.startswith("validation")] == lines
