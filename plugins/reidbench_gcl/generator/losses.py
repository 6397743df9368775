"""The losses of GCL's generative part (equations 1 to 5 of the paper; weights and forms of the released code)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F

from .params import GeneratorParams
from .synthesis import Views


def discriminator_loss(discriminator: Any, views: Views, params: GeneratorParams) -> dict[str, torch.Tensor]:
    """Return the weighted terms of the discriminator's step; their sum is its loss.

    Over scales and the three generated images: mean D(fake)^2 + mean (D(real) - 1)^2 + r1_weight * R1, or the
    logarithmic form. The photograph's terms count three times, though it is judged once. Generated images are detached:
    no gradient leaves the discriminator.
    """
    fakes = torch.cat([image.detach() for image in views.fakes])
    times = len(views.fakes)
    photograph = views.x.detach()
    if params.r1_weight > 0:
        photograph = photograph.clone().requires_grad_()
    real = discriminator(photograph)
    # The generated images pass together, so the mean over all is a third of the sum of means.
    terms = {
        "critic_fake": times * _distance(discriminator(fakes), 0.0, params),
        "critic_real": times * _distance(real, 1.0, params),
    }
    if params.r1_weight > 0:
        terms["critic_r1"] = times * params.r1_weight * gradient_penalty(real, photograph)
    return terms


def gradient_penalty(scores: Sequence[torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """R1 (Mescheder et al., 2018): the squared norm of d sum(scores) / d image, mean over images, summed over scales.

    `images` [B, 3, H, W] require a gradient and produced the maps `scores`.
    """
    total = images.new_zeros((), dtype=torch.float32)
    for score in scores:
        (gradient,) = torch.autograd.grad(score.float().sum(), images, create_graph=True)
        total = total + gradient.float().square().sum(dim=(1, 2, 3)).mean()
    return total


def generator_losses(discriminator: Any, views: Views, params: GeneratorParams) -> dict[str, torch.Tensor]:
    """Return the weighted terms of the step of the generator and, in the joint stage, of the identity encoder.

    adv: 2 x mean (D(fake) - 1)^2 summed over scales and the three generated images, or -log D(fake); img, cycle: L1 to
    the photograph; feat: L1 of the appearance codes of photograph and reconstruction (feat_pair: code) or new view
    (paper); feat_cycle: of photograph and cycle. All targets are detached, and no gradient reaches the discriminator's
    weights. Their sum is the loss; without adversarial_weight there is no adv.
    """
    image, feat = views.x.detach(), views.feat.detach()
    pair = views.feat_ori if params.feat_pair == "code" else views.feat_new
    terms = {
        "img": params.image_weight * _l1(views.x_ori, image),
        "cycle": params.cycle_weight * _l1(views.x_cycle, image),
        "feat": params.feat_weight * _l1(pair, feat),
        "feat_cycle": params.feat_weight * _l1(views.feat_cycle, feat),
    }
    if params.adversarial_weight > 0:
        with _weights_apart(discriminator):
            scores = discriminator(torch.cat(views.fakes))
        factor = 2.0 if params.adversarial == "lsgan" else 1.0
        terms["adv"] = params.adversarial_weight * factor * len(views.fakes) * _distance(scores, 1.0, params)
    return terms


def _l1(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return F.l1_loss(made.float(), wanted.float())


def _distance(scores: Sequence[torch.Tensor], wanted: float, params: GeneratorParams) -> torch.Tensor:
    """Distance of the scores from `wanted`, mean over patches, summed over scales."""
    loss = F.mse_loss if params.adversarial == "lsgan" else F.binary_cross_entropy_with_logits
    parts = [loss(score.float(), torch.full_like(score, wanted, dtype=torch.float32)) for score in scores]
    return torch.stack(parts).sum()


@contextmanager
def _weights_apart(network: Any) -> Iterator[None]:
    """Exclude the network's weights from the graph within the block, which also makes the backward pass cheaper."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)
