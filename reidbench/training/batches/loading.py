"""Batches of a split's images, for training steps and for embedders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

from reidbench.data.pictures.images import HasImages
from reidbench.training.devices import WHOLE, this_share
from reidbench.training.networks.embedder import Embedder, Preprocess
from reidbench.training.networks.modality import modality_numbers

from .augment import Augmentation
from .feed import Feed, Plan
from .reading import read_ahead

Plain = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


class Batches:
    """Normalised, augmented batches: (images [B, 3, H, W], indices [B]) for each index array of `sampler`.

    With workers, the next batch is drawn and computed while one is used, on `device` unless that is a CPU (see `Feed`):
    the step must not draw from `generator` or from the sampler's generator, or `ahead` must be False. On several
    devices each gets its share of every index array, augmented as on one device. An `augment` without `draw` and
    `apply` is called in the step, with the whole batch on the CPU. `fast` uses `reidbench.training.batches.fast`, which
    gives different values: include it in the key of the stage.
    """

    def __init__(
        self,
        images: HasImages,
        preprocess: Preprocess,
        sampler: Iterable[np.ndarray],
        augment: Augmentation | Plain | None = None,
        generator: torch.Generator | None = None,
        workers: int = 0,
        fast: bool = False,
        *,
        device: str | torch.device = "cpu",
        ahead: bool = True,
    ) -> None:
        apart: Augmentation | None = None
        self.plain: Plain | None = None
        if isinstance(augment, Augmentation):
            apart = augment
        elif augment is not None:
            self.plain, device = augment, "cpu"
        self.feed = Feed(images, preprocess, apart, workers=workers, fast=fast, device=device)
        self.sampler = sampler
        self.generator = generator if generator is not None else torch.Generator()
        self.ahead = ahead and self.plain is None

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if self.plain is not None:
            yield from self._called_in_the_step(self.plain)
            return
        for images, indices in self.feed.batches(self.sampler, self.generator, this_share(), ahead=self.ahead):
            yield images, torch.as_tensor(indices)

    def _called_in_the_step(self, augment: Plain) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        share = this_share()
        for images, indices in self.feed.batches(self.sampler, self.generator, WHOLE, ahead=False):
            own = share.part(len(indices))
            yield augment(images, self.generator)[own], torch.as_tensor(indices[own])


@torch.no_grad()
def embed(
    embedder: Embedder,
    images: HasImages,
    camids: np.ndarray,
    *,
    device: str | torch.device = "cpu",
    batch: int = 128,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    fast: bool = False,
    flip: bool = False,
) -> np.ndarray:
    """Features [N, D] float32 of all images, in eval mode. The embedder's mode is restored.

    Images are resized by the embedder's test filter. With `flip` a feature is the mean of those of the image and its
    mirror image, unnormalised: a cosine distance normalises the mean, a Euclidean one does not. `fast` reads images
    with the extra `fast`: features then differ in their last digits.

    An embedder with `modalities` also receives the index of each image's modality, from `images.modality` (as of a
    Split). Raises ReidbenchError if images have none or an unknown one.
    """
    numbers = modality_numbers(embedder, getattr(images, "modality", None))
    training, device = embedder.training, torch.device(device)
    embedder.eval().to(device)
    feed = Feed(images, embedder.preprocess.at_test(), limit=0, workers=workers, fast=fast, device=device)
    columns: list[Any] = [torch.as_tensor(column) for column in (camids, numbers) if column is not None]
    rows = []
    parts = [np.arange(start, min(start + batch, len(images))) for start in range(0, len(images), batch)]
    for indices, pictures in zip(parts, read_ahead(feed.make, map(Plan, parts), workers), strict=True):
        of_batch = [column[indices].to(device) for column in columns]
        features = embedder(pictures, *of_batch).float()
        if flip:
            features = (features + embedder(pictures.flip(3), *of_batch).float()) / 2
        rows.append(features.cpu())
        progress(int(indices[-1]) + 1, len(images))
    embedder.train(training)
    return torch.cat(rows).numpy()
