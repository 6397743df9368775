"""Network and image size of single steps: where they are set, what they change, and that nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reidbench.components import Component, Params, Uses
from reidbench.data.pictures.size import ImageSize
from reidbench.errors import ConfigError, PluginError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry

Matrix = Callable[..., Path]
POOLED = "{t: {source: tiny, target: tiny, pool: tiny}}"


class Style(Params):
    strength: int = 1


class Styled(Params):
    style: Uses["preparer", "target"]  # type: ignore[type-arg]


class Proxies(Params):
    proxy: Uses["pretrainer", "pool"]  # type: ignore[type-arg]
    tuned: Uses["finetuner", "target", "proxy"]  # type: ignore[type-arg]


COMPONENTS = [
    ("backbone", Component("sees-tokens", "m:f", capabilities=frozenset({"tokens"}))),
    ("backbone", Component("drawn-once", "m:f", traits=frozenset({"seedless"}))),
    ("backbone", Component("labelled", "m:f", protocol=frozenset({"ImageNet labels"}))),
    ("pretrainer", Component("learns", "m:f", presets={"paper": {"image_size": (40, 20), "resize": "bicubic"}})),
    ("preparer", Component("styles", "m:f", Style, presets={"paper": {"image_size": [48, 24]}})),
    ("selector", Component("proxied", "m:f", Proxies)),
    ("finetuner", Component("tunes", "m:f")),
    ("finetuner", Component("needs-tokens", "m:f", requires=frozenset({"tokens"}))),
    ("adapter", Component("adapts", "m:f", Styled)),
    ("adapter", Component("goes-on", "m:f", presets={"paper": {"image_size": [56, 28]}})),
]
Expand = Callable[..., Plan]


@pytest.fixture
def toys() -> Registry:
    registry = plugins.load()
    registry.add("toys", COMPONENTS)
    return registry


@pytest.fixture
def expand(matrix: Matrix, toys: Registry) -> Expand:
    """The plan of a matrix with these parts, whose images have 32x16."""

    def expanded(methods: str, *overrides: str, **parts: str) -> Plan:
        return plan.expand(reader.read(matrix(methods=methods, tasks=POOLED, **parts), toys, overrides))

    return expanded


def sizes(found: Plan) -> dict[str, ImageSize]:
    return {f"{stage.kind} {stage.use}": stage.size for stage in found.stages.values()}


def keys(found: Plan) -> dict[str, str]:
    return {f"{stage.kind} {stage.use}": key for key, stage in found.stages.items()}


def problems(matrix: Matrix, toys: Registry, methods: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        reader.read(matrix(methods=methods), toys)
    return list(caught.value.problems)


# ---------------------------------------------------------------------- keys
def test_what_the_file_says_and_what_every_step_says_is_the_same(expand: Expand) -> None:
    said = "image_size: [64, 32], resize: bicubic, resize_test: bilinear, crop_from: original"
    net = "backbone: {use: resnet-tiny, width: 8}"
    top = {"image_size": "[64, 32]", "resize": "bicubic", "resize_test": "bilinear", "crop_from": "original"}
    whole = expand("{m: {pretrain: learns, finetune: tunes, adapt: goes-on}}", backbone=net[10:], **top)
    steps = f"pretrain: {{use: learns, {said}, {net}}}, finetune: {{use: tunes, {said}, {net}}}"
    each = expand(f"{{m: {{{steps}, adapt: {{use: goes-on, {said}, {net}}}}}}}")
    method = expand(f"{{m: {{{said}, {net}, pretrain: learns, finetune: tunes, adapt: goes-on}}}}")
    assert keys(whole) == keys(each) == keys(method)
    assert whole.rows == each.rows == method.rows


@pytest.mark.parametrize(
    ("beside", "changed"),
    [
        ("pretrain.image_size=[64, 32]", {"pretrain", "finetune", "adapt", "embed", "evaluate"}),
        ("pretrain.backbone={use: resnet-tiny, width: 8}", {"pretrain", "finetune", "adapt", "embed", "evaluate"}),
        ("finetune.resize_test=bicubic", {"finetune", "adapt", "embed", "evaluate"}),
        ("adapt.image_size=[64, 32]", {"adapt", "embed", "evaluate"}),
        ("adapt.backbone.width=8", {"adapt", "embed", "evaluate"}),
        ("adapt.image_size=[32, 16]", set()),
        ("adapt.backbone.width=4", set()),
    ],
)
def test_a_step_changes_the_keys_from_itself_on(expand: Expand, beside: str, changed: set[str]) -> None:
    own = "{use: goes-on, backbone: {use: resnet-tiny, width: 4}}"
    methods = f"{{m: {{pretrain: {{use: learns}}, finetune: {{use: tunes}}, adapt: {own}}}}}"
    before, after = (keys(expand(methods, *more)) for more in ((), (f"methods.m.{beside}",)))
    assert {name.split()[0] for name in before if before[name] != after[name]} == changed


def test_embed_and_evaluate_have_the_size_of_the_step_that_left_the_embedder(expand: Expand) -> None:
    found = sizes(
        expand("{m: {pretrain: {use: learns, image_size: [64, 32]}, finetune: {use: tunes, resize: bicubic}}}")
    )
    assert found["pretrain learns"] == (64, 32)
    assert found["embed embed"] == found["evaluate cosine"] == found["finetune tunes"] == (32, 16)
    assert {name: size.resize for name, size in found.items() if size.resize != "bilinear"} == dict.fromkeys(
        ("finetune tunes", "embed embed", "evaluate cosine"), "bicubic"
    )


def test_an_ensemble_of_two_sizes_is_evaluated_once(expand: Expand) -> None:
    found = expand("{a: {finetune: tunes}, b: {image_size: [64, 32], finetune: tunes}, both: {ensemble: [b, a]}}")
    embedded = {stage.size for stage in found.stages.values() if stage.kind == "embed"}
    assert embedded == {(32, 16), (64, 32)}
    (last,) = [row.key for row in found.rows if row.method == "both"]
    assert found.stages[str(last)].size == (64, 32)


# ---------------------------------------------------------------------- who says it
def test_a_step_goes_before_its_preset_and_that_before_the_method_and_the_file(expand: Expand) -> None:
    def pretrained(step: str, method: str = "", **top: str) -> ImageSize:
        return sizes(expand(f"{{m: {{{method}pretrain: {step}, finetune: none}}}}", **top))["pretrain learns"]

    own = "{use: learns, preset: paper, image_size: [64, 32]}"
    assert pretrained("learns") == (32, 16)
    assert pretrained("learns", "image_size: [24, 12], ") == (24, 12)
    assert pretrained("{use: learns, preset: paper}", "image_size: [24, 12], ") == (40, 20)
    assert pretrained(own, "image_size: [24, 12], ") == (64, 32)
    # each setting by itself
    assert pretrained(own).said == {"resize": "bicubic"}
    found = pretrained("{use: learns, resize: bilinear}", "resize_test: bicubic, ", crop_from="original")
    assert found.said == {"resize_test": "bicubic", "crop_from": "original"}


def test_the_preset_is_a_word_for_its_settings(expand: Expand) -> None:
    by_word = expand("{m: {finetune: tunes, adapt: {use: goes-on, preset: paper}}}")
    spelt = expand("{m: {finetune: tunes, adapt: {use: goes-on, image_size: [56, 28]}}}")
    assert keys(by_word) == keys(spelt)


def test_a_preparer_takes_the_size_of_the_step_that_uses_it_unless_it_says_its_own(expand: Expand) -> None:
    def style(given: str) -> ImageSize:
        adapt = f"{{use: adapts, image_size: [64, 32], style: {given}}}"
        return sizes(expand(f"{{m: {{finetune: tunes, adapt: {adapt}}}}}"))["prepare styles"]

    assert style("styles") == (64, 32)
    assert style("{use: styles, preset: paper}") == (48, 24)
    assert style("{use: styles, preset: paper, image_size: [16, 8]}") == (16, 8)


def test_a_nested_training_takes_what_it_starts_from_or_the_step_has(expand: Expand) -> None:
    net = "backbone: {use: resnet-tiny, width: 8}"
    step = f"{{use: proxied, image_size: [64, 32], {net}, proxy: PROXY, tuned: TUNED}}"

    def nested(proxy: str, tuned: str) -> dict[str, tuple[ImageSize, int]]:
        text = step.replace("PROXY", proxy).replace("TUNED", tuned)
        stages = expand(f"{{m: {{select: {text}, pretrain: moco-v2, finetune: bot}}}}").stages.values()
        return {s.use: (s.size, s.backbone["params"]["width"]) for s in stages if s.backbone is not None}

    plain = nested("learns", "tunes")
    assert (plain["learns"], plain["tunes"]) == (((64, 32), 8), ((64, 32), 8))
    assert (plain["moco-v2"], plain["bot"]) == (((32, 16), 4), ((32, 16), 4))
    other = nested("{use: learns, image_size: [16, 8], backbone: {use: resnet-tiny, width: 6}}", "tunes")
    assert (other["learns"], other["tunes"]) == (((16, 8), 6), ((16, 8), 6))
    assert nested("learns", "{use: tunes, image_size: [16, 8]}")["tunes"] == ((16, 8), 8)


def test_a_nested_training_with_another_network_than_its_start_is_another_stage(expand: Expand) -> None:
    """In older results the network of the start was used instead of the field's: their key had the field's."""

    def tuned(network: str) -> dict[str, str]:
        step = f"{{use: proxied, proxy: learns, tuned: {{use: tunes, backbone: {network}}}}}"
        return keys(expand(f"{{m: {{select: {step}, pretrain: moco-v2, finetune: bot}}}}"))

    found = expand("{m: {select: {use: proxied, proxy: learns, tuned: tunes}, pretrain: moco-v2, finetune: bot}}")
    assert tuned("{use: resnet-tiny, width: 4}") == keys(found)
    assert tuned("{use: resnet-tiny, width: 8}")["finetune tunes"] != keys(found)["finetune tunes"]


# ---------------------------------------------------------------------- what reads it
def test_a_step_needs_of_its_own_network(expand: Expand) -> None:
    with_tokens = "{use: needs-tokens, backbone: sees-tokens}"
    found = expand(f"{{own: {{finetune: {with_tokens}}}, plain: {{finetune: needs-tokens}}}}")
    reasons = {row.method: row.reason for row in found.rows}
    assert reasons["own"] == ""
    assert reasons["plain"] == "needs-tokens needs tokens, which resnet-tiny does not provide"


def test_a_network_of_a_steps_own_that_is_not_drawn_makes_one_stage_for_all_seeds(expand: Expand) -> None:
    own = "own: {finetune: {use: none, backbone: drawn-once}}"
    found = expand(f"{{plain: {{finetune: none}}, {own}}}", "seeds=[0, 1]")
    assert [(row.method, row.seed) for row in found.rows] == [("plain", 0), ("plain", 1), ("own", None)]


def test_the_labels_behind_a_network_are_told_where_its_weights_are_used(expand: Expand) -> None:
    def words(steps: str) -> str:
        return expand(f"{{m: {{{steps}}}}}").rows[0].protocol

    assert "ImageNet labels" in words("finetune: {use: tunes, backbone: labelled}")
    assert "ImageNet labels" in words("pretrain: {use: learns, backbone: labelled}, finetune: tunes")
    assert "ImageNet labels" not in words("pretrain: learns, finetune: {use: tunes, backbone: labelled}")  # overwritten
    proxied = "select: {{use: proxied, proxy: {}, tuned: {}}}, pretrain: learns, finetune: tunes"
    assert "ImageNet labels" in words(proxied.format("{use: learns, backbone: labelled}", "tunes"))
    assert "ImageNet labels" not in words(proxied.format("learns", "{use: tunes, backbone: labelled}"))  # overwritten
    teacher = "teacher: {use: bot, keep_classifier: true, backbone: labelled}"
    assert "ImageNet labels" in words(f"finetune: {{use: distill, {teacher}}}")
    taught = "pretrain: learns, finetune: {use: distill, backbone: labelled}"
    assert "ImageNet labels" in words(taught)  # the student's weights are overwritten, the teacher's are not


def test_rows_of_different_sizes_say_theirs_and_others_say_nothing(expand: Expand) -> None:
    small, large = "a: {finetune: tunes}", "b: {finetune: {use: tunes, image_size: [64, 32]}}"

    def said(*methods: str) -> dict[str, str]:
        rows = expand(f"{{{', '.join(methods)}}}").rows
        return {row.method: " ".join(w for w in row.protocol.split(", ") if w.startswith("tested")) for row in rows}

    assert said(small) == {"a": ""}
    assert said(small, "p: {pretrain: {use: learns, image_size: [64, 32]}, finetune: tunes}") == {"a": "", "p": ""}
    assert said(small, large, "both: {ensemble: [a, b]}") == {
        "a": "tested at 32x16",
        "b": "tested at 64x32",
        "both": "tested at 32x16 and 64x32",
    }
    assert said(small, "c: {resize_test: bicubic, finetune: tunes}") == {
        "a": "tested at 32x16 (bilinear)",
        "c": "tested at 32x16 (bicubic)",
    }


def test_stages_that_differ_in_nothing_else_are_told_apart_by_their_size(expand: Expand) -> None:
    found = expand("{a: {finetune: tunes}, b: {finetune: {use: tunes, image_size: [64, 32]}}}")
    labels = [stage.label for stage in found.stages.values() if stage.kind == "finetune"]
    assert labels == ["finetune tunes [tiny, seed 0, images=32x16]", "finetune tunes [tiny, seed 0, images=64x32]"]


# ---------------------------------------------------------------------- mistakes
@pytest.mark.parametrize(
    ("methods", "sentence"),
    [
        (
            "{m: {finetune: {use: tunes, image_size: 64}}}",
            "m.finetune.image_size: must be [height, width] in pixels from 8 to 4096, not 64",
        ),
        (
            "{m: {adapt: [goes-on, {use: goes-on, image_size: [64, 3]}]}}",
            "m.adapt.1.image_size: must be [height, width] in pixels from 8 to 4096, not [64, 3]",
        ),
        ("{m: {resize: cubic, finetune: tunes}}", "m.resize: must be one of bilinear, bicubic, not 'cubic'"),
        (
            "{m: {finetune: {use: tunes, crop_from: [original]}}}",
            "m.finetune.crop_from: must be one of resized, original, not ['original']",
        ),
        (
            "{m: {finetune: tunes, adapt: {use: adapts, style: {use: styles, resize_test: no}}}}",
            "m.adapt.style.resize_test: must be one of bilinear, bicubic, not no",
        ),
        (
            "{m: {finetune: {use: tunes, backbone: resnet-tinny}}}",
            "m.finetune.backbone: unknown backbone 'resnet-tinny'; did you mean 'resnet-tiny'?",
        ),
        (
            "{m: {finetune: tunes, adapt: {use: adapts, style: {use: styles, backbone: resnet-tiny}}}}",
            "m.adapt.style.backbone: preparer styles has no such parameter (known: strength)",
        ),
        (
            "{a: {finetune: tunes}, b: {finetune: tunes}, m: {ensemble: [a, b], image_size: [64, 32]}}",
            "m.ensemble: must be the only key, with a list of two or more methods",
        ),
    ],
)
def test_a_bad_value_is_one_sentence_with_its_line(matrix: Matrix, toys: Registry, methods: str, sentence: str) -> None:
    (found,) = problems(matrix, toys, methods)
    place, _, said = found.partition(": methods.")
    assert place.endswith("matrix.yaml:7")
    assert said.startswith(sentence)


@pytest.mark.parametrize(
    ("kind", "fields", "sentence"),
    [
        ("adapter", {"presets": {"paper": {"image_size": [64]}}}, "image_size must be [height, width] in pixels"),
        (
            "preparer",
            {"presets": {"paper": {"resize": "cubic"}}},
            "resize must be one of bilinear, bicubic, not 'cubic'",
        ),
        ("evaluator", {"presets": {"paper": {"resize": "bicubic"}}}, "unknown parameter 'resize'"),
    ],
)
def test_the_settings_of_a_preset_are_checked_when_it_is_loaded(
    kind: str, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(PluginError) as caught:
        Registry().add("toys", [(kind, Component("toy", "m:f", **fields))])
    assert "preset 'paper': " in str(caught.value)
    assert sentence in str(caught.value)


class Sized(Params):
    image_size: int = 1


def test_a_parameter_must_not_have_the_name_of_a_setting() -> None:
    with pytest.raises(PluginError, match="its parameter 'image_size' has the name of a setting of its step"):
        Registry().add("toys", [("finetuner", Component("toy", "m:f", Sized))])
    Registry().add("toys", [("dataset", Component("toy", "m:f", Sized))])
