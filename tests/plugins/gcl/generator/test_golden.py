"""GCL's generator, discriminator and losses against their definitions in float64, without torch's layers.

Layers are those of Chen et al. (CVPR 2021) and its released code: AdaIN (Huang and Belongie, 2017), residual blocks,
upsampling, patch critics at several scales with least squares (Mao et al., 2017) and R1 (Mescheder et al., 2018).
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import nn

from reidbench_gcl.generator.discriminator import Discriminator
from reidbench_gcl.generator.losses import discriminator_loss, generator_losses
from reidbench_gcl.generator.params import GeneratorParams
from reidbench_gcl.generator.synthesis import Generator, Views, synthesise
from tests.support.golden import close, convolved, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE, FEAT, BATCH, BLOCKS, CRITIC_BLOCKS, DILATIONS = (32, 16), 16, 2, 2, 1, (1, 2, 3)
PIXELS = 3 * 32 * 16
PARAMS = GeneratorParams(
    dim=2, mlp=5, critic_dim=3, dilations=DILATIONS, critic_scales=2, blocks=BLOCKS, critic_blocks=CRITIC_BLOCKS
)
SINGLE = 1e-4  # norms work in single precision
Tensors = dict[str, torch.Tensor]


class Identity(nn.Module):
    """Appearance code and feature as matrices times the pixels and the code."""

    def __init__(self) -> None:
        super().__init__()
        self.code = nn.Parameter(wave(5, FEAT, PIXELS).float() / math.sqrt(PIXELS))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        code = images.flatten(1) @ self.code.t()
        return code, code


class Network:
    """Layers on plain tensors, by the names of the product's weights."""

    def __init__(self, known: Tensors) -> None:
        self.known = known

    def convolution(self, x: torch.Tensor, name: str, stride: int = 1, dilation: int = 1) -> torch.Tensor:
        weight, bias = self.known[f"{name}.weight"], self.known[f"{name}.bias"]
        pad = dilation * (weight.shape[2] - 1) // 2
        return convolved(x, weight, bias, stride=stride, pad=pad, dilation=dilation, mirror=True)

    def block(self, x: torch.Tensor, name: str, *, norm: bool) -> torch.Tensor:
        """x + C(leaky(C(x))), each C with its norm."""
        y = self.convolution(x, f"{name}.first.convolution")
        y = leaky(standard(y)) if norm else leaky(y)
        y = self.convolution(y, f"{name}.second.convolution")
        return x + (standard(y) if norm else y)


class PaperGenerator(Network):
    """Structure encoder and decoder."""

    def structure(self, x: torch.Tensor) -> torch.Tensor:
        for layer, stride in enumerate((2, 1, 1, 2)):
            x = leaky(standard(self.convolution(x, f"structure.stem.{layer}.convolution", stride)))
        for number in range(BLOCKS):
            x = self.block(x, f"structure.blocks.{number}", norm=True)
        looks = [standard(self.convolution(x, "structure.pyramid.near.convolution"))]
        for number, dilation in enumerate(DILATIONS):
            far = f"structure.pyramid.far.{number}"
            y = leaky(standard(self.convolution(x, f"{far}.0.convolution")))
            looks.append(standard(self.convolution(y, f"{far}.1.convolution", dilation=dilation)))
        return standard(self.convolution(torch.cat(looks, 1), "structure.pyramid.fuse.convolution"))

    def perceptron(self, x: torch.Tensor, name: str) -> torch.Tensor:
        for layer in (0, 2, 4):
            x = x @ self.known[f"{name}.{layer}.weight"].t() + self.known[f"{name}.{layer}.bias"]
            x = leaky(x) if layer < 4 else x
        return x

    def styled(self, x: torch.Tensor, feat: torch.Tensor, number: int) -> torch.Tensor:
        """A residual block with AdaIN, by the block's slice of the appearance code."""
        share = feat[:, number * FEAT // BLOCKS : (number + 1) * FEAT // BLOCKS]
        gamma, beta = (self.perceptron(share, f"decoder.{kind}.{number}") for kind in ("gammas", "betas"))
        width, y = x.shape[1], x
        for layer in (0, 1):
            half = slice(layer * width, (layer + 1) * width)
            y = standard(self.convolution(y, f"decoder.blocks.{number}.convolutions.{layer}"))
            y = gamma[:, half, None, None] * y + beta[:, half, None, None]
            y = y if layer else leaky(y)
        return x + y

    def upsampled(self, x: torch.Tensor, number: int) -> torch.Tensor:
        """Each pixel four times, 5x5 convolution, each sample by its own mean and unbiased deviation."""
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = self.convolution(x, f"decoder.up.{number}.convolution")
        deviation = x.flatten(1).std(1)[:, None, None, None]
        x = (x - x.mean((1, 2, 3), keepdim=True)) / (deviation + 1e-5)
        gamma, beta = (self.known[f"decoder.up.{number}.norm.{leaf}"][:, None, None] for leaf in ("gamma", "beta"))
        return leaky(gamma * x + beta)

    def decoder(self, x: torch.Tensor, feat: torch.Tensor) -> Tensors:
        """Every stage on the way to the image."""
        found: Tensors = {}
        for number in range(BLOCKS):
            found[f"residual block {number} with AdaIN"] = x = self.styled(x, feat, number)
        for number in (0, 1):
            found[f"upsampling {number}"] = x = self.upsampled(x, number)
        for layer in (0, 2, 4):
            x = self.convolution(x, f"decoder.last.{layer}")
            x = leaky(x) if layer < 4 else x
        return found | {"image": x}

    def __call__(
        self, structure: torch.Tensor | None = None, feat: torch.Tensor | None = None, code: torch.Tensor | None = None
    ) -> torch.Tensor:
        if code is None:
            assert structure is not None
            code = self.structure(structure)
        return code if feat is None else self.decoder(code, feat)["image"]


class PaperDiscriminator(Network):
    """A critic at each scale."""

    def __call__(self, images: torch.Tensor) -> list[torch.Tensor]:
        maps = []
        for scale in range(PARAMS.critic_scales):
            x = images = halved(images) if scale else images
            for layer, stride in enumerate((1, 1, 2, 1, 2)):
                x = leaky(self.convolution(x, f"critics.{scale}.layers.{layer}.convolution", stride))
            for number in range(CRITIC_BLOCKS):
                x = self.block(x, f"critics.{scale}.layers.{5 + number}", norm=False)
            maps.append(self.convolution(x, f"critics.{scale}.layers.{5 + CRITIC_BLOCKS}"))
        return maps


def leaky(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def standard(x: torch.Tensor) -> torch.Tensor:
    """Each map with mean 0 and variance 1 (instance norm)."""
    centred = x - x.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()


def halved(images: torch.Tensor) -> torch.Tensor:
    """Mean of the 3x3 neighbourhood at every second pixel, without padding."""
    rows = [
        [
            images[:, :, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean((2, 3))
            for x in range(0, images.shape[3], 2)
        ]
        for y in range(0, images.shape[2], 2)
    ]  # fmt: skip
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def by_formula(network: nn.Module) -> Tensors:
    """Set weights by a formula that keeps maps near 1, and return them in float64."""
    with torch.no_grad():
        for number, weight in enumerate(network.parameters()):
            spread = 1.5 / math.sqrt(weight[0].numel()) if weight.ndim > 1 else 0.5
            weight.copy_(spread * wave(number + 2, *weight.shape))
    return {name: weight.detach().double().requires_grad_() for name, weight in network.named_parameters()}


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Photographs and two structure maps, in float32."""
    return tuple(wave(60 + number, BATCH, channels, *SIZE).float() for number, channels in enumerate((3, 1, 1)))  # type: ignore[return-value]


def same_gradients(network: nn.Module, known: Tensors, tolerance: float) -> None:
    for name, weight in network.named_parameters():
        found, wanted = weight.grad, known[name].grad
        assert found is not None, name
        assert wanted is not None, name
        if wanted.norm() < 1e-9:  # a bias before a norm
            assert found.norm() < 1e-4, f"gradient norm of {name}"
            continue
        close(f"gradient norm of {name}", found.norm(), wanted.norm(), tolerance)


def test_each_stage_of_the_generator() -> None:
    """Structure code, residual blocks with AdaIN, upsamplings, image."""
    ours = Generator(PARAMS, FEAT, SIZE)
    paper = PaperGenerator(by_formula(ours))
    structure, feat = inputs()[1], wave(64, BATCH, FEAT).float()
    with torch.no_grad():
        code = x = ours.structure(structure)
        close("structure code", x, paper.structure(structure.double()), SINGLE)
        found: Tensors = {}
        for number, (block, style) in enumerate(zip(ours.decoder.blocks, ours.decoder.style(feat), strict=True)):
            found[f"residual block {number} with AdaIN"] = x = block(x, *style)
        for number, layer in enumerate(ours.decoder.up):
            found[f"upsampling {number}"] = x = layer(x)
        found["image"] = ours(code=code, feat=feat)
        for name, wanted in paper.decoder(code.double(), feat.double()).items():
            close(name, found[name], wanted, SINGLE)


def test_a_step_of_the_generator() -> None:
    """Reconstruction, new view and cycle; the five losses with their weights; the gradient of every weight."""
    ours, critic, identity = Generator(PARAMS, FEAT, SIZE), Discriminator(PARAMS), Identity()
    known, judge = by_formula(ours), PaperDiscriminator(by_formula(critic))
    code = identity.code.detach().double().requires_grad_()
    paper = PaperGenerator(known)
    x, seen, turned = (part.double() for part in inputs())

    def appearance(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ code.t()

    feat = appearance(x)
    x_ori, x_new = paper(seen, feat), paper(turned, feat)
    x_cycle = paper(seen, appearance(x_new))
    constant = feat.detach()
    wanted = {
        "img": 5 * (x_ori - x).abs().mean(),
        "cycle": 5 * (x_cycle - x).abs().mean(),
        "feat": 5 * (appearance(x_ori) - constant).abs().mean(),
        "feat_cycle": 5 * (appearance(x_cycle) - constant).abs().mean(),
        "adv": sum(2 * (score - 1).square().mean() for fake in (x_ori, x_new, x_cycle) for score in judge(fake)),
    }
    torch.stack([torch.as_tensor(value) for value in wanted.values()]).sum().backward()

    views = synthesise(identity, ours, *inputs())
    for name, image in (("x_ori", x_ori), ("x_new", x_new), ("x_cycle", x_cycle)):
        close(name, getattr(views, name), image, 3 * SINGLE)
    losses = generator_losses(critic, views, PARAMS)
    assert losses.keys() == wanted.keys()
    for name, value in wanted.items():
        close(f"loss {name}", losses[name], value, SINGLE)
    torch.stack(list(losses.values())).sum().backward()
    same_gradients(ours, known, 1e-3)
    assert identity.code.grad is not None
    close("gradient norm of the identity encoder", identity.code.grad.norm(), code.grad.norm(), 1e-3)  # type: ignore[union-attr]
    assert all(weight.grad is None for weight in critic.parameters())


def given_views(**images: torch.Tensor) -> Views:
    """Return views with only the images that the discriminator's step reads."""
    nothing: dict[str, Any] = {field.name: torch.zeros(1) for field in fields(Views)}
    return Views(**{**nothing, **images})


def test_a_step_of_the_discriminator() -> None:
    """Scores at both scales; least squares of three fakes and three times the photographs; R1; every gradient."""
    critic = Discriminator(PARAMS)
    known = by_formula(critic)
    judge = PaperDiscriminator(known)
    names = ("x", "x_ori", "x_new", "x_cycle")
    images = {name: wave(70 + number, BATCH, 3, *SIZE).float() for number, name in enumerate(names)}
    photographs = images["x"].double().requires_grad_()
    real = judge(photographs)
    for scale, (found, score) in enumerate(zip(critic(images["x"]), real, strict=True)):
        close(f"scores at scale {scale}", found, score, SINGLE)
    penalty = []
    for score in real:
        (slope,) = torch.autograd.grad(score.sum(), photographs, create_graph=True)
        penalty.append(slope.square().sum((1, 2, 3)).mean())
    fakes = [score.square().mean() for name in names[1:] for score in judge(images[name].double())]
    wanted = {
        "critic_fake": torch.stack(fakes).sum(),
        "critic_real": 3 * torch.stack([(score - 1).square().mean() for score in real]).sum(),
        "critic_r1": 3 * 0.01 * torch.stack(penalty).sum(),
    }
    losses = discriminator_loss(critic, given_views(**images), PARAMS)
    for name, value in wanted.items():
        close(f"loss {name}", losses[name], value, SINGLE)
    torch.stack(list(losses.values())).sum().backward()
    torch.stack(list(wanted.values())).sum().backward()
    same_gradients(critic, known, 1e-3)


def test_the_penalty_is_that_of_finite_differences() -> None:
    """The slope of the scores at one small photograph, pixel by pixel."""
    critic = Discriminator(PARAMS)
    judge = PaperDiscriminator({name: weight.detach() for name, weight in by_formula(critic).items()})
    image = wave(70, 1, 3, 12, 9)
    shifts = 1e-6 * torch.eye(image.numel(), dtype=torch.float64).view(-1, *image.shape[1:])
    wanted = torch.zeros((), dtype=torch.float64)
    for up, down in zip(judge(image + shifts), judge(image - shifts), strict=True):
        wanted += ((up - down).sum((1, 2, 3)) / 2e-6).square().sum()
    views = given_views(**dict.fromkeys(("x", "x_ori", "x_new", "x_cycle"), image.float()))
    close("loss critic_r1", discriminator_loss(critic, views, PARAMS)["critic_r1"], 0.03 * wanted, SINGLE)
