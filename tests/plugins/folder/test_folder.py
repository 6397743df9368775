"""The backbone `folder` in a matrix file: labels, and errors with their place before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.errors import ConfigError
from reidbench.files.networkfolder import CONFIG, WEIGHTS
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry.plugins import Registry
from reidbench_folder.examples import small_network
from reidbench_folder.params import FolderParams


@pytest.fixture
def network(tmp_path: Path) -> Path:
    folder = tmp_path / "net"
    folder.mkdir()
    small_network(folder)
    return folder


@pytest.fixture
def planned(matrix: Callable[..., Path], registry: Registry) -> Callable[..., Plan]:
    def make(backbone: str = "{use: folder, path: net}", finetune: str = "none") -> Plan:
        file = matrix(backbone=backbone, methods=f"{{theirs: {{finetune: {finetune}}}}}", image_size="[64, 32]")
        return plan.expand(reader.read(file, registry))

    return make


def declare(folder: Path, **fields: object) -> None:
    content = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**content, **fields}))


def test_labels_are_those_of_the_folder_unless_declared(network: Path) -> None:
    assert FolderParams(path=network).supervision() == frozenset()
    declare(network, labels=["MSMT17 labels"])
    assert FolderParams(path=network).supervision() == {"MSMT17 labels"}
    assert FolderParams(path=network, labels="none").supervision() == frozenset()
    declare(network, labels=None)
    assert FolderParams(path=network).supervision() == {"unknown pre-training"}


def test_the_protocol_shows_them_and_the_key_has_the_content(network: Path, planned: Callable[..., Plan]) -> None:
    declare(network, labels=["MSMT17 labels"])
    (before,) = planned().rows
    assert "MSMT17 labels" in before.protocol
    (network / "README.md").write_text("a card")
    (after,) = planned().rows
    assert (after.seed, after.key != before.key) == (None, True)


def test_a_method_that_needs_more_than_the_backbone_has_is_not_applicable(
    network: Path, planned: Callable[..., Plan]
) -> None:
    (row,) = planned(finetune="{use: mgn, epochs: 1}").rows
    assert (row.key, "stages" in row.reason) == (None, True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), r"matrix\.yaml:\d+: backbone.*net: has no model\.safetensors"),
        (lambda folder: (folder / CONFIG).write_text("{}"), r"matrix\.yaml:\d+: .*not the description of a network"),
        (
            lambda folder: declare(folder, labels=["all labels of the web!"]),
            r"labels must be like 'Market-1501 labels'",
        ),
        (lambda folder: declare(folder, capabilities=["magic"]), r"capabilities 'magic' is not a known word"),
    ],
)
def test_a_wrong_folder_is_an_error_of_the_matrix_file(
    change: Callable[[Path], object], sentence: str, network: Path, planned: Callable[..., Plan]
) -> None:
    change(network)
    with pytest.raises(ConfigError, match=sentence):
        planned()


def test_a_missing_folder_is_named_with_its_place(planned: Callable[..., Plan]) -> None:
    with pytest.raises(ConfigError, match=r"matrix\.yaml:\d+: backbone\.path: no such folder"):
        planned("{use: folder, path: nowhere}")


def test_another_image_size_is_noted(network: Path) -> None:
    from reidbench.data.pictures.size import ImageSize
    from reidbench.registry import plugins
    from reidbench.stages.networks import build_backbone

    def notes(*size: int) -> tuple[str, ...]:
        described = {"use": "folder", "params": {"path": str(network)}, "image_size": ImageSize.given(list(size))}
        found: tuple[str, ...] = build_backbone(plugins.load(), described, whole=True).notes
        return found

    trained = json.loads((network / CONFIG).read_text())["preprocess"]["size"]
    assert notes(*trained) == ()
    height, width = trained[0] * 2, trained[1] * 2
    said = f"the network was trained at {trained[0]}x{trained[1]} (height x width) and is used at {height}x{width}"
    assert notes(height, width) == (said,)
