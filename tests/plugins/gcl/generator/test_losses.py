"""GCL's step and losses: inputs of each network, weights and gradients, by hand."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import reidbench_gcl.generator.synthesis
from reidbench_gcl.generator.discriminator import Discriminator
from reidbench_gcl.generator.losses import discriminator_loss, generator_losses, gradient_penalty
from reidbench_gcl.generator.params import GeneratorParams
from reidbench_gcl.generator.synthesis import Generator, Views, synthesise

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
SMALL: dict[str, Any] = {"dim": 2, "mlp": 8, "critic_dim": 4, "dilations": (1, 2, 3), "critic_scales": 2}


class Identity(nn.Module):
    """A small identity encoder: (feat [B, 32], f [B, 12])."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 5, 4, 2), nn.Tanh(), nn.Conv2d(8, 8, 3, 1, 1))
        self.head = nn.Linear(8, 12)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.layers(images)
        return F.adaptive_avg_pool2d(maps, (4, 1)).flatten(1), self.head(maps.mean((2, 3)))


class Flat(nn.Module):
    """A critic with the same score for every patch, at `scales` scales."""

    def __init__(self, score: float, scales: int = 3) -> None:
        super().__init__()
        self.score = nn.Parameter(torch.tensor(score))
        self.scales = scales

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        # `0 * images` keeps the graph: the gradient at the photographs exists and is 0.
        return [0 * images.mean(1, keepdim=True) + self.score for _ in range(self.scales)]


def gcl_params(**params: Any) -> GeneratorParams:
    return GeneratorParams(**{**SMALL, **params})


def inputs(batch: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.randn(batch, 3, *SIZE), torch.randn(batch, 1, *SIZE), torch.randn(batch, 1, *SIZE)


def step(
    x: torch.Tensor, s_ori: torch.Tensor, s_new: torch.Tensor, **params: Any
) -> tuple[Identity, Generator, Discriminator, Views]:
    options = gcl_params(**params)
    identity, generator, discriminator = Identity(), Generator(options, 32, SIZE), Discriminator(options)
    # From N(0, 0.02) its scores hardly move; larger weights make what depends on them visible.
    for weight in discriminator.parameters():
        weight.data.mul_(5)
    return identity, generator, discriminator, synthesise(identity, generator, x, s_ori, s_new)


def gradient(of: torch.Tensor, at: torch.Tensor) -> float:
    """Return the largest derivative; 0 if there is no path."""
    (found,) = torch.autograd.grad(of, at, retain_graph=True, allow_unused=True)
    return 0.0 if found is None else float(found.abs().max())


# ---------------------------------------------------------------------- the graph of a step
def test_passes_of_a_step() -> None:
    """4 identity encodings, 2 structure encodings and 3 decodings."""
    identity, generator = Identity(), Generator(gcl_params(), 32, SIZE)
    passes: Counter[str] = Counter()
    for name, part in (("identity", identity), ("structure", generator.structure), ("decoder", generator.decoder)):
        part.register_forward_hook(lambda *_, name=name: passes.update([name]))
    views = synthesise(identity, generator, *inputs())
    assert passes == {"identity": 4, "structure": 2, "decoder": 3}
    assert views.feat.shape == views.feat_ori.shape == views.feat_new.shape == views.feat_cycle.shape == (3, 32)
    assert views.f.shape == views.f_new.shape == (3, 12)
    assert all(image.shape == (3, 3, *SIZE) for image in views.fakes)


def test_each_view_is_what_it_is_called() -> None:
    """The cycle decodes the new view's appearance with s_ori, not with s_new."""
    x, s_ori, s_new = inputs()
    identity, generator, _, views = step(x, s_ori, s_new)
    assert torch.equal(views.feat, identity(x)[0])
    assert torch.equal(views.f, identity(x)[1])
    assert torch.equal(views.x_ori, generator(s_ori, views.feat))
    assert torch.equal(views.x_new, generator(s_new, views.feat))
    assert torch.equal(views.feat_ori, identity(views.x_ori)[0])
    assert torch.equal(views.feat_new, identity(views.x_new)[0])
    assert torch.equal(views.f_new, identity(views.x_new)[1])
    assert torch.equal(views.x_cycle, generator(s_ori, views.feat_new))
    assert torch.equal(views.feat_cycle, identity(views.x_cycle)[0])
    assert (views.x_cycle - generator(s_new, views.feat_new)).abs().mean() > 0.01


def test_structure_ignores_the_photograph() -> None:
    """With another photograph both structure codes are the same bit for bit, and the views are not."""
    x, s_ori, s_new = inputs()
    identity, generator, _, first = step(x, s_ori, s_new)
    codes: list[torch.Tensor] = []
    generator.structure.register_forward_hook(lambda module, given, code: codes.append(code))
    synthesise(identity, generator, x, s_ori, s_new)
    second = synthesise(identity, generator, torch.randn_like(x), s_ori, s_new)
    assert torch.equal(codes[0], codes[2])
    assert torch.equal(codes[1], codes[3])
    assert (first.x_ori - second.x_ori).abs().mean() > 0.01


def test_fabric_wrappers_change_nothing() -> None:
    """On the CPU, through Fabric's wrappers; every call of the generator goes through `forward`."""
    from lightning_fabric import Fabric

    x, s_ori, s_new = inputs()
    identity, generator, discriminator, views = step(x, s_ori, s_new)
    fabric = Fabric(accelerator="cpu", devices=1)
    wrapped = [fabric.setup(network) for network in (identity, generator, discriminator)]
    again = synthesise(wrapped[0], wrapped[1], x, s_ori, s_new)
    assert torch.equal(views.x_cycle, again.x_cycle)
    params = gcl_params()
    for loss in (discriminator_loss, generator_losses):
        mine, theirs = loss(discriminator, views, params), loss(wrapped[2], again, params)
        assert {name: value.item() for name, value in mine.items()} == {
            name: value.item() for name, value in theirs.items()
        }
    fabric.backward(sum(generator_losses(wrapped[2], again, params).values()))
    assert all(weight.grad is not None for weight in generator.parameters())


def test_no_device_is_named() -> None:
    """Fabric places all networks, so no file of them names CUDA, or faiss."""
    folder = Path(reidbench_gcl.generator.synthesis.__file__).parent
    for name in ("layers", "structure_encoder", "decoder", "discriminator", "synthesis", "losses"):
        text = (folder / f"{name}.py").read_text()
        assert "cuda" not in text
        assert "faiss" not in text


# ---------------------------------------------------------------------- reconstruction, cycle, appearance
def test_cycle_goes_through_the_new_view() -> None:
    """The pixels of s_new move the cycle's loss, and would not if it were decoded from feat."""
    x, s_ori, s_new = inputs()
    s_new.requires_grad_()
    _, generator, discriminator, views = step(x, s_ori, s_new)
    losses = generator_losses(discriminator, views, gcl_params())
    assert gradient(losses["cycle"], s_new) > 1e-6
    assert gradient(losses["img"], s_new) == 0
    short = replace(views, x_cycle=generator(s_ori, views.feat))
    assert gradient(generator_losses(discriminator, short, gcl_params())["cycle"], s_new) == 0


def test_appearance_pair_of_code_and_paper() -> None:
    """The code compares the reconstruction's appearance with the photograph's, the paper the new view's."""
    x, s_ori, s_new = inputs()
    s_new.requires_grad_()
    _, _, discriminator, views = step(x, s_ori, s_new)
    code, paper = (generator_losses(discriminator, views, gcl_params(feat_pair=pair)) for pair in ("code", "paper"))
    assert gradient(code["feat"], s_new) == 0
    assert gradient(code["feat_cycle"], s_new) > 1e-7
    assert gradient(paper["feat"], s_new) > 1e-7
    difference = sum(paper.values()) - sum(code.values())
    expected = (views.feat - views.feat_new).abs().mean() - (views.feat - views.feat_ori).abs().mean()
    assert abs(expected.item()) > 1e-3
    assert difference.item() == pytest.approx(5 * expected.item(), abs=1e-5)


def test_targets_are_detached() -> None:
    """No loss has a gradient at the photograph, or at its appearance code, as a target."""
    images = [torch.randn(2, 3, *SIZE, requires_grad=True) for _ in range(4)]
    feats = [torch.randn(2, 32, requires_grad=True) for _ in range(4)]
    f = torch.randn(2, 12)
    views = Views(
        images[0],
        feats[0],
        f,
        images[1],
        images[2],
        feats[1],
        feats[2],
        f_new=f,
        x_cycle=images[3],
        feat_cycle=feats[3],
    )
    losses = generator_losses(Discriminator(gcl_params()), views, gcl_params())
    loss = sum(losses.values())
    assert gradient(loss, images[0]) == gradient(loss, feats[0]) == 0
    assert min(gradient(losses["img"], images[1]), gradient(losses["feat"], feats[1])) > 0
    assert min(gradient(losses["cycle"], images[3]), gradient(losses["feat_cycle"], feats[3])) > 0


def test_weights_of_the_terms() -> None:
    """1 x adversarial, 5 x image, 5 x cycle, 5 x each appearance, all means of absolute differences."""
    _, _, discriminator, views = step(*inputs())
    losses = generator_losses(discriminator, views, gcl_params())
    assert losses["img"].item() == pytest.approx(5 * (views.x - views.x_ori).abs().mean().item(), rel=1e-5)
    assert losses["cycle"].item() == pytest.approx(5 * (views.x - views.x_cycle).abs().mean().item(), rel=1e-5)
    assert losses["feat"].item() == pytest.approx(5 * (views.feat - views.feat_ori).abs().mean().item(), rel=1e-5)
    halved = generator_losses(
        discriminator, views,
        gcl_params(adversarial_weight=0.5, image_weight=1, cycle_weight=2.5, feat_weight=10),
    )  # fmt: skip
    ratios = {name: (halved[name] / losses[name]).item() for name in losses}
    assert ratios == pytest.approx({"adv": 0.5, "img": 0.2, "cycle": 0.5, "feat": 2, "feat_cycle": 2})
    assert "adv" not in generator_losses(discriminator, views, gcl_params(adversarial_weight=0))


# ---------------------------------------------------------------------- adversarial
def test_least_squares_at_scores_of_zero() -> None:
    """2 x 3 scales x 3 fakes = 18 for the generator, 3 x 3 x 1 = 9 for the discriminator, R1 0."""
    views = step(*inputs())[3]
    assert generator_losses(Flat(0.0), views, gcl_params())["adv"].item() == pytest.approx(18)
    terms = discriminator_loss(Flat(0.0), views, gcl_params())
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(
        {"critic_fake": 0, "critic_real": 9, "critic_r1": 0}
    )
    # scores of 0.3: 18 x 0.49, 9 x 0.09, 9 x 0.49
    assert generator_losses(Flat(0.3), views, gcl_params())["adv"].item() == pytest.approx(8.82, rel=1e-5)
    terms = discriminator_loss(Flat(0.3), views, gcl_params(r1_weight=0))
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(
        {"critic_fake": 0.81, "critic_real": 4.41}
    )


def test_logarithmic_form() -> None:
    """vanilla: -log sigmoid(D) for what should be real, -log(1 - sigmoid(D)) for what should not; no factor 2."""
    views, params = step(*inputs())[3], gcl_params(adversarial="vanilla")
    assert generator_losses(Flat(0.0), views, params)["adv"].item() == pytest.approx(9 * math.log(2))
    terms = discriminator_loss(Flat(1.5), views, params)
    real = 1 / (1 + math.exp(-1.5))
    assert terms["critic_real"].item() == pytest.approx(-9 * math.log(real), rel=1e-5)
    assert terms["critic_fake"].item() == pytest.approx(-9 * math.log(1 - real), rel=1e-5)


def test_terms_of_a_real_discriminator() -> None:
    """All fakes judged at once give what three separate passes give, each fake and scale with its own mean."""
    _, _, discriminator, views = step(*inputs())
    params = gcl_params()
    adv = fake = real = 0.0
    for image in views.fakes:
        for on_fake, on_real in zip(discriminator(image), discriminator(views.x), strict=True):
            adv += 2 * ((on_fake - 1) ** 2).mean().item()
            fake += (on_fake**2).mean().item()
            real += ((on_real - 1) ** 2).mean().item()
    assert generator_losses(discriminator, views, params)["adv"].item() == pytest.approx(adv, rel=1e-5)
    terms = discriminator_loss(discriminator, views, params)
    assert terms["critic_fake"].item() == pytest.approx(fake, rel=1e-5)
    assert terms["critic_real"].item() == pytest.approx(real, rel=1e-5)


def test_penalty_of_a_linear_discriminator() -> None:
    """D(x) = a sum(x) at each of 6 outputs: R1 = a^2 x numel x 6^2; generated images add nothing."""

    class Linear(Flat):
        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [self.score * images.sum((1, 2, 3)).view(-1, 1, 1, 1).expand(-1, 1, 3, 2)]

    views = step(*inputs())[3]
    pixels = 3 * SIZE[0] * SIZE[1]
    expected = 0.01**2 * pixels * 6**2
    images = views.x.clone().requires_grad_()
    discriminator = Linear(0.01, scales=1)
    assert gradient_penalty(discriminator(images), images).item() == pytest.approx(expected, rel=1e-4)
    terms = discriminator_loss(discriminator, views, gcl_params())
    assert terms["critic_r1"].item() == pytest.approx(3 * 0.01 * expected, rel=1e-4)
    others = replace(views, x_ori=100 * views.x_ori, x_new=-views.x_new)
    assert discriminator_loss(discriminator, others, gcl_params())["critic_r1"] == terms["critic_r1"]
    # d R1 / d a = 2 a numel 36: the penalty reaches the weights
    assert gradient(terms["critic_r1"], discriminator.score) == pytest.approx(0.03 * 2 * expected / 0.01, rel=1e-4)


def test_penalty_image_by_image() -> None:
    """With convolutions: the squared gradient of each image by itself and of each scale by itself."""
    x, s_ori, s_new = inputs(2)
    discriminator = step(x, s_ori, s_new)[2]
    images = x.clone().requires_grad_()
    expected = 0.0
    for image in x:
        for scale in range(2):
            single = image[None].clone().requires_grad_()
            (slope,) = torch.autograd.grad(discriminator(single)[scale].sum(), single)
            expected += slope.square().sum().item() / 2
    assert expected > 1e-6
    assert gradient_penalty(discriminator(images), images).item() == pytest.approx(expected, rel=1e-4)


def test_each_step_moves_its_own_networks() -> None:
    """The discriminator's step leaves no gradient in generator and encoder; theirs leaves it bit for bit."""
    identity, generator, discriminator, views = step(*inputs())
    sum(discriminator_loss(discriminator, views, gcl_params()).values()).backward()
    assert all(weight.grad is None for network in (identity, generator) for weight in network.parameters())
    assert views.x.requires_grad is False
    assert all(weight.grad.any() for name, weight in discriminator.named_parameters() if name.endswith("weight"))
    discriminator.zero_grad()
    before = {name: weight.clone() for name, weight in discriminator.state_dict().items()}
    optimisers = [torch.optim.Adam(network.parameters(), lr=0.1) for network in (identity, generator, discriminator)]
    sum(generator_losses(discriminator, views, gcl_params()).values()).backward()
    for optimiser in optimisers:
        optimiser.step()
    assert all(torch.equal(before[name], weight) for name, weight in discriminator.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in discriminator.parameters())
    moved = [*identity.layers.parameters(), *generator.parameters()]  # the head waits for the contrast
    assert all(weight.grad is not None for weight in moved)


# ---------------------------------------------------------------------- learning
def figures(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Persons of two colours before a grey wall, as seen and turned: images, s_ori, s_new (white is +1)."""
    x = torch.full((count, 3, *SIZE), -0.5)
    s_ori, s_new = torch.ones(2, count, 1, *SIZE)
    colours = torch.rand(count, 2, 3) * 4 - 2
    for i in range(count):
        x[i, :, 4:18, 5:11] = colours[i, 0, :, None, None]
        x[i, :, 18:30, 6:10] = colours[i, 1, :, None, None]
        s_ori[i, :, 4:18, 5:11] = s_ori[i, :, 18:30, 6:10] = 0.2
        s_new[i, :, 4:18, 6:9] = s_new[i, :, 18:30, 5:10] = 0.0
    return x, s_ori, s_new


def likeness(views: Views) -> float:
    """Mean cosine of f and f_new, both minus the mean photograph's, which removes what all persons share."""
    middle = views.f.mean(0)
    return F.cosine_similarity(views.f - middle, views.f_new - middle).mean().item()


@pytest.mark.slow
def test_eight_images_are_learned() -> None:
    """With a frozen encoder reconstruction and cycle fall below half, and views keep the identity."""
    x, s_ori, s_new = figures(8)
    params = gcl_params(
        dim=4, mlp=32, blocks=2, critic_blocks=1, adversarial_weight=0.1,
        lr_generator=3e-3, lr_critic=5e-4, betas=(0.5, 0.999),
    )  # fmt: skip
    identity, generator, discriminator = Identity(), Generator(params, 32, SIZE), Discriminator(params)
    identity.requires_grad_(False)
    for weight in identity.parameters():
        weight.mul_(3)
    adam, critic_adam = (
        torch.optim.Adam(network.parameters(), lr=lr, betas=params.betas, weight_decay=params.weight_decay)
        for network, lr in ((generator, params.lr_generator), (discriminator, params.lr_critic))
    )
    told = []
    for _ in range(60):
        views = synthesise(identity, generator, x, s_ori, s_new)
        told.append((*((image - x).abs().mean().item() for image in (views.x_ori, views.x_cycle)), likeness(views)))
        for optimiser, loss in ((critic_adam, discriminator_loss), (adam, generator_losses)):
            optimiser.zero_grad()
            sum(loss(discriminator, views, params).values()).backward()
            optimiser.step()
    assert told[-1][0] < 0.5 * told[0][0]
    assert told[-1][1] < 0.5 * told[0][1]
    assert told[-1][2] > told[0][2] + 0.5
