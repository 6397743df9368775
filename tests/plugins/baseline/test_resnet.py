"""ResNets: shapes, strides, names, weights from a file or by name."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from reidbench.errors import ReidbenchError
from reidbench.registry.plugins import Registry
from reidbench.training import Preprocess
from reidbench.training.networks.backbone import layout_of
from reidbench_baseline import resnet
from reidbench_baseline.bdb import BdbEmbedder
from reidbench_baseline.params import ResNetParams, TinyParams


def test_tiny_has_a_quarter_of_a_million_parameters() -> None:
    network = resnet.resnet_tiny(TinyParams(), (64, 32))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert 200_000 <= count <= 300_000
    features = network(torch.zeros(2, 3, 64, 32))
    assert features.map.shape == (2, 112, 8, 4)
    assert features.vector.shape == (2, network.dim) == (2, 112)
    halved = resnet.resnet_tiny(TinyParams(last_stride=2), (64, 32))(torch.zeros(2, 3, 64, 32))
    assert halved.map.shape == (2, 112, 4, 2)
    assert halved.vector.shape == (2, 112)


@pytest.mark.parametrize(("depth", "dim", "tensors"), [(18, 512, 120), (50, 2048, 318)])
def test_resnets_have_torchvision_names_and_last_stride_1(depth: int, dim: int, tensors: int) -> None:
    build = getattr(resnet, f"resnet{depth}")
    for stride, height in ((1, 8), (2, 4)):
        network = build(ResNetParams(last_stride=stride), (128, 64))
        with torch.no_grad():
            features = network.eval()(torch.zeros(1, 3, 128, 64))
        assert features.map.shape == (1, dim, height, height // 2)
        assert features.vector.shape == (1, dim)
        assert len(network.state_dict()) == tensors  # 318 without fc for a ResNet-50
        assert "layer4.0.downsample.0.weight" in network.state_dict()
        strided = network.layer4[0].conv2 if depth == 50 else network.layer4[0].conv1
        assert strided.stride == network.layer4[0].downsample[0].stride == (stride, stride)


def test_resnet_is_torchvisions_up_to_the_stride() -> None:
    from reidbench.training.networks.torchvision_compat import torchvision_models

    torch.manual_seed(0)
    reference = torchvision_models().resnet18(weights=None).eval()
    ours = resnet.resnet18(ResNetParams(last_stride=2), (64, 32)).eval()
    ours.load_state_dict({n: t for n, t in reference.state_dict().items() if not n.startswith("fc.")})
    reference.fc = torch.nn.Identity()
    images = torch.randn(2, 3, 64, 32, dtype=torch.float64)  # in double, where another layout's rounding is far below
    assert torch.allclose(ours.double()(images).vector, reference.double()(images), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["resnet18", "resnet50-ibn", "se-resnet50"])
def test_numbers_are_the_same_for_images_of_any_layout(name: str, registry: Registry) -> None:
    """Maps are channels-last for every input layout: an image's numbers do not depend on its batch's layout."""
    component = registry.get("backbone", name)
    torch.manual_seed(0)
    network = component.load()(component.params(), (64, 32)).train()
    assert layout_of(network) == torch.channels_last
    images = torch.randn(3, 3, 64, 32)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        network.zero_grad()
        features = network(images.contiguous(memory_format=layout))
        assert features.map.is_contiguous(memory_format=torch.channels_last)
        features.vector.square().sum().backward()
        found.append([features.vector.detach(), *(weight.grad.clone() for weight in network.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_layers_on_a_map_have_its_layout() -> None:
    tiny = resnet.resnet_tiny(TinyParams(width=4), (64, 32))
    tiny.spec = {}
    for backbone in (tiny, copy.deepcopy(tiny).to(memory_format=torch.contiguous_format)):
        embedder = BdbEmbedder(backbone, Preprocess((64, 32)), 8, 8, 0.3, 1.0)
        assert layout_of(embedder.bottleneck) == layout_of(backbone)
    assert layout_of(backbone) == torch.contiguous_format
    assert layout_of(tiny) == torch.channels_last


def test_local_weights_are_loaded_and_strangers_refused(tmp_path: Path) -> None:
    source = resnet.resnet18(ResNetParams(), (64, 32))
    good = tmp_path / "good.pth"
    torch.save({"state_dict": {**source.state_dict(), "fc.weight": torch.zeros(9, 512)}}, good)
    loaded = resnet.resnet18(ResNetParams(weights_file=good), (64, 32))
    assert torch.equal(loaded.conv1.weight, source.conv1.weight)
    partial = tmp_path / "partial.pth"
    torch.save({name: tensor for name, tensor in source.state_dict().items() if "layer4" not in name}, partial)
    with pytest.raises(ReidbenchError, match=r"partial\.pth: 25 of 100 tensors are missing.*: layer4"):
        resnet.resnet18(ResNetParams(weights_file=partial), (64, 32))
    (tmp_path / "junk.pth").write_bytes(b"junk")
    with pytest.raises(ReidbenchError, match=r"junk\.pth: a text file.*it starts with .junk"):
        resnet.resnet18(ResNetParams(weights_file=tmp_path / "junk.pth"), (64, 32))


def test_a_hostile_pickle_is_refused(tmp_path: Path) -> None:
    import pickle

    class Hostile:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "owned",))

    (tmp_path / "hostile.pth").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ReidbenchError, match=r"hostile\.pth: not a file of plain tensors"):
        resnet.resnet18(ResNetParams(weights_file=tmp_path / "hostile.pth"), (64, 32))
    assert not (tmp_path / "owned").exists()


def test_weights_by_name_say_what_to_do_when_they_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(ReidbenchError, match="known weights: IMAGENET1K_V1"):
        resnet.resnet18(ResNetParams(weights="IMAGENET"), (64, 32))
    with pytest.raises(ReidbenchError, match="put the file there or use weights_file"):
        resnet.resnet18(ResNetParams(weights="IMAGENET1K_V1"), (64, 32))


def test_weights_or_a_file_not_both(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="weights and weights_file exclude each other"):
        ResNetParams(weights="IMAGENET1K_V1", weights_file=tmp_path / "x")
