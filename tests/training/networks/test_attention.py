"""Non-local blocks compared with sums over pairs of positions, and their places in shipped networks."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.registry import plugins
from reidbench.stages.networks import build_backbone
from reidbench.training import Backbone, NonLocal, NonLocalStages
from tests.support.golden import close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (64, 32)


def network(name: str = "resnet-tiny", params: dict[str, Any] | None = None) -> Backbone:
    torch.manual_seed(0)
    given = {"width": 4} if params is None else params
    found: Backbone = build_backbone(plugins.load(others=False), {"use": name, "params": given, "image_size": SIZE})
    return found.eval()


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))


# ---------------------------------------------------------------------- one block
def by_pairs(block: NonLocal, maps: torch.Tensor) -> torch.Tensor:
    """W y in loops over positions: y_i is the mean over j of (theta(x_i) . phi(x_j)) g(x_j)."""
    images_, channels, height, width = maps.shape

    def applied(layer: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        assert layer.bias is not None
        return layer.weight[:, :, 0, 0] @ x + layer.bias

    total = torch.zeros(images_, channels, height, width, dtype=maps.dtype)
    places = [(row, column) for row in range(height) for column in range(width)]
    for image in range(images_):
        for row, column in places:
            theta = applied(block.theta, maps[image, :, row, column])
            mean = torch.zeros_like(theta)
            for other in places:
                x = maps[(image, slice(None), *other)]
                mean += (theta @ applied(block.phi, x)) * applied(block.g, x) / len(places)
            total[image, :, row, column] = applied(block.out, mean)
    return total


@pytest.mark.parametrize(("inner", "expected"), [(1, 1), (None, 3), (2, 2)])
def test_a_block_is_the_mean_over_pairs_of_positions(inner: int | None, expected: int) -> None:
    block = NonLocal(6, inner).double()
    assert block.theta.out_channels == block.phi.out_channels == block.g.out_channels == expected
    with torch.no_grad():
        for number, parameter in enumerate(block.parameters()):
            parameter.copy_(wave(number, *parameter.shape))
    maps = wave(9, 3, 6, 4, 2)
    gathered = by_pairs(block, maps)
    mean, deviation = gathered.mean((0, 2, 3), keepdim=True), gathered.var((0, 2, 3), keepdim=True, correction=0)
    scale, shift = (values.view(1, -1, 1, 1) for values in (block.norm.weight, block.norm.bias))
    close("block", block.train()(maps), maps + (gathered - mean) / (deviation + 1e-5).sqrt() * scale + shift, 1e-9)


def test_a_new_block_is_the_identity_and_learns_from_its_scale_on() -> None:
    block, maps = NonLocal(8).train(), torch.randn(4, 8, 4, 2)
    assert torch.equal(block(maps), maps)
    (block(maps) * torch.randn(4, 8, 4, 2)).sum().backward()
    assert block.norm.weight.grad is not None
    assert block.norm.weight.grad.abs().max() > 0
    assert block.theta.weight.grad is not None
    assert block.theta.weight.grad.abs().max() == 0  # as long as the scale is 0


# ---------------------------------------------------------------------- blocks in a network
@pytest.mark.parametrize(
    ("name", "params", "blocks", "widths"),
    [
        ("resnet-tiny", {"width": 4}, [0, 1, 1, 0], [8, 16]),
        ("resnet18", {}, [0, 2, 2, 0], [128, 256]),
        ("resnet50", {}, [0, 2, 3, 0], [512, 1024]),
        ("resnet50-ibn", {}, [0, 2, 3, 0], [512, 1024]),
        ("timm", {"model": "resnet18", "pretrained": False}, [0, 2, 2, 0], [128, 256]),
    ],
)
def test_new_blocks_leave_the_network_as_it_is(
    name: str, params: dict[str, Any], blocks: list[int], widths: list[int]
) -> None:
    """AGW's counts 0, 2, 3, 0, or as many as a stage has layers; neither weights nor statistics change."""
    plain = network(name, params)
    before = copy.deepcopy(plain.state_dict())
    stages = NonLocalStages(plain, (0, 2, 3, 0)).eval()
    assert [len(of_stage) for of_stage in stages.blocks] == blocks  # type: ignore[arg-type]
    assert sorted({block.norm.num_features for block in stages.modules() if isinstance(block, NonLocal)}) == widths
    with torch.no_grad():
        expected = plain(images()).map
        torch.testing.assert_close(stages(plain, images()), expected, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(before[key], tensor) for key, tensor in plain.state_dict().items())


def test_a_block_follows_the_last_layers_of_its_stage() -> None:
    """Layers and blocks leave their names in the order of a forward pass."""
    plain = network("resnet50", {})
    stages = NonLocalStages(plain, (0, 2, 3, 1), inner=1)
    order: list[str] = []
    for number, (stage, blocks) in enumerate(zip(plain.stages, stages.blocks, strict=True), 1):  # type: ignore[arg-type]
        for place, layer in enumerate(stage):
            layer.register_forward_hook(lambda *_, name=f"{number}.{place}": order.append(name))
        for block in blocks:
            block.register_forward_hook(lambda *_, name=f"block of {block.norm.num_features}": order.append(name))
    stages.eval()(plain, images(1))
    assert order == [
        "1.0", "1.1", "1.2",
        "2.0", "2.1", "2.2", "block of 512", "2.3", "block of 512",
        "3.0", "3.1", "3.2", "3.3", "block of 1024", "3.4", "block of 1024", "3.5", "block of 1024",
        "4.0", "4.1", "4.2", "block of 2048",
    ]  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
def test_measuring_channels_leaves_the_mode_and_the_random_numbers(training: bool) -> None:
    plain = network().train(training)
    torch.manual_seed(3)
    torch.nn.init.normal_(torch.empty(1))
    state = torch.get_rng_state()
    NonLocalStages(plain, (0, 0, 0, 0))
    assert torch.equal(torch.get_rng_state(), state)
    assert {module.training for module in plain.modules()} == {training}


def test_counts_need_a_number_for_each_stage() -> None:
    with pytest.raises(ReidbenchError, match="non_local has 3 numbers, but the backbone has 4 stages: give one for"):
        NonLocalStages(network(), (0, 2, 3))
