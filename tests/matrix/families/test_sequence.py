"""A method on a sequence: which stages, from which network, with which data; and old tasks keep their keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reidbench.matrix.benchmark import DataRef
from reidbench.matrix.needs import Needs, NotApplicable
from reidbench.matrix.plan import expand
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry.plugins import Registry

WORLDS = (
    "{a: {use: synthetic, size: tiny}, b: {use: synthetic, world: station, size: tiny}, "
    "c: {use: synthetic, world: arcade, size: tiny}, crowd: {use: synthetic, world: crowd, size: tiny}}"
)
LIFE = "{life: {sequence: [a, b], unseen: [c]}}"


def planned(matrix: Callable[..., Path], registry: Registry, methods: str, tasks: str = LIFE) -> Plan:
    return expand(reader.read(matrix(methods=methods, tasks=tasks, data=WORLDS), registry))


def line(plan: Plan, task: str, method: str = "m") -> list[tuple[str, str, list[tuple[str, str, bool]]]]:
    """Kind, component and data (role, name, hidden) of the stages behind a row, from its first to its embedder."""
    row = next(row for row in plan.rows if (row.method, row.task) == (method, task))
    assert row.key, row.reason
    found, key = [], plan.stages[row.key].parents[0][1]
    while plan.stages[key].parents:
        key = plan.stages[key].parents[0][1]
        stage = plan.stages[key]
        found.append((stage.kind, stage.use, [(given.role, given.data, given.hidden) for given in stage.data]))
    return found[::-1]


def test_each_step_goes_on_from_the_one_before_and_sees_its_own_set_only(
    matrix: Callable[..., Path], registry: Registry
) -> None:
    plan = planned(matrix, registry, "{m: {finetune: bot}}")
    steps = [("finetune", "bot", [("source", name, False)]) for name in ("a", "b")]
    assert line(plan, "life: a->a") == steps[:1]
    for target in ("a", "b", "c"):
        assert line(plan, f"life: a>b->{target}") == steps
    assert sum(stage.kind == "finetune" for stage in plan.stages.values()) == 2  # for any tested set
    labels = [stage.label for stage in plan.stages.values() if stage.kind == "finetune"]
    assert labels == ["finetune bot [a, seed 0]", "finetune bot [a>b, seed 0]"]


def test_the_first_step_is_shared_with_a_task_of_its_own(matrix: Callable[..., Path], registry: Registry) -> None:
    plan = planned(matrix, registry, "{m: {finetune: bot}}", LIFE[:-1] + ", own: {source: a, target: a}}")
    keys = {row.task: row.key for row in plan.rows}
    assert keys["own"] == keys["life: a->a"]


def test_an_adapter_is_given_each_set_without_labels(matrix: Callable[..., Path], registry: Registry) -> None:
    plan = planned(matrix, registry, "{m: {finetune: bot, adapt: cluster-contrast}}")
    assert line(plan, "life: a>b->c") == [
        step
        for name in ("a", "b")
        for step in (
            ("finetune", "bot", [("source", name, False)]),
            ("adapt", "cluster-contrast", [("target", name, True)]),
        )
    ]


def test_each_step_has_the_preset_of_its_own_data_set_whatever_is_tested(
    matrix: Callable[..., Path], registry: Registry, market: Path
) -> None:
    """Else the tasks of a sequence would have several trainings, and forgetting would compare one with another."""
    data = f"{{a: {{use: synthetic, size: tiny}}, tiny: {{use: market-folder, root: {market}}}}}"
    tasks = "{life: {sequence: [a, tiny]}}"
    methods = "{m: {finetune: bot, adapt: cluster-contrast}}"
    benchmark = reader.read(matrix(methods=methods, tasks=tasks, data=data), registry)
    (recipe,) = benchmark.methods
    first, (_, adapt) = recipe.steps
    rendered = replace(adapt, params=adapt.params.model_copy(update={"iterations": 7}))
    steps = (first, ("adapt", replace(adapt, for_data={"synthetic": rendered})))
    plan = expand(replace(benchmark, methods=(replace(recipe, steps=steps),)))
    found = [
        (stage.data[0].data, stage.params["iterations"]) for stage in plan.stages.values() if stage.kind == "adapt"
    ]
    assert found == [("a", 7), ("tiny", adapt.resolved["iterations"])]


def test_pre_training_and_what_trains_nothing_come_once(matrix: Callable[..., Path], registry: Registry) -> None:
    methods = "{m: {pretrain: moco-v2, finetune: none, adapt: cluster-contrast}}"
    plan = planned(matrix, registry, methods, "{life: {sequence: [a, b], pool: crowd}}")
    uses = [use for _, use, _ in line(plan, "life: a>b->a")]
    assert uses == ["moco-v2", "none", "cluster-contrast", "cluster-contrast"]


def test_a_program_of_its_own_cannot_go_on(matrix: Callable[..., Path], registry: Registry) -> None:
    program = "{use: command, train: 'train {source} {out}', extract: 'extract {images} {model} {out}'}"
    methods = f"{{m: {{finetune: {program}}}, floor: {{finetune: colour-histogram}}}}"
    plan = planned(matrix, registry, methods)
    reasons = {row.task: row.reason for row in plan.rows if row.method == "m"}
    sentence = "command cannot start from the network of the previous data set, which a sequence needs"
    assert reasons == {"life: a->a": "", **dict.fromkeys([f"life: a>b->{name}" for name in "abc"], sentence)}
    assert not any(row.reason for row in plan.rows if row.method == "floor")  # it trains nothing


def test_the_protocol_says_whose_images_were_used(matrix: Callable[..., Path], registry: Registry) -> None:
    plan = planned(matrix, registry, "{m: {adapt: cluster-contrast}}")
    words = {row.task: row.protocol.split(", ")[0] for row in plan.rows}
    assert words == {
        "life: a->a": "target images",
        "life: a>b->a": "target images",
        "life: a>b->b": "target images",
        "life: a>b->c": "source images",
    }


def test_all_images_of_a_source_are_another_stage(matrix: Callable[..., Path], registry: Registry) -> None:
    tasks = "{train: {source: a, target: b}, all: {source: {use: a, images: all}, target: b}}"
    plan = planned(matrix, registry, "{m: {finetune: bot}}", tasks)
    stages = [stage for stage in plan.stages.values() if stage.kind == "finetune"]
    assert [given.part for stage in stages for given in stage.data] == ["train", "all"]
    assert [row.protocol.split(", ") for row in plan.rows] == [
        ["source labels", "AP step"],
        ["source labels", "train and test images of the source", "AP step"],
    ]
    (embed,) = [
        stage for stage in plan.stages.values() if stage.kind == "embed" and stage.parents[0][1] == stages[1].key
    ]
    assert [given.part for given in plan.trained_on(embed.key)] == ["all"]


def test_a_step_without_labels_cannot_have_all_images(matrix: Callable[..., Path], registry: Registry) -> None:
    data = reader.read(matrix(data=WORLDS, tasks=LIFE), registry).data
    refs = (DataRef("a", images="all"),)
    Needs(data).check_parts("source", refs, "train", hidden=False)
    with pytest.raises(NotApplicable, match="`images: all` of a is for training with labels, but a step here gets"):
        Needs(data).check_parts("split", refs, "train", hidden=True)
