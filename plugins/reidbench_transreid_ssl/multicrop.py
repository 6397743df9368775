"""DINO's multi-crop for upright persons, on whole batches: two whole views and several of half the size.

All numbers are drawn on the CPU, from one generator for whole views and one for local ones, the same count for every
batch of the same size; every view of every image draws separately. Images may be on any device, and may be one device's
share of a batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from reidbench.training.batches.colour import colour_jitter, luminance
from reidbench.training.batches.crops import CropShape, boxes_of, draw_chances, resample
from reidbench.training.batches.originals import Originals
from reidbench.training.contrastive.views import gauss, normalised
from reidbench.training.devices import WHOLE, Share

from .params import DinoParams

IMAGENET_RATIO = (3 / 4, 4 / 3)  # torchvision's, width / height
REFERENCE_HEIGHT = 256  # height of the image that the sigma of the blur refers to
HALF = 127.5 / 255  # eight-bit values of at least 128 are above


class Crops(NamedTuple):
    """Views of one kind, [V * B, 3, h, w] with those of the first view first, and their boxes [V * B, 4]."""

    images: torch.Tensor
    boxes: torch.Tensor


class _Kind(NamedTuple):
    """Views of one kind: areas of their crops, their size, and probabilities of blur and solarisation for each."""

    scale: tuple[float, float]
    size: tuple[int, int]
    blur: list[float]
    solarised: list[float]


class _Part(NamedTuple):
    """Source of the random numbers of some views of a share."""

    generator: torch.Generator
    share: Share
    views: int

    def rand(self, *size: int, dim: int = 0) -> torch.Tensor:
        """Draw numbers of `size`, of which `dim` counts views x images of the share; see `Share.rand`."""
        return self.share.rand(*size, generator=self.generator, dim=dim, groups=self.views)


class MultiCrop:
    """Crop, flip, colour jitter, grey, blur, solarise, normalise, in this order (DINO's DataAugmentationDINO).

    Crops are resized to the view's size, bicubic, without keeping their aspect. The two whole views differ in blur and
    solarisation.
    """

    def __init__(self, params: DinoParams, image_size: tuple[int, int]) -> None:
        self.params = params
        self.size = image_size
        self.local_size = (image_size[0] // 2, image_size[1] // 2)
        self.ratio = crop_ratio(params.crop_ratio, image_size)

    def whole(
        self,
        images: torch.Tensor,
        generator: torch.Generator,
        share: Share = WHOLE,
        originals: Originals | None = None,
    ) -> Crops:
        """Return both whole views of images [B, 3, H, W] in 0..1, a `share` of a batch: [2 B, 3, H, W].

        Crops are cut from `originals` if given; boxes are then in their pixels.
        """
        first, second, _ = self.params.blur
        kind = _Kind(self.params.global_scale, self.size, [first, second], [0.0, self.params.solarise])
        return self._views(images, originals, kind, generator, share)

    def local(
        self,
        images: torch.Tensor,
        generator: torch.Generator,
        share: Share = WHOLE,
        originals: Originals | None = None,
    ) -> Crops:
        """Return the local views of images [B, 3, H, W] in 0..1, a `share` of a batch: [L B, 3, H // 2, W // 2]."""
        count = self.params.local_crops
        kind = _Kind(self.params.local_scale, self.local_size, [self.params.blur[2]] * count, [0.0] * count)
        return self._views(images, originals, kind, generator, share)

    def _views(
        self,
        images: torch.Tensor,
        originals: Originals | None,
        kind: _Kind,
        generator: torch.Generator,
        share: Share,
    ) -> Crops:
        params, batch, views = self.params, len(images), len(kind.blur)
        chances = share.of(draw_chances(share.whole(views * batch), generator), groups=views)
        sizes = torch.tensor(images.shape[2:]).expand(batch, 2) if originals is None else originals.sizes
        boxes = boxes_of(CropShape(kind.scale, self.ratio), chances, sizes.repeat(views, 1))
        part = _Part(generator, share, views)
        flips = part.rand(views * batch) < params.flip
        parts = zip(boxes.chunk(views), flips.chunk(views), strict=True)
        source = images if originals is None else originals
        cut = torch.cat([crop(source, *view, kind.size) for view in parts])
        cut = colour_jitter(cut, params.jitter, params.jitter_probability, generator, share, views)
        cut = _changed(cut, luminance(cut).expand_as(cut), torch.full((len(cut),), params.grayscale), part)
        cut = self._blur(cut, torch.tensor(kind.blur).repeat_interleave(batch), part)
        cut = _changed(cut, solarise(cut), torch.tensor(kind.solarised).repeat_interleave(batch), part)
        return Crops(normalised(cut, params.mean, params.std), boxes)

    def _blur(self, images: torch.Tensor, probability: torch.Tensor, part: _Part) -> torch.Tensor:
        """Blur with a sigma in pixels of the image, so that local views are blurred as much as whole ones."""
        chosen, share = part.rand(2, len(images), dim=1)
        low, high = self.params.blur_sigma
        sigma = (low + share * (high - low)) * self.size[0] / REFERENCE_HEIGHT
        sigma = torch.where(chosen < probability, sigma, torch.tensor(0.0))
        return resample(images, *(gauss(size, sigma) for size in images.shape[2:]))


def crop_ratio(kind: str, image_size: tuple[int, int]) -> tuple[float, float]:
    """Return width / height of crops: ImageNet's 3/4 to 4/3, or for `person` that multiple of the image's own."""
    low, high = IMAGENET_RATIO
    height, width = image_size
    return (low, high) if kind == "imagenet" else (low * width / height, high * width / height)


def crop(
    images: torch.Tensor | Originals, boxes: torch.Tensor, flips: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """Resize each image's box (top, left, height, width) [B, 4] to `size` and mirror it where `flips` [B]: in 0..1."""
    if isinstance(images, Originals):
        cut = images.cut(boxes, size, "bicubic")
        return torch.where(flips.to(cut.device)[:, None, None, None], cut.flip(3), cut)
    top, left, tall, wide = boxes.unbind(1)
    rows = bicubic(top, tall, images.shape[2], size[0])
    columns = bicubic(left, wide, images.shape[3], size[1])
    columns = torch.where(flips[:, None, None], columns.flip(1), columns)
    return resample(images, rows, columns).clamp_(0, 1)  # the negative lobes overshoot at edges


def bicubic(start: torch.Tensor, length: torch.Tensor, inputs: int, outputs: int) -> torch.Tensor:
    """Return weights [B, outputs, inputs] that resize `length` [B] pixels from `start` [B] as Pillow's bicubic filter.

    Keys' cubic with a = -1/2, widened when it shrinks; pixels outside the box have no weight.
    """
    scale = (length / outputs)[:, None, None]
    centres = start[:, None, None] + (torch.arange(outputs) + 0.5)[:, None] * scale
    pixels = torch.arange(inputs)
    distance = ((pixels + 0.5 - centres) / scale.clamp_min(1)).abs()
    near = (1.5 * distance - 2.5) * distance.square() + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
    ends = start + length
    weights = weights * ((pixels >= start[:, None]) & (pixels < ends[:, None]))[:, None]
    return weights / weights.sum(2, keepdim=True)


def solarise(images: torch.Tensor) -> torch.Tensor:
    """Invert values of at least 128 of 255, [B, 3, H, W] in 0..1."""
    return torch.where(images > HALF, 1 - images, images)


def _changed(images: torch.Tensor, other: torch.Tensor, probability: torch.Tensor, part: _Part) -> torch.Tensor:
    chosen = part.rand(len(images)) < probability
    return torch.where(chosen.to(images.device)[:, None, None, None], other, images)
