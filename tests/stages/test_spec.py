"""A spec is the same after a way through JSON, as worker processes get it, and says all that the plan said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry import plugins
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store

MATRIX = """
image_size: [48, 24]
threads: 2
devices: {finetune: 2}
data:
  plaza: {use: synthetic, world: plaza, size: tiny}
  station: {use: synthetic, world: station, size: tiny}
tasks:
  whole: {source: plaza, target: station, pool: plaza}
  half: {source: {use: plaza, identities: 0.5}, target: station, pool: plaza}
  one: {source: {use: plaza, identities: 1.0}, target: station, pool: plaza}
  few: {source: {use: plaza, identities: 2, subset_seed: 9007199254740993}, target: station, pool: plaza}
backbone: resnet-tiny
methods:
  both: {select: random, pretrain: {use: moco-v2, epochs: 1}, finetune: {use: bot, lr: 1.0e-5}}
  styled: {adapt: {use: hhl, style: oracle-style}}
"""


@pytest.fixture
def the_plan(tmp_path: Path) -> Plan:
    (tmp_path / "matrix.yaml").write_text(MATRIX)
    registry = plugins.load()
    return plan.expand(reader.read(tmp_path / "matrix.yaml", registry))


def test_a_spec_survives_json(the_plan: Plan, tmp_path: Path) -> None:
    kinds = set()
    for stage in the_plan.stages.values():
        spec = StageSpec.of(the_plan, stage, Store(tmp_path / "store"), {"b", "a"}, workers=3)
        again = StageSpec.model_validate(json.loads(json.dumps(spec.dump())))
        assert again == spec
        assert repr(again.stage) == repr(replace(stage, changed={}))  # 1 is not 1.0, which is another subset
        assert again.kind.stage == stage.kind
        kinds.add(stage.kind)
    assert kinds == {"data", "select", "pretrain", "prepare", "finetune", "adapt", "embed", "evaluate"}


def test_a_spec_has_the_settings_and_the_data(the_plan: Plan, tmp_path: Path) -> None:
    stage = next(one for one in the_plan.stages.values() if one.kind == "finetune")
    spec = StageSpec.of(the_plan, stage, Store(tmp_path / "store"), {"b", "a"}, workers=3).dump()
    (source,) = stage.data
    assert (spec["stage"]["image_size"], spec["threads"], spec["precision"]) == ([48, 24], 2, "32-true")
    assert spec["devices"] == {"finetune": 2, "pretrain": 1}
    assert (spec["store"], spec["without"], spec["workers"]) == (str(tmp_path / "store"), ["a", "b"], 3)
    assert spec["roots"] == {source.key: None}
    assert spec["data_stages"][source.key]["params"]["world"] == "plaza"
    assert [given["role"] for given in spec["trained_on"]] == ["pool"]
    assert spec["stage"]["parents"] == [["pretrain", stage.parents[0][1]]]


def test_a_spec_that_says_something_unknown_is_refused(the_plan: Plan, tmp_path: Path) -> None:
    stage = next(iter(the_plan.stages.values()))
    dumped = StageSpec.of(the_plan, stage, Store(tmp_path / "store")).dump()
    for wrong in ({**dumped, "thread": 2}, {**dumped, "threads": "many"}, {"stage": dumped["stage"]}):
        with pytest.raises(ValidationError):
            StageSpec.model_validate(wrong)
    with pytest.raises(ValidationError):
        StageSpec.model_validate(dumped).threads = 3  # type: ignore[misc]
