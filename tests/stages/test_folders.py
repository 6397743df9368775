"""Only classes and backbones of loaded plugins are built from a folder, and its tensors must fit them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from reidbench.data.pictures.size import ImageSize
from reidbench.errors import ReidbenchError
from reidbench.files.networkfolder import CONFIG, WEIGHTS, NetworkFolder, read_network
from reidbench.registry.plugins import Registry
from reidbench.stages.networks import build_backbone, rebuilt_network
from reidbench.training import BackboneEmbedder, Embedder, Preprocess

SIZE = (32, 16)
VIT = {"use": "vit-tiny", "params": {"dim": 24, "depth": 1}, "image_size": list(SIZE)}
pytestmark = pytest.mark.usefixtures("one_thread")


def write(folder: Path, registry: Registry, described: dict[str, Any]) -> Embedder:
    """Write a network with a neck as `export` does; its batch norm is not at its initial values."""
    backbone = build_backbone(registry, described)
    embedder = BackboneEmbedder(backbone, Preprocess(SIZE), neck=True).train()
    embedder(torch.randn(8, 3, *SIZE, generator=torch.Generator().manual_seed(1)))
    component = registry.get("backbone", described["use"])
    spec = {"backbone": {"backbone": backbone.spec}, "neck": True}
    network = NetworkFolder(
        folder, "reidbench.training.networks.embedder:BackboneEmbedder", ("finetuner", "bot"), "reidbench_baseline",
        spec, json.loads(json.dumps(embedder.preprocess.described())),
        component.capabilities_with(component.params(**described["params"])), ("plaza labels",),
    )  # fmt: skip
    folder.mkdir()
    (folder / CONFIG).write_text(json.dumps(network.described()))
    save_file({name: tensor.clone().contiguous() for name, tensor in embedder.state_dict().items()}, folder / WEIGHTS)
    return embedder.eval()


@pytest.fixture
def folder(tmp_path: Path, registry: Registry) -> Path:
    write(tmp_path / "net", registry, {"use": "resnet-tiny", "params": {"width": 4}, "image_size": list(SIZE)})
    return tmp_path / "net"


def images(size: tuple[int, int] = SIZE) -> torch.Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("described", [{"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}, VIT])
def test_a_network_gives_the_same_features(described: dict[str, Any], registry: Registry, tmp_path: Path) -> None:
    before = write(tmp_path / "net", registry, described)
    after = rebuilt_network(registry, read_network(tmp_path / "net"), SIZE).eval()
    with torch.no_grad():
        assert torch.equal(before(images()), after(images()))
    assert json.dumps(after.spec) == json.dumps(before.spec)


def test_at_another_size_positions_are_resized_and_the_images_get_that_size(registry: Registry, tmp_path: Path) -> None:
    write(tmp_path / "net", registry, VIT)
    found = rebuilt_network(registry, read_network(tmp_path / "net"), ImageSize((64, 32), "bicubic"))
    assert (found.preprocess.size, found.preprocess.resize_test) == ((64, 32), "bicubic")
    assert found.eval()(images((64, 32))).shape == (2, 24)
    old, new = (state["backbone.pos_embed"] for state in (load_file(tmp_path / "net" / WEIGHTS), found.state_dict()))
    assert (old.shape[1], new.shape[1]) == (1 + 4 * 2, 1 + 8 * 4)
    assert torch.equal(old[:, 0], new[:, 0])


def test_a_step_from_other_weights_drops_the_neck(folder: Path, registry: Registry) -> None:
    """A fresh network keeps what it was read with; one into which other weights are loaded must not."""
    described = {"use": "folder", "params": {"path": str(folder)}, "image_size": list(SIZE)}
    whole = build_backbone(registry, described, whole=True)
    assert isinstance(whole.whole(), BackboneEmbedder)
    assert whole.whole().backbone is whole
    assert build_backbone(registry, described).whole is None
    assert whole.spec == {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}


# ---------------------------------------------------------------------- hostile folders
def config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = json.loads((folder / CONFIG).read_text())
        change(content)
        (folder / CONFIG).write_text(json.dumps(content))

    return apply


def state(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS)

    return apply


def backbone(**fields: Any) -> Callable[[Path], None]:
    return config(lambda content: content["spec"]["backbone"]["backbone"].update(fields))


def component(**fields: str) -> Callable[[Path], None]:
    return config(lambda content: content["component"].update(fields))


def named(name: str) -> Callable[[Path], None]:
    return config(lambda content: content.update({"class": name}))


FIRST = "backbone.stem.0.weight"
WRONG = {
    "module": (named("antigravity:Embedder"), r"finetuner bot has no network of the class antigravity:Embedder$"),
    "function": (named("os:system"), r"finetuner bot has no network of the class os:system"),
    "unrelated": (named("reidbench_onnx.embedder:OnnxEmbedder"), r"finetuner bot has no network of the class"),
    "program": (
        lambda folder: (
            component(name="command", plugin="reidbench_command")(folder),
            named("reidbench_command.embedder:CommandEmbedder")(folder),
        ),
        r"finetuner command has no network of the class",
    ),
    "method": (component(name="acme", plugin="acme_reid"), r"finetuner acme of acme_reid, .* not among the loaded"),
    "kind": (component(kind="backbone", name="timm"), r"backbone timm of reidbench_baseline, .* not among the loaded"),
    "network": (backbone(use="acme-net"), r"backbone acme-net is not among the loaded plugins"),
    "weights": (
        backbone(use="resnet18", params={"weights": "IMAGENET1K_V1"}),
        r"backbone resnet18: the parameter weights names weights or files elsewhere",
    ),
    "file": (
        backbone(use="resnet18", params={"weights_file": "/etc/passwd"}),
        r"the parameter weights_file names weights or files elsewhere",
    ),
    "repository": (backbone(use="hf", params={"model": "someone/net"}), r"the parameter model names weights or files"),
    "pretrained": (
        backbone(use="timm", params={"model": "test_resnet", "pretrained": True}),
        r"the parameter pretrained names weights or files elsewhere",
    ),
    "folder": (backbone(use="folder", params={"path": "."}), r"the parameter path names weights or files elsewhere"),
    "param": (backbone(params={"width": 10**9}), r"backbone resnet-tiny: parameter width: Input should be less than"),
    "unknown": (backbone(params={"wide": 4}), r"backbone resnet-tiny: parameter wide: Extra inputs"),
    "field": (
        config(lambda content: content["spec"].update(necks=2)),
        r"spec has not the fields of BackboneEmbedder: got an unexpected keyword argument 'necks'",
    ),
    "value": (config(lambda content: content["spec"].update(pool="maxi")), r"net: .*maxi"),
    "type": (config(lambda content: content["spec"].update(pool={"a": []})), r"net: "),
    "capability": (
        config(lambda content: content.update(capabilities=["tokens"])),
        r"declares the capability tokens, which the backbone resnet-tiny does not have",
    ),
    "missing": (state(lambda found: found.pop(FIRST)), rf"the weights of net do not fit .*missing \({FIRST}\)"),
    "more": (state(lambda found: found.update(x=torch.ones(1))), r"1 tensors are left over \(x\)"),
    "shape": (state(lambda found: found.update({FIRST: torch.ones(2, 2)})), rf"{FIRST} is \[2, 2\], the network has"),
    "nan": (state(lambda found: found[FIRST].fill_(float("nan"))), rf"{FIRST} contains NaN or infinity"),
    "complex": (state(lambda found: found.update({FIRST: found[FIRST] + 0j})), r"net"),
}


@pytest.mark.parametrize(("change", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_a_hostile_or_foreign_folder_is_one_sentence(
    change: Callable[[Path], object], sentence: str, folder: Path, registry: Registry
) -> None:
    change(folder)
    with pytest.raises(ReidbenchError, match=sentence) as raised:
        rebuilt_network(registry, read_network(folder), SIZE)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 900
    assert "antigravity" not in sys.modules
