"""Shortening of a rehearsal, whose results never have the keys of a full run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reidbench.matrix import plan
from reidbench.matrix.benchmark import Validation
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry
from reidbench.rehearsal.shorten import FEW, shorten
from reidbench.rehearsal.standins import Cast


def test_few_images_have_another_key(matrix: Callable[..., Path], registry: Registry, market: Path) -> None:
    """That of a rendered set, which is never cut, stays, and so do all where nothing is cut."""
    file = matrix(
        data=f"{{mine: {{use: market-folder, root: {market}}}, plaza: {{use: synthetic, world: plaza, size: tiny}}}}",
        tasks="{mine: {source: mine, target: mine}, plaza: {source: plaza, target: plaza}}",
    )
    benchmark = reader.read(file, registry)
    whole, again = plan.expand(benchmark).stages, plan.expand(replace(benchmark, few=0)).stages
    few = plan.expand(replace(benchmark, few=12)).stages
    assert list(whole) == list(again)
    common = {stage.label for key, stage in whole.items() if key in few}
    # the fine-tuner `none` reads no images, and precedes both
    assert {label.split(" [")[0] for label in common} == {
        "data plaza",
        "finetune none",
        "embed untrained -> plaza",
        "evaluate cosine of untrained -> plaza",
    }
    assert [stage.few for stage in few.values() if stage.kind == "data"] == [12, 0]


def test_what_is_shortened(matrix: Callable[..., Path], registry: Registry, market: Path) -> None:
    file = matrix(
        seeds="[3, 4]",
        pretrain_seeds="[5, 6]",
        devices="{finetune: 2}",
        profile="true",
        data=f"{{mine: {{use: market-folder, root: {market}}}, plaza: {{use: synthetic, world: plaza, size: full}}}}",
        tasks="{mine: {source: [{use: mine, identities: 0.1}, {use: plaza, identities: 70}], target: mine}, "
        "own: {source: mine, target: mine, validate: {data: plaza}}}",
        validate="{identities: 100, seed: 3}",
    )
    cast = Cast(reader.read(file, registry))
    shorten(cast, real=True)
    found = cast.benchmark
    assert (found.seeds, found.pretrain_seeds, found.devices, found.few) == ((3,), (5,), 1, FEW)
    assert not found.profile
    assert [ref.identities for ref in found.tasks[0].source] == [1.0, 1.0]
    assert found.validate == Validation("identities", 0.25, seed=3)  # of few identities, for any share of all
    assert [task.validate for task in found.tasks] == [None, Validation("data", data="plaza")]
    assert found.data["plaza"].choice.resolved["size"] == "tiny"
    assert cast.refused == {}
