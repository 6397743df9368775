"""Batches with images of all modalities of each person, and random greying of visible images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from reidbench.training import Augment, Preprocess
from reidbench.training.batches.augment import Draws, channels
from reidbench.training.batches.colour import luminance

from .workload import batches_of


class ModalitySampler:
    """Samples P identities per batch with K images of each modality, ordered by identity, then modality.

    A batch draws identities without replacement and the images of each with replacement. An epoch has one batch more
    than the larger modality fills with its images (official code).
    """

    def __init__(
        self, labels: np.ndarray, modality: np.ndarray, identities: int, images: int, generator: torch.Generator
    ) -> None:
        numbers = np.unique(modality)
        self.members = [
            [np.flatnonzero((labels == label) & (modality == number)) for number in numbers]
            for label in np.unique(labels)
        ]
        if not all(len(member) for members in self.members for member in members):
            raise ValueError("each identity needs images of every modality; exclude identities that lack one")
        self.identities = min(identities, len(self.members))
        self.images = images
        self.generator = generator
        self.most = int(np.bincount(modality).max())

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return batches_of(self.most, self.identities, self.images)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield batches as index arrays [P * modalities * K], grouped by identity."""
        for _ in range(len(self)):
            drawn = torch.randperm(len(self.members), generator=self.generator)[: self.identities].tolist()
            yield np.concatenate([self._draw(member) for label in drawn for member in self.members[label]])

    def _draw(self, member: np.ndarray) -> np.ndarray:
        chosen: np.ndarray = member[torch.randint(len(member), (self.images,), generator=self.generator).numpy()]
        return chosen


@dataclass(frozen=True)
class GreyDraws:
    """Selection of images [B] that become grey, and the draws of the other augmentations."""

    grey: np.ndarray
    rest: Draws

    def part(self, part: slice) -> GreyDraws:
        """Return the draws of some of the images."""
        return GreyDraws(self.grey[part], self.rest.part(part))


@dataclass(frozen=True)
class Greyed:
    """Turns images grey with `probability` before another augmentation, where `may` [M * K] allows it.

    `may` covers the images of one identity in a batch of `ModalitySampler`.
    """

    rest: Augment
    probability: float
    may: Sequence[bool]
    preprocess: Preprocess

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> GreyDraws:
        """Draw all numbers for `count` images of `size`."""
        may = np.resize(np.array(self.may), count)
        grey = (torch.rand(count, generator=generator) < self.probability).numpy() & may
        return GreyDraws(grey, self.rest.draw(count, size, generator))

    def apply(self, images: torch.Tensor, drawn: GreyDraws) -> torch.Tensor:
        """Augment normalised images [B, 3, H, W]; returns a new batch."""
        mean, std = (channels(values, images) for values in (self.preprocess.mean, self.preprocess.std))
        grey = (luminance(images * std + mean) - mean) / std
        chosen = torch.from_numpy(drawn.grey).to(images.device)[:, None, None, None]
        return self.rest.apply(torch.where(chosen, grey, images), drawn.rest)
