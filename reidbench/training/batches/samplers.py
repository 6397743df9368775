"""Which images make a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch

from .counts import once_batches, shuffled_batches


class ShuffledSampler:
    """Batches of `size` indices below `count`, each index at most once in a pass; what is left of a pass is not used.

    Of fewer than `size` one batch has all.
    """

    def __init__(self, count: int, size: int, generator: torch.Generator) -> None:
        self.count = count
        self.size = max(1, min(size, count))
        self.generator = generator

    def __len__(self) -> int:
        """Batches of a pass."""
        return shuffled_batches(self.count, self.size)

    def __iter__(self) -> Iterator[np.ndarray]:
        """One pass, in a new order: index arrays [size]."""
        order = torch.randperm(self.count, generator=self.generator).numpy()
        yield from order[: len(self) * self.size].reshape(-1, self.size)


class Endless:
    """Pass after pass of a sampler, `batches` in all; each new iteration, as in each epoch, begins a new pass.

    So where an epoch was in its pass need not be in the checkpoint. Without `batches` it does not end.
    """

    def __init__(self, sampler: Iterable[np.ndarray], batches: int | None = None) -> None:
        self.sampler = sampler
        self.batches = batches

    @property
    def generator(self) -> torch.Generator | None:
        """What the sampler draws from, where it says so."""
        return getattr(self.sampler, "generator", None)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Index arrays [B]. Raises ValueError when a pass has no batch, which would go on for ever."""
        return islice(self._passes(), self.batches)

    def _passes(self) -> Iterator[np.ndarray]:
        while True:
            batch = None
            for batch in self.sampler:
                yield batch
            if batch is None:
                raise ValueError("a sampler without a batch cannot be repeated")


class OnceSampler:
    """P identities x K images a batch; an epoch has each identity once, in a new order, with K of its images.

    An identity with fewer than K images is drawn from K copies of each. A last batch of fewer than P identities is left
    out where it has fewer than `least` (P itself leaves out every such batch).
    """

    def __init__(
        self, labels: np.ndarray, identities: int, images: int, generator: torch.Generator, *, least: int = 2
    ) -> None:
        self.members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        if len(self.members) < 2:
            raise ValueError(f"batches of identities need two or more identities, the data have {len(self.members)}")
        self.identities = min(identities, len(self.members))
        self.images = images
        self.generator = generator
        self.least = min(least, self.identities)

    def __len__(self) -> int:
        """Batches of a pass."""
        return once_batches(len(self.members), self.identities, self.least)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Batches as index arrays [P * K], the last one perhaps shorter, grouped by identity."""
        order = torch.randperm(len(self.members), generator=self.generator).tolist()
        for start in range(0, len(self) * self.identities, self.identities):
            batch = order[start : start + self.identities]
            yield np.concatenate([self._draw(self.members[identity]) for identity in batch])

    def _draw(self, member: np.ndarray) -> np.ndarray:
        copies = 1 if len(member) >= self.images else self.images
        drawn = torch.randperm(copies * len(member), generator=self.generator)[: self.images]
        chosen: np.ndarray = member[drawn.numpy() % len(member)]
        return chosen


class IdentitySampler:
    """P identities x K images a batch; an epoch goes on until fewer than P identities have K images left.

    The sampler of the BoT code: each identity's images are shuffled and cut into groups of K (an identity with
    fewer than K images is drawn with replacement), and each batch takes one group of P random identities. A
    sampler that draws each identity once per epoch has about a fourth of the steps, and is a common reason for
    results that cannot be reproduced.
    """

    def __init__(self, labels: np.ndarray, identities: int, images: int, generator: torch.Generator) -> None:
        self.labels = np.asarray(labels)
        classes = len(np.unique(self.labels))
        if classes < 2:
            raise ValueError(f"batches of identities need two or more identities, the data have {classes}")
        self.identities = min(identities, classes)
        self.images = images
        self.generator = generator
        self.members = [np.flatnonzero(self.labels == label) for label in np.unique(self.labels)]

    def __iter__(self) -> Iterator[np.ndarray]:
        """Batches as index arrays [P * K], grouped by identity."""
        groups = [self._groups(member) for member in self.members]
        available = list(range(len(groups)))
        while len(available) >= self.identities:
            drawn = torch.randperm(len(available), generator=self.generator)[: self.identities].tolist()
            chosen = [available[index] for index in drawn]
            yield np.concatenate([groups[index].pop() for index in chosen])
            available = [index for index in available if groups[index]]

    def _groups(self, member: np.ndarray) -> list[np.ndarray]:
        if len(member) < self.images:
            drawn = torch.randint(len(member), (self.images,), generator=self.generator)
            return [member[drawn.numpy()]]
        order = torch.randperm(len(member), generator=self.generator).numpy()
        count = len(member) // self.images
        return list(member[order[: count * self.images]].reshape(count, self.images))


class ClassSampler:
    """Batches of exactly `size` indices, filled class by class: each class once in a pass, in a new order.

    The sampler of SpCL and Cluster Contrast: of a class come one image and K - 1 others, with replacement where there
    are fewer than K others; a class of one image comes as that image, and makes room for more classes. With `cameras`
    [N] the others are of other cameras than the first, where the class has any. What is left of a pass after its last
    full batch is not used; a pass that is shorter than a batch is continued by further ones.
    """

    def __init__(
        self,
        labels: np.ndarray,
        size: int,
        images: int,
        generator: torch.Generator,
        cameras: np.ndarray | None = None,
    ) -> None:
        labels = np.asarray(labels)
        order = np.argsort(labels, kind="stable")
        firsts = np.flatnonzero(np.diff(labels[order])) + 1
        self.members = np.split(order, firsts) if len(order) else []
        self.size = size
        self.images = images
        self.generator = generator
        self.cameras = cameras

    def __iter__(self) -> Iterator[np.ndarray]:
        """The batches [size] of a pass; none where there are no images."""
        chosen = self._pass()
        while 0 < len(chosen) < self.size:
            chosen = np.concatenate([chosen, self._pass()])
        full = len(chosen) // self.size * self.size
        yield from chosen[:full].reshape(-1, self.size)

    def _pass(self) -> np.ndarray:
        order = torch.randperm(len(self.members), generator=self.generator).tolist()
        return np.concatenate([np.zeros(0, np.int64), *(self._drawn(self.members[index]) for index in order)])

    def _drawn(self, member: np.ndarray) -> np.ndarray:
        if len(member) == 1:
            return member
        first = int(torch.randint(len(member), (), generator=self.generator))
        others = self._others(member, first)
        if len(others) < self.images:
            rest = torch.randint(len(others), (self.images - 1,), generator=self.generator)
        else:
            rest = torch.randperm(len(others), generator=self.generator)[: self.images - 1]
        return np.concatenate([member[first : first + 1], others[rest.numpy()]])

    def _others(self, member: np.ndarray, first: int) -> np.ndarray:
        if self.cameras is not None:
            elsewhere: np.ndarray = member[self.cameras[member] != self.cameras[member[first]]]
            if len(elsewhere):
                return elsewhere
        return np.delete(member, first)
