"""Strides of the last stage of shipped networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from reidbench.errors import ReidbenchError
from reidbench.training import set_stride
from reidbench_baseline.params import ResNetParams
from reidbench_baseline.resnet import resnet18, resnet50

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("build", "strided"), [(resnet50, "conv2"), (resnet18, "conv1")])
def test_stride_is_that_of_the_spatial_convolution_and_the_shortcut(build: Any, strided: str) -> None:
    """layer4[0].conv2 (conv1 without bottleneck) and downsample[0]; the map doubles, the weights stay."""
    network = build(ResNetParams(last_stride=2), (64, 32))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    sizes = []
    for stride in (2, 1):
        set_stride(network.layer4, stride)
        assert getattr(network.layer4[0], strided).stride == (stride, stride)
        assert network.layer4[0].downsample[0].stride == (stride, stride)
        assert network.layer4[1].conv1.stride == (1, 1)
        with torch.no_grad():
            sizes.append(network.eval()(torch.zeros(1, 3, 128, 64)).map.shape[2:])
    assert sizes == [(4, 2), (8, 4)]
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_stage_without_a_shortcut_is_refused() -> None:
    with pytest.raises(ReidbenchError, match="cannot be changed"):
        set_stride(torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3)), 2)
