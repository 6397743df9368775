"""Networks of CycleGAN and SPGAN against their equations in float64, and the sizes that they allow."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from reidbench.errors import DataError
from reidbench.training import stream
from reidbench_spgan.networks import Discriminator, Generator, SiameseNetwork, siamese_layers
from tests.support.golden import close, convolved, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (16, 8)
Tensors = dict[str, torch.Tensor]


def by_formula(network: nn.Module) -> Tensors:
    """Set all weights by a formula; return them in float64."""
    with torch.no_grad():
        for number, (name, weight) in enumerate(network.named_parameters()):
            spread = 1 / math.sqrt(weight[0].numel()) if weight.ndim > 1 else 0.3
            shift = 1.0 if weight.ndim == 1 and name.endswith("weight") else 0.0
            weight.copy_(shift + spread * wave(number + 2, *weight.shape))
    return {name: weight.detach().double().requires_grad_() for name, weight in network.named_parameters()}


def normed(x: torch.Tensor, known: Tensors, name: str) -> torch.Tensor:
    """Instance norm: each map by its own mean and variance, then scale and shift of its channel."""
    centred = x - x.mean((2, 3), keepdim=True)
    x = centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
    return x * known[f"{name}.weight"][:, None, None] + known[f"{name}.bias"][:, None, None]


def enlarged(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Transposed 3x3 convolution of stride 2: pixel (i, j) adds its kernel at (2i - 1, 2j - 1); twice the size."""
    batch, _, height, width = x.shape
    out = torch.zeros(batch, weight.shape[1], 2 * height + 1, 2 * width + 1, dtype=x.dtype)
    for row in range(3):
        for column in range(3):
            spread = torch.zeros_like(out)
            part = torch.einsum("io,bihw->bohw", weight[:, :, row, column], x)
            spread[:, :, row : row + 2 * height : 2, column : column + 2 * width : 2] = part
            out = out + spread
    return out[:, :, 1:, 1:]


def leaky(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def generated(x: torch.Tensor, known: Tensors) -> torch.Tensor:
    """G(x) with one residual block: 7x7, two halvings, the block, two doublings, 7x7, tanh."""
    x = normed(convolved(x, known["body.1.weight"], pad=3, mirror=True), known, "body.2").clamp_min(0)
    for number in (4, 7):
        x = convolved(x, known[f"body.{number}.weight"], stride=2, pad=1)
        x = normed(x, known, f"body.{number + 1}").clamp_min(0)
    y = convolved(x, known["body.10.body.1.weight"], pad=1, mirror=True)
    y = convolved(normed(y, known, "body.10.body.2").clamp_min(0), known["body.10.body.5.weight"], pad=1, mirror=True)
    x = x + normed(y, known, "body.10.body.6")
    for number in (11, 14):
        x = normed(enlarged(x, known[f"body.{number}.weight"]), known, f"body.{number + 1}").clamp_min(0)
    return convolved(x, known["body.18.weight"], known["body.18.bias"], pad=3, mirror=True).tanh()


def judged(x: torch.Tensor, known: Tensors) -> torch.Tensor:
    """D(x) with one halving: 4x4 of stride 2, 4x4 with norm, 4x4 to one channel."""
    x = leaky(convolved(x, known["body.0.weight"], known["body.0.bias"], stride=2, pad=1))
    x = leaky(normed(convolved(x, known["body.2.weight"], pad=1), known, "body.3"))
    return convolved(x, known["body.5.weight"], known["body.5.bias"], pad=1)


def embedded(x: torch.Tensor, known: Tensors) -> torch.Tensor:
    """Unit vectors of the Siamese network with one layer."""
    x = leaky(convolved(x, known["layers.0.weight"], known["layers.0.bias"], stride=2, pad=1))
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // 2, 2, width // 2, 2).amax((3, 5)).flatten(1)
    x = leaky(x @ known["hidden.weight"].T + known["hidden.bias"])
    x = x @ known["output.weight"].T + known["output.bias"]
    return x / x.square().sum(1, keepdim=True).sqrt()


def siamese(size: tuple[int, int] = SIZE, layers: int | None = 1, dropout: float = 0.5) -> SiameseNetwork:
    return SiameseNetwork(size, 4, layers, dropout, stream(0, "drops"))


@pytest.mark.parametrize("name", ["generator", "discriminator", "siamese"])
def test_networks_are_their_equations(name: str) -> None:
    """Outputs and gradients of every weight."""
    network, formula = {
        "generator": (Generator(4, 1), generated),
        "discriminator": (Discriminator(SIZE, 4, 1), judged),
        "siamese": (siamese(dropout=0.0), embedded),
    }[name]
    known = by_formula(network)
    images = wave(50, 2, 3, *SIZE)
    found, wanted = network(images.float()), formula(images, known)
    close(name, found, wanted, 1e-4)
    found.sin().sum().backward()
    wanted.sin().sum().backward()
    for part, weight in network.named_parameters():
        assert weight.grad is not None, part
        close(f"gradient of {part}", weight.grad, known[part].grad, 2e-3)


def test_layers_are_cyclegans() -> None:
    """64-128-256, nine blocks, and back; patches of 70x70 pixels: 32 x 32 maps less two rows and columns."""
    layers = [m for m in Generator().modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in layers] == [64, 128, *[256] * 19, 128, 64, 3]
    critic = Discriminator((256, 256))
    widths = [layer.out_channels for layer in critic.body if isinstance(layer, nn.Conv2d)]
    assert widths == [64, 128, 256, 512, 1]
    field = 1
    for layer in reversed([one for one in critic.body if isinstance(one, nn.Conv2d)]):
        field = (field - 1) * layer.stride[0] + layer.kernel_size[0]
    assert field == 70
    assert critic(torch.zeros(1, 3, 256, 128)).shape == (1, 1, 30, 14)
    # the eSPGAN code has three layers at 256x128, and 8 x 256 inputs of the first linear one
    assert SiameseNetwork((256, 128), 64, None, 0.5, stream(0, "drops")).hidden.in_features == 2048
    square = SiameseNetwork((256, 256), 64, None, 0.5, stream(0, "drops"))
    assert (square.hidden.in_features, square.hidden.out_features, square.output.out_features) == (512, 128, 64)


def test_weights_start_as_in_cyclegan() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Generator(32, 2)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.2)
        if isinstance(module, nn.InstanceNorm2d):
            assert module.weight.mean().item() == pytest.approx(1, abs=0.02)
            assert module.bias.abs().max() == 0


def test_an_image_never_depends_on_its_batch() -> None:
    network = Generator(4, 1)
    images = wave(1, 3, 3, 16, 16).float()
    alone = torch.cat([network(image[None]) for image in images])
    assert torch.allclose(network(images), alone, atol=1e-5)


def test_dropout_is_drawn_in_training_only() -> None:
    """Half of the hidden units are 0 and the rest are doubled, from its own stream."""
    network, images = siamese(), wave(1, 8, 3, *SIZE).float()
    first, second = network(images), network(images)
    assert not torch.equal(first, second)
    network.drops = stream(0, "drops")
    assert torch.equal(network(images), first)
    assert torch.equal(network.eval()(images), network(images))


@pytest.mark.parametrize(("size", "layers"), [((256, 256), 4), ((256, 128), 3), ((64, 32), 2), ((8, 8), 1)])
def test_as_many_siamese_layers_as_the_size_allows(size: tuple[int, int], layers: int) -> None:
    assert siamese_layers(size, None) == layers
    assert siamese(size, None).layers(torch.zeros(1, 3, *size)).shape[2:] >= (1, 1)


def test_sizes_that_are_too_small_are_refused() -> None:
    with pytest.raises(DataError, match="64x32 can be quartered 2 times: lower `siamese_layers` to 2"):
        siamese((64, 32), 3)
    with pytest.raises(DataError, match="16x8 are too small for 2 halvings"):
        Discriminator(SIZE, 4, 2)
    assert Discriminator((24, 24), 4, 3)(torch.zeros(1, 3, 24, 24)).shape == (1, 1, 1, 1)
