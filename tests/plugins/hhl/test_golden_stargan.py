"""HHL's StarGAN against its equations in float64, without torch's layers: both networks, losses, steps.

Choi et al. (CVPR 2018), equations 2 to 7, with the gradient penalty of Gulrajani et al. (2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from reidbench import PrepareContext
from reidbench.data import read_market_folder
from reidbench.testing import write_market_folder
from reidbench.training import stream
from reidbench_hhl.params import StarGanParams
from reidbench_hhl.stargan import StarGan, gradient_penalty
from tests.support.contexts import make_context
from tests.support.golden import close, convolved, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE, CAMERAS, BATCH, SEED, STEPS, IDENTITY = (16, 8), 3, 4, 3, 4, 0.5
OWN, WANTED = torch.tensor([0, 1, 2, 1]), torch.tensor([1, 2, 1, 0])
RATE, BETAS = 1e-4, (0.5, 0.999)
SINGLE = 1e-4  # the networks work in single precision
Tensors = dict[str, torch.Tensor]


class PaperGenerator:
    """G(x, c) on plain tensors: channels 4, 8, 16, one residual block, and back."""

    def __init__(self, known: Tensors) -> None:
        self.known = known

    def normed(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """Instance norm: each map by its own mean and variance, then scale and shift of its channel."""
        centred = x - x.mean((2, 3), keepdim=True)
        x = centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
        return x * self.known[f"{name}.weight"][:, None, None] + self.known[f"{name}.bias"][:, None, None]

    def layer(self, x: torch.Tensor, number: int, stride: int, pad: int) -> torch.Tensor:
        x = convolved(x, self.known[f"body.{number}.weight"], stride=stride, pad=pad)
        return self.normed(x, f"body.{number + 1}").clamp_min(0)

    def residual(self, x: torch.Tensor, name: str) -> torch.Tensor:
        y = self.normed(convolved(x, self.known[f"{name}.body.0.weight"], pad=1), f"{name}.body.1").clamp_min(0)
        return x + self.normed(convolved(y, self.known[f"{name}.body.3.weight"], pad=1), f"{name}.body.4")

    def __call__(self, images: torch.Tensor, cameras: torch.Tensor) -> torch.Tensor:
        """The camera is a map of ones among maps of zeros after the colours."""
        maps = torch.zeros(len(images), CAMERAS, *SIZE, dtype=torch.float64)
        maps[range(len(images)), cameras] = 1
        x = self.layer(torch.cat([images, maps], 1), 0, 1, 3)
        x = self.layer(self.layer(x, 3, 2, 1), 6, 2, 1)
        x = self.residual(x, "body.9")
        for number in (10, 13):
            x = self.normed(enlarged(x, self.known[f"body.{number}.weight"]), f"body.{number + 1}").clamp_min(0)
        return convolved(x, self.known["body.16.weight"], pad=3).tanh()


def enlarged(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Transposed 4x4 convolution of stride 2: each pixel adds its kernel to the output; a border of 1 is cut off."""
    batch, _, height, width = x.shape
    out = torch.zeros(batch, weight.shape[1], 2 * height + 2, 2 * width + 2, dtype=x.dtype)
    for row in range(4):
        for column in range(4):
            part = torch.einsum("io,bihw->bohw", weight[:, :, row, column], x)
            spread = torch.zeros_like(out)
            spread[:, :, row : row + 2 * height : 2, column : column + 2 * width : 2] = part
            out = out + spread
    return out[:, :, 1:-1, 1:-1]


class PaperCritic:
    """D(x) on plain tensors: the realness map and the camera logits."""

    def __init__(self, known: Tensors) -> None:
        self.known = known

    def __call__(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        for number in (0, 2):
            x = convolved(x, self.known[f"body.{number}.weight"], self.known[f"body.{number}.bias"], stride=2, pad=1)
            x = torch.where(x > 0, x, 0.01 * x)
        realness = convolved(x, self.known["realness.weight"], pad=1)
        return realness, convolved(x, self.known["camera.weight"])[:, :, 0, 0]


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    chosen = logits.exp()[range(len(labels)), labels] / logits.exp().sum(1)
    return -chosen.log().mean()


def penalty(realness: Callable[[torch.Tensor], torch.Tensor], points: torch.Tensor) -> torch.Tensor:
    """Over images, the mean of (|gradient of the sum of realness| - 1)^2."""
    points = points.detach().requires_grad_()
    (slope,) = torch.autograd.grad(realness(points).sum(), points, create_graph=True)
    return torch.stack([(one.square().sum().sqrt() - 1).square() for one in slope]).mean()


def critic_terms(generator: PaperGenerator, critic: PaperCritic, images: torch.Tensor, alpha: torch.Tensor) -> Tensors:
    with torch.no_grad():
        fakes = generator(images, WANTED)
    realness, logits = critic(images)
    found = {"real": realness.mean(), "fake": critic(fakes)[0].mean(), "camera": cross_entropy(logits, OWN)}
    found["penalty"] = penalty(lambda points: critic(points)[0], alpha * images + (1 - alpha) * fakes)
    return found | {"critic_loss": found["fake"] - found["real"] + found["camera"] + 10 * found["penalty"]}


def generator_terms(generator: PaperGenerator, critic: PaperCritic, images: torch.Tensor) -> Tensors:
    fakes = generator(images, WANTED)
    realness, logits = critic(fakes)
    found = {
        "generated": realness.mean(),
        "generated_camera": cross_entropy(logits, WANTED),
        "cycle": (generator(fakes, OWN) - images).abs().mean(),
        "identity": (generator(images, OWN) - images).abs().mean(),
    }
    loss = -found["generated"] + found["generated_camera"] + 10 * found["cycle"] + IDENTITY * found["identity"]
    return found | {"generator_loss": loss}


class Adam:
    """Kingma and Ba's equations for the network's current gradients."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.before: Tensors = {}
        self.moments: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self.steps = 0

    def remember(self) -> None:
        self.before = {name: weight.detach().clone() for name, weight in self.network.named_parameters()}

    def check(self, whose: str, rate: float) -> None:
        """Check that the network's gradients and `rate` lead from the remembered weights to its weights."""
        self.steps += 1
        for name, weight in self.network.named_parameters():
            assert weight.grad is not None
            slope = weight.grad.double()
            mean, square = self.moments.get(name, (torch.zeros_like(slope), torch.zeros_like(slope)))
            mean, square = (
                beta * moment + (1 - beta) * value
                for beta, moment, value in zip(BETAS, (mean, square), (slope, slope.square()), strict=True)
            )
            self.moments[name] = mean, square
            mean, square = (part / (1 - beta**self.steps) for part, beta in zip((mean, square), BETAS, strict=True))
            way = -rate * mean / (square.sqrt() + 1e-8)
            close(f"step of the {whose}'s {name}", weight, self.before[name].double() + way, 1e-6)


def by_formula(network: nn.Module) -> None:
    with torch.no_grad():
        for number, (name, weight) in enumerate(network.named_parameters()):
            spread = 1 / math.sqrt(weight[0].numel()) if weight.ndim > 1 else 0.3
            shift = 1.0 if weight.ndim == 1 and name.endswith("weight") else 0.0
            weight.copy_(shift + spread * wave(number + 2, *weight.shape))


def doubled(network: nn.Module) -> Tensors:
    return {name: weight.detach().double().requires_grad_() for name, weight in network.named_parameters()}


def same_gradients(whose: str, network: nn.Module, known: Tensors) -> None:
    for name, weight in network.named_parameters():
        found, wanted = weight.grad, known[name].grad
        assert found is not None, name
        assert wanted is not None, name
        close(f"gradient norm of the {whose}'s {name}", found.norm(), wanted.norm(), 1e-3)


def test_four_steps_are_the_papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each loss, each gradient and each step of the critic, and at every second step of the generator.

    The rate falls to a half over the second half of the steps.
    """
    params = StarGanParams(
        channels=4, blocks=1, critic_channels=4, critic_layers=2, batch=BATCH, steps=STEPS, critic_steps=2,
        identity_weight=IDENTITY,
    )  # fmt: skip
    split = read_market_folder(write_market_folder(tmp_path / "target", identities=2, cameras=CAMERAS)).train.hide()
    run = StarGan(make_context(PrepareContext, tmp_path / "out", params, image_size=SIZE, seed=SEED, split=split)[0])
    networks = {"critic": run.critic, "generator": run.generator}
    for network in networks.values():
        by_formula(network)
    adams = {whose: Adam(network) for whose, network in networks.items()}
    alphas = stream(SEED, "interpolates")
    for step in range(STEPS):
        images = wave(50 + step, BATCH, 3, *SIZE).float()
        monkeypatch.setattr(run, "batch", lambda number, images=images: (images, OWN, WANTED))
        known = {whose: doubled(network) for whose, network in networks.items()}
        generator, critic = PaperGenerator(known["generator"]), PaperCritic(known["critic"])
        alpha = torch.rand(BATCH, 1, 1, 1, generator=alphas).double()
        wanted = critic_terms(generator, critic, images.double(), alpha)
        wanted["critic_loss"].backward()
        for adam in adams.values():
            adam.remember()
        facts = run.step(step)
        rate = RATE * min(1.0, (STEPS - step) / (STEPS / 2))
        same_gradients("critic", run.critic, known["critic"])
        adams["critic"].check("critic", rate)
        if step % 2:
            after = PaperCritic({name: weight.detach() for name, weight in doubled(run.critic).items()})
            for weight in known["generator"].values():
                weight.grad = None
            wanted |= generator_terms(generator, after, images.double())
            wanted["generator_loss"].backward()
            same_gradients("generator", run.generator, known["generator"])
            adams["generator"].check("generator", rate)
        assert facts.keys() == {*wanted, "lr"}
        close(f"learning rate of step {step}", facts["lr"], rate, 1e-9)
        for name, value in wanted.items():
            close(f"{name} of step {step}", facts[name], value, SINGLE)


def test_the_penalty_is_that_of_finite_differences(tmp_path: Path) -> None:
    """The slope of the critic's realness at points between images and fakes, pixel by pixel."""
    params = StarGanParams(channels=4, blocks=1, critic_channels=4, critic_layers=2, batch=BATCH)
    split = read_market_folder(write_market_folder(tmp_path / "target", identities=2, cameras=CAMERAS)).train.hide()
    run = StarGan(make_context(PrepareContext, tmp_path / "out", params, image_size=SIZE, seed=SEED, split=split)[0])
    by_formula(run.critic)
    critic = PaperCritic({name: weight.detach() for name, weight in doubled(run.critic).items()})
    images, fakes, alpha = wave(50, 2, 3, *SIZE), wave(51, 2, 3, *SIZE), torch.tensor([0.25, 0.7]).view(2, 1, 1, 1)
    shifts = 1e-6 * torch.eye(images[0].numel(), dtype=torch.float64).view(-1, 3, *SIZE)
    norms = []
    for point in alpha * images + (1 - alpha) * fakes:
        up, down = (critic(point + sign * shifts)[0].sum((1, 2, 3)) for sign in (1, -1))
        norms.append(((up - down) / 2e-6).square().sum().sqrt())
    wanted = torch.stack([(norm - 1).square() for norm in norms]).mean()
    found = gradient_penalty(lambda points: run.critic(points)[0], images.float(), fakes.float(), alpha)
    close("gradient penalty", found, wanted, SINGLE)
