"""Stored images of a batch, from which random resized crops are cut without resizing twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from reidbench.data.pictures.images import FILTERS, HasImages
from reidbench.data.pictures.size import Filter

from .reading import spread


class Originals:
    """Images uint8 [h, w, 3] of any sizes."""

    def __init__(self, pictures: Sequence[np.ndarray], device: str | torch.device = "cpu") -> None:
        self.pictures = pictures
        self.device = torch.device(device)

    @classmethod
    def read(cls, images: HasImages, indices: np.ndarray, workers: int, device: torch.device) -> Originals:
        """Read the images of `indices`, decoded by `workers` threads."""
        found: list[np.ndarray] = [np.empty(0)] * len(indices)

        def some(rows: range) -> None:
            for row in rows:
                found[row] = images.image(int(indices[row]))

        spread(some, len(indices), workers)
        return cls(found, device)

    @property
    def sizes(self) -> torch.Tensor:
        """Height and width of each image, [B, 2]."""
        return torch.tensor([picture.shape[:2] for picture in self.pictures])

    def cut(self, boxes: torch.Tensor, size: tuple[int, int], kind: Filter = "bilinear") -> torch.Tensor:
        """Crop each image's box (top, left, height, width) [B, 4], resized by Pillow: [B, 3, height, width] in 0..1."""
        height, width = size
        cuts = np.empty((len(self.pictures), height, width, 3), np.uint8)
        for cut, picture, (top, left, tall, wide) in zip(cuts, self.pictures, boxes.tolist(), strict=True):
            box = np.ascontiguousarray(picture[top : top + tall, left : left + wide])
            cut[:] = np.asarray(Image.fromarray(box).resize((width, height), FILTERS[kind]))
        return torch.from_numpy(cuts).to(self.device).permute(0, 3, 1, 2).float().div_(255)
