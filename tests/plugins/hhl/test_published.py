"""HHL's published numbers and start: the AP rule of measured rows, ImageNet weights, stride 2, no fine-tuning."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import reidbench_hhl
from reidbench.matrix.benchmark import Benchmark
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.report.claims.published import compared

README = Path(reidbench_hhl.__file__).parent / "README.md"
MEASURED = {"mAP": 0.3, "cmc1": 0.6}


@pytest.fixture(scope="module")
def matrix(registry: plugins.Registry, tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """The matrix file of the README, "As published"."""
    (block,) = [b for b in re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL) if b.startswith("title:")]
    root = tmp_path_factory.mktemp("published")
    for name in ("Market-1501", "DukeMTMC-reID"):
        (root / name).mkdir()
    file = root / "published.yaml"
    file.write_text(block.replace("~/data", str(root)))
    return reader.read(file, registry)


def test_each_published_map_is_trapezoid() -> None:
    """HHL's rows in tables and figures are trapezoid; the rule of methods that the paper cites is not always known."""
    published = reidbench_hhl.HHL.published
    rules = [number.ap for number in published if number.metric == "mAP" and number.row.startswith("HHL")]
    assert len(rules) > 10
    assert set(rules) == {"trapezoid"}


@pytest.mark.parametrize(
    ("ap", "warnings"),
    [("step", ("other AP rule: published trapezoid, measured here step",)), ("trapezoid", ())],
)
def test_the_rule_is_said_beside_a_measured_map(matrix: Benchmark, ap: str, warnings: tuple[str, ...]) -> None:
    """The README's matrix measures as published; under step AP each published line with an mAP warns."""
    (judge,) = matrix.evaluate
    judge = replace(judge, params=judge.params.model_copy(update={"ap": ap}))
    (recipe,) = [recipe for recipe in matrix.methods if recipe.name == "L_CD"]
    for task in matrix.tasks:
        found = list(compared(matrix, recipe, task, judge, MEASURED))
        assert len(found) == 4  # L_T to L_CD; hhl has no row S
        assert all(one.warnings == warnings for one in found)
        assert all("last stride 2" in one.line.first.row for one in found)


def test_the_start_is_imagenet_at_stride_2_with_no_step_before(matrix: Benchmark) -> None:
    """No row fine-tunes, so hhl starts from the ImageNet backbone; features have unit length, AP is trapezoid."""
    kinds = {kind for recipe in matrix.methods for kind, _ in recipe.steps}
    assert kinds == {"adapt"}
    backbone: Any = matrix.methods[0].backbone
    assert backbone.name == "resnet50"
    assert (backbone.params.weights, backbone.params.last_stride) == ("IMAGENET1K_V1", 2)
    assert matrix.image_size == (256, 128)
    assert matrix.evaluate[0].params.ap == "trapezoid"
    assert [step.params.loss for recipe in matrix.methods for _, step in recipe.steps] == [
        "none", "L_T", "L_D", "L_C", "L_CD",
    ]  # fmt: skip
