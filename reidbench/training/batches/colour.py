"""Colour changes of whole batches [B, 3, H, W] in 0..1, by a separate amount for each image."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from reidbench.training.devices import WHOLE, Share

LUMA = (0.299, 0.587, 0.114)


def colour_jitter(
    images: torch.Tensor,
    amounts: Sequence[float],
    probability: float,
    generator: torch.Generator,
    share: Share = WHOLE,
    groups: int = 1,
) -> torch.Tensor:
    """Change brightness, contrast, saturation and hue in an order that each image draws (torchvision's ColorJitter).

    `amounts` are the largest relative changes; for hue, the share of a full circle. An image is changed with
    `probability`. `images` are a `share` of a batch, `groups` times over; numbers are drawn for the whole batch.
    """
    if probability == 0:
        return images
    count = len(images)
    chosen = share.rand(count, generator=generator, groups=groups) < probability
    order = share.rand(count, 4, generator=generator, groups=groups).argsort(1)
    drawn = (2 * share.rand(count, 4, generator=generator, groups=groups) - 1) * torch.tensor(amounts)
    images = images.clone()
    for place in range(4):
        for kind, change in enumerate((_brightness, _contrast, _saturation, _hue)):
            rows = torch.nonzero(chosen & (order[:, place] == kind))[:, 0]
            if len(rows):
                amount = drawn[rows, kind].to(images)[:, None, None, None]
                where = rows.to(images.device)
                images[where] = change(images[where], amount)
    return images


def luminance(images: torch.Tensor) -> torch.Tensor:
    """Luminance [B, 1, H, W] of [B, 3, H, W], by ITU-R 601 weights."""
    return (images * torch.tensor(LUMA).view(1, 3, 1, 1).to(images)).sum(1, keepdim=True)


def _brightness(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    return (images * (1 + amount)).clamp(0, 1)


def _contrast(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    mean = luminance(images).mean((1, 2, 3), keepdim=True)
    return (mean + (images - mean) * (1 + amount)).clamp(0, 1)


def _saturation(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    grey = luminance(images)
    return (grey + (images - grey) * (1 + amount)).clamp(0, 1)


def _hue(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Rotate the hue by `amount` of a full circle, through hue, saturation and value."""
    value, which = images.max(1, keepdim=True)
    chroma = value - images.amin(1, keepdim=True)
    red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
    safe = chroma.clamp_min(1e-8)
    sextant = torch.where(
        which == 0, (green - blue) / safe, torch.where(which == 1, 2 + (blue - red) / safe, 4 + (red - green) / safe)
    )
    sextant = sextant + 6 * amount
    # f(n) = V - C max(0, min(k, 4 - k, 1)) with k = (n + hue) mod 6 gives the channels for n = 5, 3, 1.
    channels = []
    for number in (5, 3, 1):
        k = (number + sextant) % 6
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.cat(channels, 1)
