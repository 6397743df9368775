"""Weights in and out: every layout of the notes' section 3, the loader's contract, the sidecar: 4.18."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.stages import limited_threads
from reidbench.training import Backbone, Features, load_weights, read_state, to_layout, write_weights
from reidbench.training.torchvision_compat import torchvision_models
from reidbench.training.weights import LAYOUTS
from reidbench_baseline.params import ResNetParams, TinyParams
from reidbench_baseline.resnet import resnet18, resnet50, resnet_tiny


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small only wait for a second thread."""
    with limited_threads(1):
        yield


class Small(Backbone):
    """A ResNet with torchvision's names and blocks, and few channels; two blocks in layer3, as MGN needs."""

    dim = 4

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        block: Any = torchvision_models().resnet.BasicBlock
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4)
        for number, blocks in ((1, 1), (2, 2), (3, 3), (4, 2)):
            shortcut = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4))
            parts = [block(4, 4, downsample=shortcut if index == 0 else None) for index in range(blocks)]
            self.add_module(f"layer{number}", nn.Sequential(*parts))
        for name, tensor in self.state_dict().items():
            if name.endswith("running_mean"):
                tensor.normal_()
        self.eval()

    def forward(self, images: torch.Tensor) -> Features:
        maps = self.bn1(self.conv1(images))
        for number in range(1, 5):
            maps = self.get_submodule(f"layer{number}")(maps)
        return Features(maps, maps.mean((2, 3)))


@pytest.fixture
def trained() -> Small:
    return Small(1)


def fresh() -> Small:
    return Small(2)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_round_trip_through_every_layout(layout: str, trained: Small, tmp_path: Path) -> None:
    """4.18: written in their names, read back by `auto` and by name: identical features, nothing missing."""
    content = to_layout(trained.state_dict(), layout)
    file = tmp_path / "checkpoint.pth"
    torch.save(content, file)
    images = torch.randn(2, 3, 32, 16)
    name = "mgn" if layout.startswith("mgn") else layout
    for asked in ("auto", name):
        network = fresh()
        report = load_weights(network, read_state(file), layout=asked)
        assert (report.missing, report.share) == ((), 1.0)
        assert torch.equal(network(images).vector, trained(images).vector)


def test_layouts_have_the_names_of_the_notes(trained: Small) -> None:
    """Section 3's table, one name each."""
    names = {name: to_layout(trained.state_dict(), name) for name in LAYOUTS}
    assert "module.encoder_q.layer4.0.conv1.weight" in names["moco"]["state_dict"]
    assert "module.encoder_k.bn1.weight" in names["moco"]["state_dict"]
    assert "backbone.conv1.weight" in names["fast-reid"]["model"]
    assert "module.conv1.weight" in names["torchreid"]["state_dict"]
    assert "base.layer1.0.conv1.weight" in names["bot"]
    assert {"backbone.0.weight", "backbone.6.0.conv1.weight", "res_part.0.conv1.weight"} <= set(
        names["bdb"]["state_dict"]
    )
    mgn = set(names["mgn"])
    assert {"backone.0.weight", "backone.6.conv1.weight", "p1.0.0.conv1.weight", "p3.1.0.conv1.weight"} <= mgn
    assert "b2.1.0.conv1.weight" in names["mgn-fast-reid"]["model"]
    assert {"module.base.0.weight", "module.base.7.0.conv1.weight"} <= set(names["spcl"]["state_dict"])
    uda = set(names["spcl-uda"]["state_dict"])
    assert {"module.base.1.BN_S.weight", "module.base.1.BN_T.weight", "module.base.4.0.bn1.BN_T.bias"} <= uda
    assert not any("conv1.BN" in name for name in uda)


def test_the_query_encoder_is_read_and_the_rest_reported(trained: Small) -> None:
    state = {f"encoder_q.{name}": tensor for name, tensor in trained.state_dict().items()}
    state |= {f"encoder_k.{name}": torch.zeros_like(tensor) for name, tensor in trained.state_dict().items()}
    state |= {"queue": torch.zeros(128, 64), "encoder_q.fc.0.weight": torch.zeros(4, 4)}
    network = fresh()
    report = load_weights(network, state)
    assert report.layout == "moco"
    assert torch.equal(network.conv1.weight, trained.conv1.weight)
    assert {"queue", "encoder_q.fc.0.weight", "encoder_k.conv1.weight"} <= set(report.unexpected)
    assert len(report.matched) == 105  # tensors of the network without its counters
    assert str(report) == "moco names: 105 tensors matched, 0 missing, 128 of the file unexpected"


def test_less_than_nine_tenths_is_refused_and_the_network_left_alone(trained: Small) -> None:
    """The commonest failure: names that nobody knows match nothing, and training starts from scratch unnoticed."""
    state = trained.state_dict()
    strange = {f"student.{name}": tensor for name, tensor in state.items()}
    network = fresh()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ReidbenchError, match=r"mine\.pth: too little of it fits.*0 tensors matched, 105 missing"):
        load_weights(network, strange, where="mine.pth")
    counted = [name for name in state if not name.endswith("num_batches_tracked")]
    for kept, fine in ((104, True), (95, True), (94, False)):
        partial = {name: state[name] for name in counted[:kept]}
        if fine:
            assert len(load_weights(fresh(), partial).missing) == 105 - kept
        else:
            with pytest.raises(ReidbenchError, match="94 tensors matched, 11 missing"):
                load_weights(network, partial)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    with pytest.raises(ReidbenchError, match="the file has no tensors"):
        load_weights(network, {})


def test_a_tensor_of_another_shape_is_no_match(trained: Small) -> None:
    state = {**trained.state_dict(), "conv1.weight": torch.zeros(64, 3, 3, 3)}
    report = load_weights(fresh(), state)
    assert report.missing == ("conv1.weight",)
    assert "conv1.weight" in report.unexpected


def test_a_hostile_pickle_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "owned",))

    file = tmp_path / "hostile.pth"
    for write in (lambda: file.write_bytes(pickle.dumps(Hostile())), lambda: torch.save({"a": Hostile()}, file)):
        write()
        with pytest.raises(ReidbenchError, match=r"hostile\.pth: refused, for it holds more than tensors"):
            read_state(file)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(("depth", "build", "tensors"), [(18, resnet18, 120), (50, resnet50, 318)])
def test_export_loads_into_torchvision(depth: int, build: Any, tensors: int, tmp_path: Path) -> None:
    """4.18: flat names; torchvision misses its classifier and nothing else, and is surprised by nothing."""
    network = build(ResNetParams(), (32, 16))
    network.spec = {"use": f"resnet{depth}", "params": {}, "image_size": [32, 16]}
    network.mean = (0.3525, 0.3106, 0.3140)
    file = tmp_path / "mine.safetensors"
    write_weights(file, network, preset="lup")
    state = load_file(file)
    assert len(state) == tensors
    reference = getattr(torchvision_models(), f"resnet{depth}")(weights=None)
    answer = reference.load_state_dict(state, strict=False)
    assert set(answer.missing_keys) == {"fc.weight", "fc.bias"}
    assert answer.unexpected_keys == []
    sidecar = json.loads((tmp_path / "mine.json").read_text())
    assert (sidecar["mean"], sidecar["preset"]) == ([0.3525, 0.3106, 0.3140], "lup")
    assert (sidecar["std"], sidecar["image_size"]) == ([0.229, 0.224, 0.225], [32, 16])


def test_a_network_of_our_own_keeps_its_own_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, target = (resnet_tiny(TinyParams(width=4), (32, 16)) for _ in range(2))
    write_weights(tmp_path / "tiny.safetensors", source)
    report = load_weights(target, read_state(tmp_path / "tiny.safetensors"))
    assert report.layout == "torchvision"
    assert torch.equal(source.stem[0].weight, target.stem[0].weight)
