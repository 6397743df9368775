"""Descriptions of components may change after a pack was written; what decides a result may not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from reidbench.components import Component, Metric
from reidbench.registry.plugins import Registry
from tests.support import forging
from tests.support.forging import Files

from .conftest import Checked


def changed(registry: Registry, kind: str, name: str, change: Callable[[Component], Component]) -> Registry:
    """The registry with one component replaced."""
    components = dict(registry.components)
    components[kind, name] = change(components[kind, name])
    return dataclasses.replace(registry, components=components)


def other_summary(component: Component) -> Component:
    return dataclasses.replace(component, summary="in other words")


def other_paper_texts(component: Component) -> Component:
    assert component.paper is not None
    numbers = tuple(dataclasses.replace(one, note=one.note and "in other words") for one in component.paper.published)
    paper = dataclasses.replace(component.paper, title="A title", deviations=("in other words",), published=numbers)
    return dataclasses.replace(component, paper=paper)


def other_version(component: Component) -> Component:
    return dataclasses.replace(component, version=component.version + 1)


def other_metric(component: Component) -> Component:
    return dataclasses.replace(component, metrics=(*component.metrics, Metric("speed", better="lower")))


def other_number(component: Component) -> Component:
    return with_number(component, value=0.999)


def no_note(component: Component) -> Component:
    """A number loses its warning."""
    assert component.paper is not None
    assert component.paper.published[0].note
    return with_number(component, note="")


def with_number(component: Component, **changes: Any) -> Component:
    assert component.paper is not None
    first, *others = component.paper.published
    published = (dataclasses.replace(first, **changes), *others)
    return dataclasses.replace(component, paper=dataclasses.replace(component.paper, published=published))


def other_requirement(component: Component) -> Component:
    return dataclasses.replace(component, requires=frozenset({"clothes"}))


def other_words(component: Component) -> Component:
    return dataclasses.replace(component, protocol=frozenset({"truth"}))


def test_another_text_is_a_note(checked: Checked, registry: Registry) -> None:
    found = checked(None, changed(registry, "finetuner", "bot", other_summary))
    assert not found.findings.mismatches
    (note,) = found.findings.notes
    assert note == "descriptions of 1 component differ from the plugins installed here: finetuner bot (summary)"
    assert found.counts == {"re-scored": 3}


def test_all_texts_are_named(checked: Checked, registry: Registry) -> None:
    both = changed(registry, "finetuner", "bot", lambda one: other_paper_texts(other_summary(one)))
    found = checked(None, changed(both, "evaluator", "cosine", other_summary))
    assert not found.findings.mismatches
    (note,) = found.findings.notes
    assert note.startswith("descriptions of 2 components differ")
    assert "finetuner bot (summary, paper's title, paper's deviations" in note
    assert "evaluator cosine (summary)" in note


@pytest.mark.parametrize(
    ("kind", "name", "change", "sentence"),
    [
        ("finetuner", "bot", other_version, "finetuner bot: version on the board differs from the plugin"),
        ("finetuner", "bot", other_version, "bot on tiny by cosine [seed 0]: planned here with a different key"),
        ("evaluator", "cosine", other_metric, "evaluator cosine: metrics on the board differ from the plugin"),
        ("finetuner", "bot", other_number, "finetuner bot: published numbers on the board differ from the plugin"),
        ("finetuner", "bot", no_note, "finetuner bot: published numbers on the board differ from the plugin"),
        ("finetuner", "bot", other_requirement, "bot on tiny by cosine [seed 0]: "),
        ("finetuner", "bot", other_words, "bot on tiny by cosine [seed 0]: planned here with a different protocol"),
    ],
)
def test_what_decides_is_a_mismatch(
    checked: Checked,
    registry: Registry,
    kind: str,
    name: str,
    change: Callable[[Component], Component],
    sentence: str,
) -> None:
    found = checked(None, changed(registry, kind, name, change))
    assert any(one.startswith(sentence) for one in found.findings.mismatches), found.findings.mismatches


def test_a_text_and_a_metric_are_reported_separately(checked: Checked) -> None:
    def change(given: dict[str, Any]) -> None:
        (cosine,) = (one for one in given["components"] if one["name"] == "cosine")
        cosine["summary"] = "in other words"
        cosine["metrics"][0]["unit"] = "rank"

    def forged(files: Files) -> None:
        forging.edit_board(files, change)

    found = checked(forged)
    assert list(found.findings.mismatches) == [
        "evaluator cosine: metrics on the board differ from the plugin installed here"
    ]
    assert any("evaluator cosine (summary)" in note for note in found.findings.notes)
