"""Images of a split as batches, for a training step and for an embedder."""

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

    With workers, the next batch is drawn and made while one is used, on `device` where that is no CPU (see `Feed`):
    the step must not draw from `generator` or from the sampler's, or `ahead` is False. On several devices each gets
    its share of every index array, augmented as one device would augment it.
    An `augment` without `draw` and `apply` is called in the step, with the whole batch on the CPU.
    `fast` takes the way of `reidbench.training.batches.fast`, with numbers of its own: say it in the key of what you
    train.
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
    """Features [N, D] float32 of all images, in eval mode. The embedder is left in the mode it was in.

    Pictures are resized by the embedder's filter for tests. With `flip` a feature is the mean of those of the image and
    of its mirror image, as they are and not of unit length: a cosine distance normalises the mean, a Euclidean one
    takes it as it is. `fast` reads pictures with the extra `fast`: features then differ in their last digits.

    An embedder with `modalities` is also given the place of each image's word, which `images.modality` has, as that of
    a Split. Raises ReidbenchError where images have none or a word that it does not know.
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
