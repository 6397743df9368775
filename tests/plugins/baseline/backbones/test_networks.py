"""OSNet, MobileNetV2, ResNet-101, SE-ResNet with IBN-a: the papers' sizes and equations, the checkpoints' names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reidbench import Component
from reidbench.errors import ReidbenchError
from reidbench.training import Backbone, load_weights
from reidbench_baseline.backbones.declared import backbones
from reidbench_baseline.backbones.mobilenet import mobilenet_v2
from reidbench_baseline.backbones.osnet import osnet_x0_25, osnet_x1_0
from reidbench_baseline.backbones.params import MobileNetParams, OsNetParams, SeIbnParams
from reidbench_baseline.backbones.se_ibn import se_resnet50_ibn_a, se_resnet101_ibn_a
from reidbench_baseline.params import ResNetParams
from reidbench_baseline.resnet import resnet101

pytestmark = pytest.mark.usefixtures("one_thread")
COMPONENTS = {component.name: component for component in backbones()}
BOTTLENECKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
WIDTHS = (256, 512, 1024, 2048)


def meta(build: Callable[..., Backbone], params: Any, size: tuple[int, int] = (256, 128)) -> Backbone:
    """The network without data: shapes and names only, created instantly."""
    with torch.device("meta"):
        return build(params, size)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def multiply_adds(network: Backbone, size: tuple[int, int]) -> int:
    """Number of multiplications in convolutions and linear layers for one image."""
    total = 0

    def hook(layer: Any, _: Any, out: torch.Tensor) -> None:
        nonlocal total
        total += layer.weight[0].numel() * out.numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(hook)
    network.eval()(torch.zeros(1, 3, *size, device="meta"))
    return total


# ---------------------------------------------------------------------- sizes
@pytest.mark.parametrize(("build", "millions", "products"), [(osnet_x1_0, 2.2, 978.9), (osnet_x0_25, 0.2, 82.3)])
def test_osnet_has_the_papers_size(build: Callable[..., Backbone], millions: float, products: float) -> None:
    """2.2 and 0.2 million parameters, 978.9 and 82.3 million multiply-adds at 256x128."""
    network = meta(build, OsNetParams())
    assert round(count(network) / 1e6, 1) == millions
    assert round(multiply_adds(network, (256, 128)) / 1e6, 1) == pytest.approx(products, abs=0.35)


def test_mobilenet_has_the_published_size() -> None:
    """torchvision's 3,504,872 less 1000 x 1281 of the classifier; the paper's 300 million multiply-adds at 224x224."""
    network = meta(mobilenet_v2, MobileNetParams(), (224, 224))
    assert count(network) == 3_504_872 - 1_281_000
    assert multiply_adds(network, (224, 224)) == pytest.approx(300e6, rel=0.01)


def of_resnet(blocks: tuple[int, ...]) -> int:
    """The paper's table: 7x7, 64 and four stages of bottlenecks, each convolution with a scale and a shift."""
    total, before = 3 * 49 * 64 + 2 * 64, 64
    for width, number in zip(WIDTHS, blocks, strict=True):
        inner = width // 4
        for _ in range(number):
            shortcut = before * width + 2 * width if before != width else 0
            total += before * inner + 9 * inner * inner + inner * width + 2 * (2 * inner + width) + shortcut
            before = width
    return total


def test_resnet_101_has_the_published_size() -> None:
    """torchvision's 44,549,160 less 1000 x 2049 of the classifier."""
    assert count(meta(resnet101, ResNetParams())) == of_resnet(BOTTLENECKS[101]) == 44_549_160 - 2_049_000


@pytest.mark.parametrize(("build", "layers"), [(se_resnet50_ibn_a, 50), (se_resnet101_ibn_a, 101)])
def test_excitations_add_what_the_paper_says(build: Callable[..., Backbone], layers: int) -> None:
    """2 / 16 x the sum over stages of blocks x channels squared; IBN has as many numbers as batch norm."""
    blocks = BOTTLENECKS[layers]
    more = sum(2 * number * width * width // 16 for number, width in zip(blocks, WIDTHS, strict=True))
    assert count(meta(build, SeIbnParams())) == of_resnet(blocks) + more


# ---------------------------------------------------------------------- names
NAMES = {
    osnet_x1_0: {
        "conv1.conv.weight": (64, 3, 7, 7),
        "conv1.bn.running_var": (64,),
        "conv2.0.conv1.conv.weight": (64, 64, 1, 1),
        "conv2.0.conv2a.conv1.weight": (64, 64, 1, 1),
        "conv2.0.conv2d.3.conv2.weight": (64, 1, 3, 3),
        "conv2.0.conv2b.1.bn.bias": (64,),
        "conv2.0.gate.fc1.bias": (4,),
        "conv2.0.gate.fc2.weight": (64, 4, 1, 1),
        "conv2.0.downsample.conv.weight": (256, 64, 1, 1),
        "conv3.2.0.conv.weight": (384, 384, 1, 1),
        "conv4.1.conv3.bn.weight": (512,),
        "conv5.conv.weight": (512, 512, 1, 1),
        "fc.0.weight": (512, 512),
        "fc.1.running_mean": (512,),
    },
    mobilenet_v2: {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.1.conv.0.0.weight": (32, 1, 3, 3),
        "features.14.conv.1.0.weight": (576, 1, 3, 3),
        "features.17.conv.3.running_mean": (320,),
        "features.18.1.bias": (1280,),
    },
    se_resnet101_ibn_a: {
        "conv1.weight": (64, 3, 7, 7),
        "layer1.0.bn1.IN.weight": (32,),
        "layer3.22.bn1.BN.running_mean": (128,),
        "layer3.22.se.fc.0.weight": (64, 1024),
        "layer4.2.se.fc.2.weight": (2048, 128),
        "layer4.2.bn1.running_var": (512,),
        "layer4.0.downsample.0.weight": (2048, 1024, 1, 1),
    },
}


@pytest.mark.parametrize(
    ("build", "params", "tensors"),
    [
        (osnet_x1_0, OsNetParams(), 6 + 3 * (92 + 86) + 2 * 6 + 6 + 7),
        (mobilenet_v2, MobileNetParams(), 312),
        (se_resnet101_ibn_a, SeIbnParams(), 6 + 33 * 20 + 30 * 2 + 4 * 6),
    ],
)
def test_names_and_shapes_are_those_of_the_public_files(
    build: Callable[..., Backbone], params: Any, tensors: int
) -> None:
    """Six tensors of a convolution with batch norm, seven of a light layer, two of an excitation, two more of IBN."""
    shapes = {name: tuple(tensor.shape) for name, tensor in meta(build, params).state_dict().items()}
    assert len(shapes) == tensors
    assert {name: shapes.get(name) for name in NAMES[build]} == NAMES[build]


def test_a_published_checkpoint_is_read(tmp_path: Path) -> None:
    """With the prefix of several devices and an additional classifier; without one tensor it is refused."""
    torch.manual_seed(0)
    state = {f"module.{name}": tensor for name, tensor in osnet_x0_25(OsNetParams(), (64, 32)).state_dict().items()}
    whole = {**state, "module.classifier.weight": torch.zeros(5, 512), "module.classifier.bias": torch.zeros(5)}
    torch.save({"state_dict": whole, "epoch": 3}, tmp_path / "osnet.pth")
    network = osnet_x0_25(OsNetParams(weights_file=tmp_path / "osnet.pth"), (64, 32))
    assert all(torch.equal(tensor, state[f"module.{name}"]) for name, tensor in network.state_dict().items())
    headless = osnet_x0_25(OsNetParams(head=False), (64, 32))
    assert load_weights(headless, whole).missing == ()
    del whole["module.conv3.0.gate.fc1.weight"]
    torch.save({"state_dict": whole}, tmp_path / "osnet.pth")
    with pytest.raises(ReidbenchError, match=r"conv3\.0\.gate\.fc1\.weight"):
        osnet_x0_25(OsNetParams(weights_file=tmp_path / "osnet.pth"), (64, 32))


# ---------------------------------------------------------------------- answers
@pytest.mark.parametrize(
    ("name", "given", "shape"),
    [
        ("osnet-x0-25", {}, (512, 1, 1)),
        ("osnet-x0-25", {"head": False}, (128, 4, 2)),
        ("mobilenet-v2", {}, (1280, 2, 1)),
        ("mobilenet-v2", {"last_stride": 1}, (1280, 4, 2)),
        ("se-resnet50-ibn-a", {}, (2048, 4, 2)),
    ],
)
def test_each_answers_with_a_map_and_a_vector(name: str, given: dict[str, Any], shape: tuple[int, ...]) -> None:
    component: Component = COMPONENTS[name]
    network = component.load()(component.params.model_validate(given), (64, 32))
    assert "stages" not in component.capabilities_with(component.params()) or len(network.stages) == 4
    features = network(torch.randn(3, 3, 64, 32))
    assert features.map.shape == (3, *shape)
    assert features.vector.shape == (3, network.dim)
    assert torch.allclose(features.map.mean((2, 3)), features.vector, atol=1e-5)
    features.vector.square().sum().backward()
    assert [weight for weight, value in network.named_parameters() if value.grad is None] == []


def by_formula(network: nn.Module) -> dict[str, torch.Tensor]:
    """Weights and statistics from a formula, in float64, in evaluation mode. Returns its tensors by name."""
    network.double().eval()
    for number, (name, tensor) in enumerate(network.state_dict().items()):
        if tensor.is_floating_point():
            waves = torch.sin(0.7 * torch.arange(tensor.numel(), dtype=torch.float64) + number).view(tensor.shape)
            centre = 1.0 if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")) else 0.0
            tensor.copy_(centre + 0.3 * waves)
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def norm(x: torch.Tensor, w: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    mean, variance, scale, shift = (
        w[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * scale + shift


def golden(ours: torch.Tensor, formula: torch.Tensor, weight: torch.Tensor, name: str) -> None:
    """The map, and the norm of a gradient of its squares."""
    assert torch.allclose(ours, formula, rtol=1e-10, atol=1e-10), f"{name}: map"
    mine, theirs = (torch.autograd.grad(out.square().sum(), weight)[0].norm() for out in (ours, formula))
    assert theirs > 1e-3
    assert torch.allclose(mine, theirs, rtol=1e-9), f"{name}: gradient norm"


def test_an_osnet_block_is_its_equations() -> None:
    """x~ = sum over t = 1 to 4 of G(x_t) x x_t with one gate G for all, between 1x1 convolutions; y = x + x~."""
    block: Any = osnet_x0_25(OsNetParams(), (64, 32)).conv2[0]
    w = by_formula(block)
    x = torch.sin(torch.arange(2 * 16 * 6 * 4, dtype=torch.float64)).view(2, 16, 6, 4)
    inner = norm(F.conv2d(x, w["conv1.conv.weight"]), w, "conv1.bn").clamp_min(0)
    total = torch.zeros_like(inner)
    for depth, letter in enumerate("abcd", 1):
        stream = inner
        for layer in range(depth):
            name = f"conv2{letter}.{layer}" if depth > 1 else "conv2a"
            stream = F.conv2d(stream, w[f"{name}.conv1.weight"])
            stream = F.conv2d(stream, w[f"{name}.conv2.weight"], padding=1, groups=16)
            stream = norm(stream, w, f"{name}.bn").clamp_min(0)
        hidden = stream.mean((2, 3)) @ w["gate.fc1.weight"].flatten(1).T + w["gate.fc1.bias"]
        opened = hidden.clamp_min(0) @ w["gate.fc2.weight"].flatten(1).T + w["gate.fc2.bias"]
        total = total + stream / (1 + (-opened).exp())[:, :, None, None]
    out = norm(F.conv2d(total, w["conv3.conv.weight"]), w, "conv3.bn")
    shortcut = norm(F.conv2d(x, w["downsample.conv.weight"]), w, "downsample.bn")
    golden(block(x), (out + shortcut).clamp_min(0), w["conv1.conv.weight"], "osnet block")


def test_an_se_block_with_ibn_is_its_equations() -> None:
    """Instance norm on half of the first norm; channels are scaled by sigmoid(W2 relu(W1 mean)) before the sum."""
    block: Any = se_resnet50_ibn_a(SeIbnParams(), (64, 32)).layer1[1]
    w = by_formula(block)
    x = torch.sin(torch.arange(2 * 256 * 4 * 2, dtype=torch.float64)).view(2, 256, 4, 2)
    first, second = F.conv2d(x, w["conv1.weight"]).split(32, 1)
    middle, spread = first.mean((2, 3), keepdim=True), first.var((2, 3), unbiased=False, keepdim=True)
    scale, shift = (w[f"bn1.IN.{part}"][:, None, None] for part in ("weight", "bias"))
    first = (first - middle) / (spread + 1e-5).sqrt() * scale + shift
    y = torch.cat([first, norm(second, w, "bn1.BN")], 1).clamp_min(0)
    y = norm(F.conv2d(y, w["conv2.weight"], padding=1), w, "bn2").clamp_min(0)
    y = norm(F.conv2d(y, w["conv3.weight"]), w, "bn3")
    gate = torch.sigmoid((y.mean((2, 3)) @ w["se.fc.0.weight"].T).clamp_min(0) @ w["se.fc.2.weight"].T)
    golden(block(x), (y * gate[:, :, None, None] + x).clamp_min(0), w["conv1.weight"], "se block")


def test_names_of_the_first_ports_of_mobilenet_are_read() -> None:
    """Their blocks are rows of convolution, batch norm, ReLU6: the same tensors under other names."""
    torch.manual_seed(0)
    network = mobilenet_v2(MobileNetParams(), (64, 32))
    state = network.state_dict()
    rows = {"0.0": "0", "0.1": "1", "1.0": "3", "1.1": "4", "2": "6", "3": "7"}
    first = {"0.0": "0", "0.1": "1", "1": "3", "2": "4"}

    def theirs(name: str) -> str:
        head, _, rest = name.partition(".conv.")
        layer, _, leaf = rest.rpartition(".")
        return f"{head}.conv.{(first if head == 'features.1' else rows)[layer]}.{leaf}" if rest else name

    torch.manual_seed(1)
    other = mobilenet_v2(MobileNetParams(), (64, 32))
    report = load_weights(other, {theirs(name): one for name, one in state.items()}, exactly=True)
    assert (report.layout, report.missing) == ("mobilenet-v2", ())
    assert all(torch.equal(other.state_dict()[name], one) for name, one in state.items())
