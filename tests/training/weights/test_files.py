"""Weights in and out: every released layout, the loader's contract, the sidecar."""

from __future__ import annotations

import datetime
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.training import Backbone, Features, load_weights, read_state, to_layout, write_weights
from reidbench.training.networks.torchvision_compat import torchvision_models
from reidbench.training.weights.files import innermost
from reidbench.training.weights.layouts import LAYOUTS
from reidbench_baseline.params import ResNetParams, TinyParams
from reidbench_baseline.resnet import resnet18, resnet50, resnet_tiny

pytestmark = pytest.mark.usefixtures("one_thread")


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
    """Written in their names, read back by `auto` and by name: identical features, nothing missing."""
    content = to_layout(trained.state_dict(), layout)
    file = tmp_path / "checkpoint.pth"
    torch.save(content, file)
    images = torch.randn(2, 3, 32, 16)
    name = "mgn" if layout.startswith("mgn") else layout
    for asked in ("auto", name):
        network = fresh()
        report = load_weights(network, read_state(file), layout=asked)
        assert (report.missing, report.foreign, report.share) == ((), (), 1.0)
        assert torch.equal(network(images).vector, trained(images).vector)


def test_layouts_have_the_names_of_released_files(trained: Small) -> None:
    """One name or two of each released layout."""
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


def unchanged(network: Small, state: dict[str, torch.Tensor], sentence: str) -> None:
    """The state is refused in this sentence, and the network is left alone."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ReidbenchError, match=sentence) as caught:
        load_weights(network, state, where="mine.pth")
    assert str(caught.value).startswith("mine.pth: ")
    assert str(caught.value).isprintable()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def without(state: dict[str, torch.Tensor], *prefixes: str) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith(prefixes)}


def test_less_than_nine_tenths_is_refused_and_the_network_left_alone(trained: Small) -> None:
    """The commonest failure: names that nobody knows match nothing, and training starts from scratch unnoticed."""
    state = trained.state_dict()
    strange = {f"student.{name}": tensor for name, tensor in state.items()}
    unchanged(
        fresh(), strange, "too few of its tensors fit.*0 tensors matched, 105 missing.*names begin with 'student.'"
    )
    two = {f"{role}.{name}": tensor for role in ("student", "teacher") for name, tensor in state.items()}
    unchanged(fresh(), two, "several networks, under the prefixes student., teacher.")
    unchanged(fresh(), without(state, "layer3.", "layer4."), "45 tensors matched, 60 missing")
    unchanged(fresh(), {}, "the file has no tensors")


def test_weights_loaded_in_part_are_noted_with_counts_and_names(trained: Small) -> None:
    state = trained.state_dict()
    report = load_weights(fresh(), without(state, "layer4.1.bn2.bias", "layer2.0.conv1.weight"))
    assert report.missing == ("layer2.0.conv1.weight", "layer4.1.bn2.bias")
    assert report.notes("a.pth") == [
        "a.pth was loaded in part: 2 of the network's 105 tensors keep their initial values (layer2.0.conv1.weight, "
        "layer4.1.bn2.bias)"
    ]
    report = load_weights(fresh(), {**state, "layer1.0.bn1.bias": torch.zeros(7)})
    (note,) = report.notes("a.pth")
    assert note.endswith("(layer1.0.bn1.bias); other shape: layer1.0.bn1.bias is [7], the network has [4]")
    assert load_weights(fresh(), state).notes("a.pth") == []
    head = {"fc.weight": torch.zeros(3, 4), "fc.bias": torch.zeros(3), "classifier.weight": torch.zeros(3, 4)}
    assert load_weights(fresh(), {**state, **head}).notes("a.pth") == []  # a head is never the backbone's


@pytest.mark.parametrize("prefix", ["layer1.0.", "layer2.0.downsample.", "layer4.1."])
def test_a_block_that_is_missing_as_a_whole_is_an_error(prefix: str, trained: Small) -> None:
    """One of ten blocks is within nine tenths of the tensors."""
    state = without(trained.state_dict(), prefix)
    kept = len([name for name in state if not name.endswith("num_batches_tracked")])
    assert kept >= 0.85 * 105
    unchanged(fresh(), state, rf"missing.*{prefix[:-1]}")


def test_without_the_first_layer_nothing_is_loaded(trained: Small) -> None:
    state = trained.state_dict()
    unchanged(fresh(), without(state, "conv1."), r"missing conv1\.weight")
    renamed = {**without(state, "conv1."), "first_conv.weight": state["conv1.weight"]}
    unchanged(fresh(), renamed, r"missing conv1\.weight .*unused in the file: first_conv\.weight")
    norm = r"missing the whole of bn1 \(bn1\.weight, bn1\.bias, bn1\.running_mean, bn1\.running_var\)"
    unchanged(fresh(), without(state, "bn1."), norm)  # the rest of the stem
    other = {**state, "conv1.weight": torch.zeros(64, 3, 3, 3)}
    unchanged(fresh(), other, r"other shape: conv1\.weight is \[64, 3, 3, 3\], the network has \[4, 3, 7, 7\]")


def test_the_file_of_another_network_is_not_taken_for_this_one(trained: Small) -> None:
    """A deeper network has all tensors of a less deep one, and its features are not those of a part of it."""
    state = trained.state_dict()
    block = {name.replace("layer3.2.", "layer3.3."): value for name, value in state.items() if "layer3.2." in name}
    unchanged(fresh(), {**state, **block}, r"blocks that the network lacks: layer3\.3; .*deeper network")
    attention = {"layer1.0.se.fc1.weight": torch.zeros(2, 4), "layer1.0.se.fc2.weight": torch.zeros(4, 2)}
    (note,) = load_weights(fresh(), {**state, **attention}).notes("a.pth")
    assert "2 of its tensors belong inside the network" in note
    assert "layer1.0.se.fc1.weight" in note
    with pytest.raises(ReidbenchError, match="2 tensors belong to a different network"):
        load_weights(fresh(), {**state, **attention}, exactly=True)


@pytest.mark.parametrize("prefix", ["base.", "backbone.", "module.base."])
def test_layers_between_the_stages_that_the_network_lacks_are_noted(prefix: str, trained: Small) -> None:
    """AGW and fast-reid add non-local blocks next to the stages; without them it is another network."""
    state = {f"{prefix}{name}": tensor for name, tensor in trained.state_dict().items()}
    classifier = {f"{prefix}fc.weight": torch.zeros(3, 4), "heads.weight": torch.zeros(3, 4)}
    assert load_weights(fresh(), {**state, **classifier}).notes("agw.pth") == []
    blocks = {f"{prefix}NL_2.{number}.g.weight": torch.zeros(2, 4, 1, 1) for number in (0, 1)}
    (note,) = load_weights(fresh(), {**state, **classifier, **blocks}).notes("agw.pth")
    names = f"({prefix}NL_2.0.g.weight, {prefix}NL_2.1.g.weight)"
    assert note.endswith(f"2 of its tensors belong inside the network, which has no place for them {names}")


def test_numbers_that_no_network_can_have(trained: Small) -> None:
    state = trained.state_dict()
    for value, sentence in (
        (torch.full((4,), float("nan")), "layer1.0.bn1.bias contains NaN or infinity"),
        (torch.full((4,), 1e300, dtype=torch.float64), "layer1.0.bn1.bias contains NaN or infinity"),
        (torch.zeros(4, dtype=torch.int8), "layer1.0.bn1.bias contains int8, the network real numbers"),
    ):
        unchanged(fresh(), {**state, "layer1.0.bn1.bias": value}, sentence)
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    assert load_weights(fresh(), half).share == 1.0


WRAPPED = (
    "module.",
    "model.",
    "net.",
    "network.",
    "module.model.",
    "model.module.",
    "_orig_mod.module.",
    "model.base.",
)


@pytest.mark.parametrize("prefix", WRAPPED)
def test_prefixes_of_modules_that_hold_the_network(prefix: str, trained: Small, tmp_path: Path) -> None:
    """DataParallel, layumi's scripts, Lightning, torch.compile, and one within the other; a head keeps its name."""
    state = {f"{prefix}{name}": tensor for name, tensor in trained.state_dict().items()}
    torch.save({**state, "classifier.add_block.0.weight": torch.zeros(3, 4)}, tmp_path / "net_last.pth")
    network = fresh()
    report = load_weights(network, read_state(tmp_path / "net_last.pth"), exactly=True)
    assert report.unexpected[-1] == "classifier.add_block.0.weight"
    assert torch.equal(network.conv1.weight, trained.conv1.weight)


def test_two_networks_under_two_prefixes_are_not_mixed(trained: Small) -> None:
    state = {f"model.{name}": tensor for name, tensor in trained.state_dict().items()}
    state |= {f"net.{name}": tensor for name, tensor in fresh().state_dict().items()}
    unchanged(fresh(), state, "several networks, under the prefixes model., net.")


class Holder(Backbone):
    """A backbone whose own names begin as a wrapper's do."""

    dim = 4

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.model = Small(seed)


def test_a_backbone_whose_names_begin_like_a_wrappers() -> None:
    state = {f"module.{name}": tensor for name, tensor in Holder(1).state_dict().items()}
    network = Holder(2)
    assert load_weights(network, state).share == 1.0
    assert torch.equal(network.model.conv1.weight, Holder(1).model.conv1.weight)


CONTAINERS: dict[str, Any] = {
    "torchreid": lambda state: {"state_dict": state, "epoch": 60, "rank1": np.float64(0.94), "optimizer": OPTIMISER},
    "fast-reid": lambda state: {"model": state, "optimizer": OPTIMISER, "scheduler": {"last_epoch": 9}, "iteration": 9},
    "PyTorch's tutorial": lambda state: {"epoch": 3, "model_state_dict": state, "optimizer_state_dict": OPTIMISER},
    "network": lambda state: {"network": state, "date": datetime.date(2026, 11, 28)},
    "net": lambda state: {"net": state, "acc": 0.9},
    "teacher": lambda state: {"student": zeros(state), "teacher": state, "epoch": 1},
    "Lightning": lambda state: {"state_dict": state, "callbacks": {"best": {"score": torch.tensor(0.5)}}, "loops": {}},
    "a separate name": lambda state: {"weights_of_the_net": state, "optim": OPTIMISER, "epoch": torch.tensor(3)},
    "one in the other": lambda state: {"model": {"state_dict": state}, "model_config": {"depth": 50}},
    "a config called model": lambda state: {"model": {"depth": 50}, "state_dict": state},
    "with an average": lambda state: {"state_dict_ema": zeros(state), "state_dict": state},
}
OPTIMISER = {"state": {0: {"exp_avg": torch.zeros(4)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}


def zeros(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_of_the_field(name: str, trained: Small, tmp_path: Path) -> None:
    torch.save(CONTAINERS[name](trained.state_dict()), tmp_path / "a.pth.tar")
    network = fresh()
    load_weights(network, read_state(tmp_path / "a.pth.tar"), exactly=True)
    assert torch.equal(network.conv1.weight, trained.conv1.weight)


def test_what_was_left_aside_is_named_and_a_choice_is_never_guessed(trained: Small, tmp_path: Path) -> None:
    state = trained.state_dict()
    assert innermost({"state_dict": state, "state_dict_ema": state, "epoch": 3}, "a")[1] == ()  # the same one
    assert innermost({"state_dict": state, "state_dict_ema": zeros(state)}, "a")[1] == ("state_dict_ema",)
    for content, sentence in (
        ({"generator": state, "discriminator": zeros(state)}, r"several networks \(generator, discriminator\)"),
        ({"epoch": 3, "arch": "resnet50"}, "has no tensors by name; it contains epoch, arch"),
        ({"student": state}, "has no tensors by name; it contains student"),
        ({}, "has no tensors by name; it contains nothing"),
        ({"a": np.zeros(2)}, r"it contains a; these are numpy arrays: save torch\.from_numpy\(array\) for each"),
        ([state], "contains a list, not tensors by name"),
        (torch.zeros(3), "contains a Tensor, not tensors by name"),
    ):
        torch.save(content, tmp_path / "a.pth")
        with pytest.raises(ReidbenchError, match=rf"a\.pth: .*{sentence}"):
            read_state(tmp_path / "a.pth")


def test_a_hostile_pickle_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "owned",))

    file = tmp_path / "hostile.pth"
    for write in (lambda: file.write_bytes(pickle.dumps(Hostile())), lambda: torch.save({"a": Hostile()}, file)):
        write()
        with pytest.raises(
            ReidbenchError, match=r"hostile\.pth: not a file of plain tensors .*: it (is a pickle|contains getattr)"
        ):
            read_state(file)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(("depth", "build", "tensors"), [(18, resnet18, 120), (50, resnet50, 318)])
def test_export_loads_into_torchvision(depth: int, build: Any, tensors: int, tmp_path: Path) -> None:
    """Flat names; torchvision misses its classifier and nothing else, and is surprised by nothing."""
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
