"""`{use: NAME, preset: paper}`: values count, not the preset's name, and keys next to it win."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidbench import Component, Paper, Params, Preset, Uses
from reidbench.cli import main as cli
from reidbench.components import Nested
from reidbench.errors import ConfigError, PluginError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry

Matrix = Callable[..., Path]


class Style(Params):
    strength: float = 1.0


class Rates(Params):
    lr: float = 0.1
    sizes: tuple[int, int] = (1, 2)
    epochs: int = 10
    style: Uses["preparer", "target"] = Nested(use="toy-style")  # type: ignore[name-defined,type-arg]


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"lr": 0.5, "sizes": (3, 4)},
    "paper:market1501": Preset("Table 2", lr=0.5, style={"use": "toy-style", "preset": "strong"}),
    "code": {"epochs": 10},
    "mine": {"epochs": 3},
}


@pytest.fixture
def registry() -> Registry:
    """The built-in plugins, and one with presets."""
    found = plugins.load()
    paper = Paper("A Title", "CVPR 2020", code="https://example.org/code")
    found.add(
        "toys",
        [
            ("adapter", Component("toy", "m:f", Rates, presets=PRESETS, paper=paper)),
            ("preparer", Component("toy-style", "m:f", Style, presets={"strong": {"strength": 9}})),
        ],
    )
    return found


def choice(matrix: Matrix, registry: Registry, text: str) -> dict[str, Any]:
    bench = reader.read(matrix(methods=f"{{m: {{finetune: none, adapt: {text}}}}}"), registry)
    return dict(bench.methods[0].steps[-1][1].resolved)


def key(matrix: Matrix, registry: Registry, text: str) -> str | None:
    file = matrix(methods=f"{{m: {{finetune: none, adapt: {text}}}}}")
    (row,) = plan.expand(reader.read(file, registry)).rows
    return row.key


def test_values_are_the_presets_and_keys_beside_it_win(matrix: Matrix, registry: Registry) -> None:
    found = choice(matrix, registry, "{use: toy, preset: paper, epochs: 7, lr: 0.25}")
    assert (found["lr"], found["sizes"], found["epochs"]) == (0.25, [3, 4], 7)
    assert "preset" not in found


def test_the_values_enter_the_key_and_not_the_word(matrix: Matrix, registry: Registry) -> None:
    assert key(matrix, registry, "{use: toy, preset: paper}") == key(
        matrix, registry, "{use: toy, lr: 0.5, sizes: [3, 4]}"
    )
    assert key(matrix, registry, "{use: toy, preset: code}") == key(matrix, registry, "toy")
    assert key(matrix, registry, "{use: toy, preset: paper}") != key(matrix, registry, "toy")


def test_a_preset_may_name_one_of_a_nested_component(matrix: Matrix, registry: Registry) -> None:
    found = choice(matrix, registry, '{use: toy, preset: "paper:market1501"}')
    assert found["style"] == {"use": "toy-style", "strength": 9.0}
    own = choice(matrix, registry, "{use: toy, style: {use: toy-style, preset: strong}}")
    assert own["style"] == found["style"]


def test_a_preset_is_that_of_the_data_set_that_the_step_learns_from(matrix: Matrix, registry: Registry) -> None:
    presets = {"paper": {"epochs": 5}, "paper:market-folder": {"epochs": 6}, "paper:market1501": {"epochs": 7}}
    registry.add("more", [("adapter", Component("by-data", "m:f", Rates, presets=presets))])
    file = matrix(
        methods="{p: {finetune: none, adapt: {use: by-data, preset: paper, lr: 0.25}}, "
        "q: {finetune: none, adapt: {use: by-data, epochs: 6, lr: 0.25}}}"
    )
    (by_preset, by_hand) = plan.expand(reader.read(file, registry)).rows
    assert by_preset.key == by_hand.key
    steps = reader.read(file, registry).methods[0].steps[-1][1]
    assert steps.on(frozenset({"market1501"})).resolved["epochs"] == 7
    assert steps.on(frozenset({"msmt17-v1"})).resolved["epochs"] == 5
    assert steps.on(frozenset({"market1501", "market-folder"})).resolved["epochs"] == 5
    assert {one.resolved["lr"] for one in steps.for_data.values()} == {0.25}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{use: toy, preset: papr}", "adapter toy has no preset 'papr'; did you mean 'paper'? (known: paper, paper:"),
        ("{use: toy, preset: 3}", "adapter toy has no preset 3 (known: paper, "),
        ("{use: toy, preset: [paper]}", "adapter toy has no preset "),
        ("{use: toy, preset: null}", "adapter toy has no preset "),
        ("{use: adabn, preset: paper}", "adapter adabn has no presets"),
    ],
)
def test_an_unknown_preset_is_one_sentence_with_its_line(
    matrix: Matrix, registry: Registry, text: str, sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        choice(matrix, registry, text)
    (problem,) = caught.value.problems
    assert f"{sentence}" in problem
    assert "matrix.yaml:7: methods.m.adapt.preset: " in problem


def test_a_preset_sets_the_parameter_of_that_name(matrix: Matrix, registry: Registry) -> None:
    """moco-v2 had a parameter `preset` before there were presets; values written next to a preset win."""
    file = matrix(methods="{m: {pretrain: {use: moco-v2, preset: imagenet, epochs: 7}, finetune: none}}")
    (_, chosen), _ = reader.read(file, registry).methods[0].steps
    found = chosen.resolved
    assert (found["preset"], found["temperature"], found["held_out"], found["epochs"]) == ("imagenet", 0.2, 0.0, 7)


def test_a_component_may_have_presets_and_a_parameter_of_the_name(registry: Registry) -> None:
    class Named(Params):
        preset: str = "a"

    component = Component("named", "m:f", Named, presets={"paper": {"preset": "b"}})
    Registry().add("toys", [("adapter", component)])


@pytest.mark.parametrize(
    ("presets", "sentence"),
    [
        ({"paper": {"lrr": 1}}, "preset 'paper': unknown parameter 'lrr'; did you mean 'lr'?"),
        (
            {"paper": {"image_size": [64, 32]}, "paper:market1501": {"lr": 1.0}},
            "preset 'paper:market1501' must have the same image_size as 'paper'",
        ),
        ({"paper": {"lr": "fast"}}, "preset 'paper': lr: Input should be a valid number"),
        ({"paper": 3}, "preset 'paper' must be a map of parameters, not 3"),
        ({"The Paper": {}}, "preset 'The Paper' must be named by words of a-z"),
        ([("paper", {})], "presets must be a map of a name to parameters"),
    ],
)
def test_a_wrong_preset_is_refused_at_load(presets: Any, sentence: str) -> None:
    with pytest.raises(PluginError) as caught:
        Registry().add("toys", [("adapter", Component("toy", "m:f", Rates, presets=presets))])
    assert sentence in str(caught.value)


def test_presets_that_leave_the_parameter_of_the_name_open_are_refused() -> None:
    class Clash(Params):
        preset: str = "a"

    with pytest.raises(PluginError, match="preset 'paper' must set the component's own parameter 'preset'"):
        Registry().add("toys", [("adapter", Component("toy", "m:f", Clash, presets={"paper": {}}))])


def test_show_prints_what_differs_from_the_defaults(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "load", lambda without=frozenset(): registry)
    shown = CliRunner().invoke(cli.app, ["show", "adapter", "toy"])
    assert shown.exit_code == 0, shown.output
    assert [line for line in shown.output.splitlines() if line.startswith("preset")] == [
        "preset paper (A Title, CVPR 2020): lr 0.1 -> 0.5, sizes (1, 2) -> (3, 4)",
        "preset paper:market1501 (Table 2): lr 0.1 -> 0.5, "
        "style Nested(use='toy-style') -> {'use': 'toy-style', 'preset': 'strong'}",
        "preset code (https://example.org/code): the defaults",
        "preset mine (source not stated): epochs 10 -> 3",
    ]
