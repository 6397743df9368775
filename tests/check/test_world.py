"""The data, networks and first stages of a check come from itself and from any loaded plugins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reidbench import Component, Params
from reidbench.check import Example
from reidbench.check.world import World
from reidbench.matrix.needs import NotApplicable
from reidbench.registry.plugins import Registry


def world(folder: Path, registry: Registry, *kinds: str, truth: bool = False) -> World:
    """A world of the components of some kinds only."""
    kept = {place: component for place, component in registry.components.items() if place[0] in kinds}
    folder.mkdir()
    return World(folder, replace(registry, components=kept), Example(), truth=truth)


def test_no_plugin_is_needed_for_data_and_first_stages(tmp_path: Path, registry: Registry) -> None:
    tried = world(tmp_path / "check", registry, "backbone", "evaluator")
    stage, expansion = tried.plan("evaluator", registry.get("evaluator", "cosine"))
    tried.make_parents(stage, expansion)
    (embed,) = stage.needs
    made = tried.store.read(embed)
    assert (made.path / "features.npz").is_file()
    assert all(map(tried.store.has, expansion.result.stages[embed].needs))


def test_rendered_sets_are_small_and_of_other_persons(tmp_path: Path, registry: Registry) -> None:
    tried = world(tmp_path / "check", registry, "dataset", truth=True)
    source, target = (tried.registry.get("dataset", tried.rendered(n)["use"]) for n in (0, 1))
    assert source is target
    assert {tried.rendered(n)["size"] for n in (0, 1)} == {"tiny"}
    assert tried.rendered(0) != tried.rendered(1)
    assert "truth" in source.capabilities_with(source.params())


def test_without_a_set_that_knows_the_truth_nothing_can_be_tried(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(NotApplicable, match="no loaded plugin renders a data set"):
        world(tmp_path / "check", registry, "backbone", truth=True).rendered(0)


def test_small_networks_of_the_built_in_plugins_come_first(tmp_path: Path, registry: Registry) -> None:
    tried = world(tmp_path / "check", registry, "backbone")
    theirs = Component("a-tiny-one", "x:y", Params)
    tried.registry.components["backbone", theirs.name] = theirs
    small = [name for name in tried.backbones if "tiny" in name]
    assert tried.backbones[: len(small)] == small
    assert small[-1] == theirs.name


def test_a_fine_tuner_that_chooses_its_epoch_is_given_validation(tmp_path: Path, registry: Registry) -> None:
    tried = world(tmp_path / "check", registry, "backbone", "finetuner")
    tried = World(tried.folder, tried.registry, Example(params={"choose_epoch": "best", "epochs": 1}), truth=False)
    stage, expansion = tried.plan("finetuner", registry.get("finetuner", "bot"))
    assert [(given.role, given.part) for given in stage.data] == [("source", "train"), ("validation", "test")]
    assert {given.data for given in stage.data} == {"source (2 identities held out)"}
    tried.make_parents(stage, expansion)
    ((query, gallery),) = tried.inputs(stage, expansion).validation()
    assert (query.num_pids, gallery.num_pids) == (2, 2)
