"""Samplers: select the images of each batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch

from .counts import once_batches, shuffled_batches


class ShuffledSampler:
    """Batches of `size` indices below `count`, each index at most once per pass; the remainder is dropped.

    If `count` is smaller than `size`, one batch has all indices.
    """

    def __init__(self, count: int, size: int, generator: torch.Generator) -> None:
        self.count = count
        self.size = max(1, min(size, count))
        self.generator = generator

    def __len__(self) -> int:
        """Number of batches per pass."""
        return shuffled_batches(self.count, self.size)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield one pass, in a new order: index arrays [size]."""
        order = torch.randperm(self.count, generator=self.generator).numpy()
        yield from order[: len(self) * self.size].reshape(-1, self.size)


class Endless:
    """Repeats a sampler for `batches` batches; each new iteration (an epoch) starts a new pass.

    A checkpoint therefore need not store the position within a pass. Without `batches` it is endless.
    """

    def __init__(self, sampler: Iterable[np.ndarray], batches: int | None = None) -> None:
        self.sampler = sampler
        self.batches = batches

    @property
    def generator(self) -> torch.Generator | None:
        """The generator of the sampler, if it exposes one."""
        return getattr(self.sampler, "generator", None)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield index arrays [B]. Raises ValueError if a pass has no batch, which would loop for ever."""
        return islice(self._passes(), self.batches)

    def _passes(self) -> Iterator[np.ndarray]:
        while True:
            batch = None
            for batch in self.sampler:
                yield batch
            if batch is None:
                raise ValueError("a sampler without batches cannot be repeated")


class OnceSampler:
    """P identities x K images per batch; an epoch has each identity once, in a new order, with K of its images.

    An identity with fewer than K images is drawn from K copies of each. A last batch of fewer than P identities is
    dropped if it has fewer than `least` (`least` = P drops every such batch).
    """

    def __init__(
        self, labels: np.ndarray, identities: int, images: int, generator: torch.Generator, *, least: int = 2
    ) -> None:
        self.members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        if len(self.members) < 2:
            raise ValueError(
                f"batches of identities require at least two identities, the data have {len(self.members)}"
            )
        self.identities = min(identities, len(self.members))
        self.images = images
        self.generator = generator
        self.least = min(least, self.identities)

    def __len__(self) -> int:
        """Number of batches per pass."""
        return once_batches(len(self.members), self.identities, self.least)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield batches as index arrays [P * K], grouped by identity; the last one may be shorter."""
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
    """P identities x K images per batch; an epoch continues until fewer than P identities have K images left.

    The sampler of the BoT code: each identity's images are shuffled and cut into groups of K (an identity with fewer
    than K images is drawn with replacement), and each batch takes one group of P random identities. A sampler that
    draws each identity once per epoch has about a fourth of the steps, and is a common cause of irreproducible results.
    """

    def __init__(self, labels: np.ndarray, identities: int, images: int, generator: torch.Generator) -> None:
        self.labels = np.asarray(labels)
        classes = len(np.unique(self.labels))
        if classes < 2:
            raise ValueError(f"batches of identities require at least two identities, the data have {classes}")
        self.identities = min(identities, classes)
        self.images = images
        self.generator = generator
        self.members = [np.flatnonzero(self.labels == label) for label in np.unique(self.labels)]

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield batches as index arrays [P * K], grouped by identity."""
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
    """Batches of exactly `size` indices, filled class by class: each class once per pass, in a new order.

    The sampler of SpCL and Cluster Contrast: a class contributes one image and K - 1 others, with replacement if there
    are fewer than K others; a class of one image contributes that image, and leaves space for more classes. With
    `cameras` [N] the others come from cameras other than the first one's, if the class has any. The remainder of a pass
    after its last full batch is dropped; a pass that is shorter than a batch is extended by further passes.
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
        """Yield the batches [size] of a pass; none if there are no images."""
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
