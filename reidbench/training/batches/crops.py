"""Random crops of whole batches, the crop shapes of person pre-training, and the shared body rows of two crops."""

from __future__ import annotations

from dataclasses import dataclass

import torch

ATTEMPTS = 10  # as torchvision


@dataclass(frozen=True)
class CropShape:
    """Area as a share of the image, and log-uniform width / height; `upright` draws height / width uniformly."""

    area: tuple[float, float]
    ratio: tuple[float, float]
    upright: bool = False


CROPS = {
    # With a ratio of 3/4 or more, a crop of a 1:2 box is at most two thirds of its height, so two crops share few rows.
    "imagenet-rrc": CropShape((0.2, 1.0), (3 / 4, 4 / 3)),
    "person-rrc": CropShape((0.2, 1.0), (0.4, 0.6)),
    "rect": CropShape((0.64, 1.0), (1 / 3, 1 / 2), upright=True),
}


def draw_boxes(shape: CropShape, count: int, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Draw `count` boxes (top, left, height, width) [count, 4] in an image of `size`, independently.

    Takes the first of ten attempts that fits, as torchvision's RandomResizedCrop. If none fits: the central box with
    the nearest allowed ratio, and for upright crops the whole image.
    """
    return boxes_of(shape, draw_chances(count, generator), torch.tensor(size).expand(count, 2))


def draw_chances(count: int, generator: torch.Generator) -> torch.Tensor:
    """Random numbers of `count` boxes, independent of the image sizes: [count, 4, attempts] in 0..1."""
    return torch.rand(4, count, ATTEMPTS, generator=generator, dtype=torch.float64).transpose(0, 1)


def boxes_of(shape: CropShape, chances: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Boxes [B, 4] that `draw_boxes` derives from `chances` [B, 4, attempts], in images of `sizes` [B, 2]."""
    height, width = sizes[:, :1], sizes[:, 1:]
    area, ratio, y, x = chances.unbind(1)
    area = (shape.area[0] + area * (shape.area[1] - shape.area[0])) * (height * width)
    low, high = (torch.tensor(value, dtype=torch.float64) for value in shape.ratio)
    if shape.upright:
        ratio = 1 / (1 / high + ratio * (1 / low - 1 / high))
    else:
        ratio = (low.log() + ratio * (high / low).log()).exp()
    tall, wide = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    fits = (tall <= height) & (wide <= width) & (tall > 0) & (wide > 0)
    first = fits.double().argmax(1, keepdim=True)
    tall, wide, y, x = (value.gather(1, first) for value in (tall, wide, y, x))
    boxes = torch.cat([(y * (height - tall + 1)).floor(), (x * (width - wide + 1)).floor(), tall, wide], 1).long()
    whole = torch.tensor([_fallback(shape, tall, wide) for tall, wide in sizes[~fits.any(1)].tolist()])
    boxes[~fits.any(1)] = whole.view(-1, 4).long()
    return boxes


def _fallback(shape: CropShape, height: int, width: int) -> list[int]:
    tall, wide = height, width
    if not shape.upright:
        if width / height < shape.ratio[0]:
            tall = round(width / shape.ratio[0])
        elif width / height > shape.ratio[1]:
            wide = round(height * shape.ratio[1])
    return [(height - tall) // 2, (width - wide) // 2, tall, wide]


def bilinear(start: torch.Tensor, length: torch.Tensor, size: int) -> torch.Tensor:
    """Weights [B, size, size] that enlarge `length` [B] pixels from `start` [B] to `size`, with half-pixel centres."""
    centres = (torch.arange(size) + 0.5) * (length[:, None] / size) - 0.5
    centres = centres.clamp_min(0).minimum(length[:, None] - 1.0)
    lower = centres.floor()
    share = (centres - lower).float()
    index = (start[:, None] + lower).long()
    above = torch.minimum(index + 1, (start + length - 1)[:, None])
    weights = torch.zeros(len(start), size, size)
    weights.scatter_add_(2, index[..., None], (1 - share)[..., None])
    return weights.scatter_add_(2, above[..., None], share[..., None])


def resample(images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Resample images [B, C, H, W] with weights rows [B, H, H] and columns [B, W, W], one pair per image."""
    rows, columns = rows.to(images), columns.to(images)
    return rows[:, None] @ images @ columns.transpose(1, 2)[:, None]


def crop_and_resize(images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Enlarge each image's box [B, 4] to the whole image, bilinear: [B, C, H, W]."""
    top, left, tall, wide = boxes.unbind(1)
    height, width = images.shape[2:]
    return resample(images, bilinear(top, tall, height), bilinear(left, wide, width))


def row_overlap(first: torch.Tensor, second: torch.Tensor, rows: int) -> torch.Tensor:
    """IoU [B, rows] of the image rows covered by the same patch row of two crops with boxes [B, 4]."""
    step = torch.arange(rows) / rows
    starts, ends = [], []
    for boxes in (first.double(), second.double()):
        starts.append(boxes[:, :1] + boxes[:, 2:3] * step)
        ends.append(starts[-1] + boxes[:, 2:3] / rows)
    common = (torch.minimum(*ends) - torch.maximum(*starts)).clamp_min(0)
    union = (ends[0] - starts[0]) + (ends[1] - starts[1]) - common
    return common / union
