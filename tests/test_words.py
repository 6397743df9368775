"""A row that starts from trained weights says on which labels they were trained, or that this is unknown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field

from reidbench import data
from reidbench.components import Component, FileParam, Params
from reidbench.errors import ConfigError, PluginError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Row
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry
from reidbench.words import MORE_LABELS, Labels, behind, is_supervision, require_file

Matrix = Callable[..., Path]


class FromFile(Params):
    """A component that may start from a file."""

    file: FileParam | None = None
    labels: Labels = Field(None, description="labels behind the file")

    def supervision(self) -> frozenset[str]:
        """Words for the protocol column."""
        return behind(self.file, self.labels)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that planning does not open."""
    place = tmp_path / "weights.pth"
    place.write_bytes(b"weights")
    return place


def rows(file: Path, registry: Registry) -> dict[str, Row]:
    return {row.method: row for row in plan.expand(reader.read(file, registry)).rows}


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ("", "unknown pre-training"),
        (", labels: none", "no labels"),
        (", labels: ImageNet labels", "ImageNet labels"),
        (", labels: [MSMT17 labels, ImageNet labels]", "ImageNet labels, MSMT17 labels"),
    ],
)
def test_weights_say_what_they_were_trained_on(
    declared: str, words: str, matrix: Matrix, registry: Registry, file: Path
) -> None:
    (row,) = rows(
        matrix(methods=f"{{m: {{pretrain: {{use: weights, file: {file}{declared}}}, finetune: none}}}}"), registry
    ).values()
    assert row.protocol == f"{words}, AP step"


def test_labels_are_shown_and_enter_no_key(matrix: Matrix, registry: Registry, file: Path) -> None:
    weights = f"use: weights, file: {file}"
    found = rows(
        matrix(
            methods=f"""{{a: {{pretrain: {{{weights}}}, finetune: bot}},
                         b: {{pretrain: {{{weights}, labels: MSMT17 labels}}, finetune: bot}},
                         e: {{ensemble: [a, b]}}}}"""
        ),
        registry,
    )
    assert found["a"].key == found["b"].key
    assert found["a"].protocol == "source labels, unknown pre-training, AP step"
    assert found["b"].protocol == "source labels, MSMT17 labels, AP step"
    assert found["e"].protocol == "source labels, unknown pre-training, MSMT17 labels, ensemble of 2, AP step"


@pytest.mark.parametrize(
    ("backbone", "words"),
    [
        ("{use: resnet18}", "no labels"),
        ("{use: resnet18, weights: IMAGENET1K_V1}", "ImageNet labels"),
        ("{use: resnet50, weights_file: FILE}", "unknown pre-training"),
        ("{use: resnet50, weights_file: FILE, labels: MSMT17 labels}", "MSMT17 labels"),
        ("{use: resnet50-ibn, weights_file: FILE, labels: ImageNet labels}", "ImageNet labels"),
        ("{use: se-resnet50, weights_file: FILE, labels: none}", "no labels"),
    ],
)
def test_a_backbone_that_starts_with_weights(
    backbone: str, words: str, matrix: Matrix, registry: Registry, file: Path
) -> None:
    """Its labels are behind every row that uses the network; colours are counted without one."""
    text = matrix(
        backbone=backbone.replace("FILE", str(file)), methods="{n: {finetune: none}, c: {finetune: colour-histogram}}"
    )
    found = rows(text, registry)
    assert found["n"].protocol == f"{words}, AP step"
    assert found["c"].protocol == "no labels, AP step"


def test_what_is_nested_counts(matrix: Matrix, registry: Registry, file: Path) -> None:
    """The proxies of a selection, and a user's body regressor."""
    proxies = f"""{{use: cfs, proxy: {{use: weights, file: {file}, labels: ImageNet labels}},
                   target_proxy: {{use: weights, file: {file}}}}}"""
    body = f"{{use: gcl, structure: {{use: hmr-weights, weights: {file}, labels: MSMT17 labels}}}}"
    found = rows(
        matrix(
            tasks="{t: {source: tiny, target: tiny, pool: tiny}}",
            methods=f"""{{s: {{select: {proxies}, pretrain: moco-v2, finetune: none}},
                         g: {{finetune: bot, adapt: {body}}}}}""",
        ),
        registry,
    )
    assert {"ImageNet labels", "unknown pre-training"} <= set(found["s"].protocol.split(", "))
    assert {"source labels", "MSMT17 labels"} <= set(found["g"].protocol.split(", "))


@pytest.mark.parametrize(
    "given",
    ["ImageNet", "3", "yes", "no", "[none, ImageNet labels]", "no labels", "source labels", "'a, b labels'", "{a: 1}"],
)
def test_other_words_are_refused_with_their_line(given: str, matrix: Matrix, registry: Registry, file: Path) -> None:
    methods = f"{{m: {{pretrain: {{use: weights, file: {file}, labels: {given}}}, finetune: none}}}}"
    with pytest.raises(
        ConfigError, match=r"matrix\.yaml:7: methods\.m\.pretrain\.labels: must be none, the labels of a data set"
    ):
        reader.read(matrix(methods=methods), registry)


@pytest.mark.parametrize("use", ["resnet18", "resnet50-ibn"])
def test_labels_of_no_file_are_refused(use: str, matrix: Matrix, registry: Registry) -> None:
    with pytest.raises(ConfigError, match="labels declares what weights_file was trained on, but weights_file"):
        reader.read(matrix(backbone=f"{{use: {use}, labels: ImageNet labels}}"), registry)
    with pytest.raises(ValueError, match="but file is not given"):
        require_file(None, (), "file")
    require_file(None, None, "file")


def test_the_encoder_of_a_body_regressor(registry: Registry, file: Path) -> None:
    component = registry.get("preparer", "hmr-training")
    for given, words in (
        ({}, {"truth"}),
        ({"encoder_weights": file}, {"truth", "unknown pre-training"}),
        ({"encoder_weights": file, "labels": "ImageNet labels"}, {"truth", "ImageNet labels"}),
    ):
        assert component.protocol_with(component.params.model_validate(given)) == words
    with pytest.raises(ValueError, match="encoder_weights is not given"):
        component.params.model_validate({"labels": "none"})


@pytest.mark.parametrize("word", ["ImageNet labels", "DukeMTMC-reID labels", "unknown pre-training", "LUP 2.0 labels"])
def test_words_for_supervision(word: str) -> None:
    assert is_supervision(word)
    assert not is_supervision(f"{word}, truth")
    assert not is_supervision("labels")


def test_a_plugins_words_are_checked(matrix: Matrix, file: Path) -> None:
    """Static words when it is loaded, those that depend on its params when it is used."""
    registry = plugins.load()
    registry.add("a", [("finetuner", Component("fixed", "m:f", protocol=frozenset({"ImageNet labels", "cameras"})))])
    registry.add("b", [("finetuner", Component("free", "m:f", FromFile, protocol=FromFile.supervision))])
    found = rows(matrix(methods=f"{{x: {{finetune: fixed}}, y: {{finetune: {{use: free, file: {file}}}}}}}"), registry)
    assert found["x"].protocol == "source labels, ImageNet labels, cameras, AP step"
    assert found["y"].protocol == "source labels, unknown pre-training, AP step"
    with pytest.raises(PluginError, match="protocol 'luck' is not a known word"):
        registry.add("c", [("finetuner", Component("lucky", "m:f", protocol=frozenset({"luck"})))])

    def luck(params: FromFile) -> frozenset[str]:
        return frozenset({"luck"} if params.file else ())

    registry.add("d", [("finetuner", Component("late", "m:f", FromFile, protocol=luck))])
    with pytest.raises(ConfigError, match=r"matrix.yaml:\d+: .*finetuner late: protocol 'luck' is not a known word"):
        rows(matrix(methods=f"{{m: {{finetune: {{use: late, file: {file}}}}}}}"), registry)


def test_data_and_words_name_the_same_labels() -> None:
    """Twice, since reidbench.data is imported without pydantic, and words without numpy."""
    assert frozenset(data.MORE_LABELS) == MORE_LABELS
