"""Batches with images of all modalities of each person, and visible images that become grey."""

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
    """P identities a batch with K images of each modality, one modality after the other for each identity.

    A batch draws its identities without and the images of each with replacement, and an epoch has a batch more than
    the larger modality fills with its images (official code).
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
            raise ValueError("each identity needs images of each modality")
        self.identities = min(identities, len(self.members))
        self.images = images
        self.generator = generator
        self.most = int(np.bincount(modality).max())

    def __len__(self) -> int:
        """Batches of an epoch."""
        return batches_of(self.most, self.identities, self.images)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Batches as index arrays [P * modalities * K], grouped by identity."""
        for _ in range(len(self)):
            drawn = torch.randperm(len(self.members), generator=self.generator)[: self.identities].tolist()
            yield np.concatenate([self._draw(member) for label in drawn for member in self.members[label]])

    def _draw(self, member: np.ndarray) -> np.ndarray:
        chosen: np.ndarray = member[torch.randint(len(member), (self.images,), generator=self.generator).numpy()]
        return chosen


@dataclass(frozen=True)
class GreyDraws:
    """Which pictures [B] become grey, and what else happens to them."""

    grey: np.ndarray
    rest: Draws

    def part(self, part: slice) -> GreyDraws:
        """Those of some of the pictures."""
        return GreyDraws(self.grey[part], self.rest.part(part))


@dataclass(frozen=True)
class Greyed:
    """An augmentation before which pictures become grey with `probability`, where `may` [M * K] says that they may.

    `may` is for the pictures of one identity in a batch of `ModalitySampler`.
    """

    rest: Augment
    probability: float
    may: Sequence[bool]
    preprocess: Preprocess

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> GreyDraws:
        """All numbers for `count` pictures of `size`."""
        may = np.resize(np.array(self.may), count)
        grey = (torch.rand(count, generator=generator) < self.probability).numpy() & may
        return GreyDraws(grey, self.rest.draw(count, size, generator))

    def apply(self, images: torch.Tensor, drawn: GreyDraws) -> torch.Tensor:
        """Normalised images [B, 3, H, W] to a new batch."""
        mean, std = (channels(values, images) for values in (self.preprocess.mean, self.preprocess.std))
        grey = (luminance(images * std + mean) - mean) / std
        chosen = torch.from_numpy(drawn.grey).to(images.device)[:, None, None, None]
        return self.rest.apply(torch.where(chosen, grey, images), drawn.rest)
