"""The table of kinds against what is written down elsewhere: hooks, contexts, and words that plugins may say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from reidbench.components import NestedKind
from reidbench.contexts import Context
from reidbench.errors import PluginError
from reidbench.hookspecs import HOOKS
from reidbench.matrix.benchmark import Benchmark, Choice, DataRef, Recipe, Task
from reidbench.matrix.kinds import KINDS, OF_COMPONENT, STEPS, TRAINED, Kind
from reidbench.matrix.plan import Expansion
from reidbench.registry import plugins
from reidbench.stages.actions import ACTIONS
from reidbench.words import METHODS, NEEDS, TRAITS, known_words

COMMON = {field.name for field in dataclasses.fields(Context)}


def test_each_kind_of_component_has_one_line_and_one_hook() -> None:
    assert {*OF_COMPONENT, "backbone"} == set(HOOKS)
    assert [kind.stage for kind in KINDS] == list(ACTIONS)
    assert {*(kind.component for kind in STEPS.values()), "preparer"} == set(METHODS)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.given], ids=lambda kind: kind.stage)
def test_a_context_has_a_field_for_all_images_and_no_other(kind: Kind) -> None:
    assert kind.context is not None
    own = {field.name for field in dataclasses.fields(kind.context)} - COMMON
    assert own - {"backbone", "start"} == {images.role for images in kind.given}
    assert ("backbone" in own) == kind.step


@pytest.mark.parametrize(("component", "name"), [("adapter", "adabn"), ("selector", "random")])
def test_a_kind_that_cannot_be_nested_is_named(component: str, name: str) -> None:
    known = plugins.load().get(component, name)
    choice = Choice(component, known, known.params())
    task = Task("t", DataRef("target"), (DataRef("source"),))
    benchmark = Benchmark(Path("m.yaml"), "m", (64, 32), 1, "32-true", 1, (0,), (0,), 0, {}, (task,), (), ())
    with pytest.raises(PluginError, match=f"{name} is of kind {component}, which no `Uses` field can name"):
        Expansion(benchmark).nested_stage(choice, NestedKind((component,), "target"), None, Recipe("r", choice), task)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.given], ids=lambda kind: kind.stage)
def test_the_words_that_decide_are_words_that_a_plugin_may_say(kind: Kind) -> None:
    assert {word for images in kind.given for word in (images.unless, images.only_with)} - {""} <= TRAITS[
        kind.component
    ]
    assert {images.only_for for images in kind.given} - {""} <= known_words("protocol", kind.component)
    assert ("cameras" in NEEDS[kind.component]) == bool(kind.learns_from)


@pytest.mark.parametrize(
    ("component", "name", "params", "expected"),
    [
        ("pretrainer", "moco-v2", {}, ["pool"]),
        ("pretrainer", "supervised", {}, ["auxiliary"]),
        ("finetuner", "none", {}, []),
        ("finetuner", "bot", {}, ["source"]),
        ("finetuner", "bot", {"choose_epoch": "best"}, ["source", "validation"]),
        ("finetuner", "bot", {"patience": 5}, ["source", "validation"]),
        ("preparer", "stargan", {}, ["split"]),
        ("preparer", "spgan", {}, ["split", "target"]),
        ("adapter", "adabn", {}, ["target"]),
        ("adapter", "arn", {}, ["target", "source"]),
    ],
)
def test_what_a_component_is_given(component: str, name: str, params: dict[str, object], expected: list[str]) -> None:
    known = plugins.load().get(component, name)
    kind, chosen = OF_COMPONENT[component], known.params(**params)
    assert [images.role for images in kind.given if images.goes_to(known, chosen)] == expected
    if kind.stage in TRAINED:
        assert kind.trains_nothing(known, chosen) == (not expected)
