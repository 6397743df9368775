"""No two stages of a plan have one name, and a name says what sets a stage apart from its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.matrix import plan
from reidbench.matrix.labels import with_params
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry.plugins import Registry

METHODS = """{
  a: {finetune: bot},
  b: {finetune: {use: bot, lr: 1e-3}},
  c: {backbone: {use: resnet-tiny, width: 8}, finetune: bot},
  d: {pretrain: moco-v2, finetune: bot},
  twice: {finetune: none, adapt: [spcl, spcl]},
  again: {finetune: none, adapt: [spcl, spcl, spcl]}}"""


@pytest.fixture
def labels(matrix: Callable[..., Path], registry: Registry) -> Callable[..., dict[str, list[str]]]:
    def find(**parts: str) -> dict[str, list[str]]:
        the_plan = plan.expand(reader.read(matrix(**parts), registry))
        found: dict[str, list[str]] = {}
        for stage in the_plan.stages.values():
            found.setdefault(stage.kind, []).append(stage.label)
        everything = [label for of_kind in found.values() for label in of_kind]
        assert len(set(everything)) == len(everything)
        return found

    return find


def test_a_label_that_nobody_shares_stays_short(labels: Callable[..., dict[str, list[str]]]) -> None:
    found = labels(methods="{a: {finetune: bot}}")
    assert found == {
        "data": ["data tiny"],
        "finetune": ["finetune bot [tiny, seed 0]"],
        "embed": ["embed a -> tiny [seed 0]"],
        "evaluate": ["evaluate cosine of a -> tiny [seed 0]"],
    }


def test_parameters_network_data_and_parents_set_apart(labels: Callable[..., dict[str, list[str]]]) -> None:
    task = "{source: tiny, target: tiny, pool: tiny}"
    found = labels(
        tasks=f"{{t: {task}, few: {{source: {{use: tiny, identities: 0.5}}, target: tiny, pool: tiny}}}}",
        evaluate="[cosine, {use: cosine, ap: trapezoid}]",
        methods=METHODS,
        pretrain_seeds="[0, 1]",
    )
    few = "source=tiny (0.5 identities, subset seed 0)"
    assert {
        "finetune bot [tiny, seed 0, lr=0.00035, backbone.width=4, source=tiny]",
        f"finetune bot [tiny, seed 0, lr=0.00035, backbone.width=4, {few}]",
        "finetune bot [tiny, seed 0, lr=0.001, backbone.width=4, source=tiny]",
        "finetune bot [tiny, seed 0, lr=0.00035, backbone.width=8, source=tiny]",
    } <= set(found["finetune"])
    assert sum("pretrain seed=1" in label for label in found["finetune"]) == 2
    assert "evaluate cosine of a -> tiny [seed 0, ap=step, finetune source=tiny]" in found["evaluate"]
    assert f"evaluate cosine of a -> tiny [seed 0, ap=trapezoid, finetune {few}]" in found["evaluate"]


def test_where_nothing_differs_the_key_does(labels: Callable[..., dict[str, list[str]]]) -> None:
    """The second and the third round of one method differ in nothing but the rounds before them."""
    first, second, third = labels(methods=METHODS, tasks="{t: {source: tiny, target: tiny}}")["adapt"]
    assert first.startswith("adapt spcl [tiny, seed 0, ")
    assert second.startswith("adapt spcl [tiny, seed 0, ")
    assert third.partition("#")[0] == second.partition("#")[0] != first


def test_keys_do_not_depend_on_neighbours(matrix: Callable[..., Path], registry: Registry) -> None:
    alone = plan.expand(reader.read(matrix(methods="{a: {finetune: bot}}"), registry))
    beside = plan.expand(reader.read(matrix(methods=METHODS), registry))
    assert alone.stages.keys() < beside.stages.keys()


def sentences(the_plan: Plan, kind: str) -> list[str]:
    return [with_params(stage) for stage in the_plan.stages.values() if stage.kind == kind]


def test_a_failure_names_the_parameters_that_are_not_the_defaults(
    matrix: Callable[..., Path], registry: Registry
) -> None:
    file = matrix(
        methods="{a: {finetune: {use: bot, epochs: 3, lr: 1e-3}}, b: {finetune: {use: bot, epochs: 3}}, "
        "c: {finetune: none}}",
        evaluate="{use: k-reciprocal, k1: 5}",
    )
    the_plan = plan.expand(reader.read(file, registry))
    assert sentences(the_plan, "finetune") == [
        "finetune bot (epochs=3) [tiny, seed 0, lr=0.001]",  # what the label says is not said again
        "finetune bot (epochs=3) [tiny, seed 0, lr=0.00035]",
        "finetune none [tiny, seed 0]",
    ]
    assert sentences(the_plan, "evaluate")[0] == "evaluate k-reciprocal (k1=5) of a -> tiny [seed 0]"
    assert sentences(the_plan, "embed")[0] == "embed a -> tiny [seed 0]"
    (data,) = sentences(the_plan, "data")
    assert data == "data tiny (market-folder)"


def test_a_failed_evaluator_with_a_preset_is_named_by_it_once(matrix: Callable[..., Path], registry: Registry) -> None:
    beside = "{use: cosine, preset: ltcc-cloth-changing, query_cameras: [0]}"
    the_plan = plan.expand(
        reader.read(
            matrix(
                methods="{a: {finetune: none}}",
                data="{f: {use: synthetic, world: wardrobe, size: tiny}}",
                tasks="{t: {source: f, target: f}}",
                evaluate=f"[{{use: cosine, preset: prcc-single}}, {beside}, {{use: cosine, ap: trapezoid}}]",
            ),
            registry,
        )
    )
    assert sentences(the_plan, "evaluate") == [
        "evaluate cosine(prcc-single) of a -> f [seed 0]",
        "evaluate cosine(ltcc-cloth-changing, query_cameras=[0]) of a -> f [seed 0]",
        "evaluate cosine (ap=trapezoid) of a -> f [seed 0]",
    ]


def test_many_and_long_parameters_are_cut() -> None:
    def sentence(kind: str = "finetune", label: str = "finetune x [t, seed 0]", **changed: object) -> str:
        return with_params(plan.Stage("k", kind, "x", {}, label=label, changed=changed))

    assert sentence(file="p" * 400) == f"finetune x (file={'p' * 40}) [t, seed 0]"
    many = sentence(**{f"parameter{n:02}": n for n in range(40)})
    assert many.endswith("...) [t, seed 0]")
    assert len(many) < 200
    assert sentence(style={"use": "y", "s": 1}) == "finetune x (style.use=y, style.s=1) [t, seed 0]"
    assert (
        sentence(label="finetune x [t, seed 0, epochs=10]", epochs=1) == "finetune x (epochs=1) [t, seed 0, epochs=10]"
    )
    assert sentence("data", "data x [root=b]", cameras="none") == "data x (cameras=none) [root=b]"
    assert sentence("data", "data mine", cameras="none") == "data mine (x, cameras=none)"
