"""Pixels of translated images: uint8 to -1..1 and back, random windows and mirroring."""

from __future__ import annotations

import torch


def crop_and_flip(images: torch.Tensor, size: tuple[int, int], flip: float, generator: torch.Generator) -> torch.Tensor:
    """Crop each image [B, C, h, w] to a random window of `size` and mirror it with probability `flip`."""
    count = len(images)
    room = torch.tensor([images.shape[2] - size[0] + 1, images.shape[3] - size[1] + 1])
    corners = (torch.rand(count, 2, generator=generator, dtype=torch.float64) * room).long().tolist()
    mirrored = (torch.rand(count, generator=generator) < flip).tolist()
    windows = []
    for image, (top, left), turned in zip(images, corners, mirrored, strict=True):
        window = image[:, top : top + size[0], left : left + size[1]]
        windows.append(window.flip(2) if turned else window)
    return torch.stack(windows)


def to_signed(pixels: torch.Tensor) -> torch.Tensor:
    """Convert uint8 to float in -1..1."""
    return pixels.float().div(127.5).sub(1)


def to_pixels(images: torch.Tensor) -> torch.Tensor:
    """Convert images [B, 3, H, W] in -1..1 to uint8 [B, H, W, 3] on the CPU, rounded."""
    pixels = images.add(1).div(2).clamp(0, 1).mul(255).round()
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).cpu()
