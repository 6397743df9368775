"""Views for contrastive learning: MoCo v2's and LUPerson's augmentations, on whole batches.

All numbers are drawn from one CPU generator, the same count for every batch of the same size, separately for each
image. The images may be on any device, and may be one device's share of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from reidbench.training.batches.colour import colour_jitter, luminance
from reidbench.training.batches.crops import ATTEMPTS, CROPS, boxes_of, crop_and_resize, draw_chances, resample
from reidbench.training.batches.originals import Originals
from reidbench.training.devices import WHOLE, Share

from .params import ContrastiveParams

ERASE_ATTEMPTS = 100  # as in LUPerson and BoT; a large, flat or tall rectangle often does not fit


@dataclass(frozen=True)
class ViewAugment:
    """Crop, colour jitter, greyscale, blur, flip, normalise, erase, in this order; [B, 3, H, W] in 0..1 to a view."""

    params: ContrastiveParams

    def __call__(
        self,
        images: torch.Tensor,
        generator: torch.Generator,
        share: Share = WHOLE,
        originals: Originals | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the normalised view and the crop boxes (top, left, height, width) [B, 4].

        `images` are a `share` of a batch; numbers are drawn for the whole batch. Boxes are cut from `originals` if
        given, in their pixels.
        """
        params = self.params
        size = (images.shape[2], images.shape[3])
        chances = share.of(draw_chances(share.whole(len(images)), generator))
        sizes = torch.tensor(size).expand(len(images), 2) if originals is None else originals.sizes
        boxes = boxes_of(CROPS[params.crop], chances, sizes)
        images = crop_and_resize(images, boxes) if originals is None else originals.cut(boxes, size)
        images = colour_jitter(images, params.jitter, params.jitter_probability, generator, share)
        images = self._where(params.grayscale, luminance(images).expand_as(images), images, generator, share)
        images = self._blur(images, generator, share)
        images = self._where(params.flip, images.flip(3), images, generator, share)
        return self._erase(self.normalise(images), generator, share), boxes

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """(images - mean) / std per channel."""
        return normalised(images, self.params.mean, self.params.std)

    @staticmethod
    def _where(
        probability: float, changed: torch.Tensor, images: torch.Tensor, generator: torch.Generator, share: Share
    ) -> torch.Tensor:
        chosen = share.rand(len(images), generator=generator) < probability
        return torch.where(chosen.to(images.device)[:, None, None, None], changed, images)

    def _blur(self, images: torch.Tensor, generator: torch.Generator, share: Share) -> torch.Tensor:
        """Gaussian blur; sigma scales with the height, and at the border the kernel is normalised to its inner part."""
        params = self.params
        if params.blur == 0:
            return images
        chosen = share.rand(len(images), generator=generator) < params.blur
        low, high = params.blur_sigma
        sigma = (low + share.rand(len(images), generator=generator) * (high - low)) * images.shape[2] / 256
        sigma = torch.where(chosen, sigma, torch.tensor(0.0))
        return resample(images, *(gauss(size, sigma) for size in images.shape[2:]))

    def _erase(self, images: torch.Tensor, generator: torch.Generator, share: Share) -> torch.Tensor:
        """Set one rectangle to 0, the mean colour after normalising; takes the first attempt that fits."""
        params = self.params
        if params.erase == 0:
            return images
        height, width = images.shape[2:]
        chosen = share.rand(len(images), generator=generator) < params.erase
        evenly = params.erase_aspect == "uniform"
        tries = ERASE_ATTEMPTS if evenly else ATTEMPTS
        area, ratio, y, x = share.rand(4, len(images), tries, generator=generator, dim=1)
        area = (params.erase_area[0] + area * (params.erase_area[1] - params.erase_area[0])) * (height * width)
        if evenly:
            ratio = 0.3 + ratio * (1 / 0.3 - 0.3)
        else:
            ratio = torch.tensor(0.3) * (torch.tensor(3.33 / 0.3) ** ratio)
        tall, wide = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        fits = (tall < height) & (wide < width)
        first = fits.float().argmax(1, keepdim=True)
        tall, wide, y, x = (value.gather(1, first) for value in (tall, wide, y, x))
        top, left = (y * (height - tall + 1)).floor(), (x * (width - wide + 1)).floor()
        rows, columns = torch.arange(height), torch.arange(width)
        inside_rows = (rows >= top) & (rows < top + tall)
        inside_columns = (columns >= left) & (columns < left + wide)
        erased = (chosen & fits.any(1))[:, None, None] & inside_rows[:, :, None] & inside_columns[:, None, :]
        return images.masked_fill(erased[:, None].to(images.device), 0.0)


def normalised(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Normalise images [B, 3, H, W] in 0..1 for a network: (images - mean) / std per channel."""
    means, deviations = (torch.tensor(tuple(values)).view(1, 3, 1, 1).to(images) for values in (mean, std))
    return (images - means) / deviations


def gauss(size: int, sigma: torch.Tensor) -> torch.Tensor:
    """Blur matrices [B, size, size]; each row sums to 1, and a sigma of 0 changes nothing."""
    places = torch.arange(size)
    squares = (places[:, None] - places[None]).float().square()
    return (-squares / (2 * sigma.clamp_min(1e-3)[:, None, None].square())).softmax(2)
