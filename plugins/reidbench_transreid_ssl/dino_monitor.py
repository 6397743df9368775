"""What pre-training has learnt, without a label: finding another view of an image that was never trained on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

from reidbench.training import reestimate_batch_norm, stream

from .dino_networks import Network
from .multicrop import MultiCrop

MOST = 1000  # held-out images: rank 1 among a thousand is known to about 3 points
Fetch = Callable[[np.ndarray], torch.Tensor]


def hold_out(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to learn from and indices that only the monitor sees."""
    order = torch.randperm(count, generator=stream(seed, "held out")).numpy()
    held = min(round(share * count), MOST)
    return np.sort(order[held:]), np.sort(order[:held])


class Monitor:
    """Rank 1 of finding the second whole view of a held-out image, by its first, among those of all of them."""

    def __init__(self, augment: MultiCrop, fetch: Fetch, held_out: np.ndarray, seen: np.ndarray, batch: int) -> None:
        self.augment = augment
        self.fetch = fetch
        self.held_out = held_out
        self.seen = seen[: 10 * batch]
        self.batch = batch

    @torch.no_grad()
    def __call__(self, network: Network, seed: int) -> dict[str, float]:
        """Measured before the last layer (`retrieval`) and on the backbone's vector (`retrieval_backbone`).

        The same views every time, and batch norm fitted to views; {} with fewer than two images. Chance is
        1 / `held_out_images`.
        """
        if len(self.held_out) < 2:
            return {}
        network = copy.deepcopy(network)
        views = stream(seed, "monitor")
        if any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in network.modules()):
            reestimate_batch_norm(network.backbone, self._views(self.seen, views))
        network.eval()
        vectors = [network.backbone(images).vector for images in self._views(self.held_out, stream(seed, "monitored"))]
        firsts, seconds = (torch.cat(parts) for parts in zip(*(rows.chunk(2) for rows in vectors), strict=True))
        return {
            "retrieval": rank_1(network.head.project(firsts), network.head.project(seconds)),
            "retrieval_backbone": rank_1(firsts, seconds),
            "held_out_images": float(len(self.held_out)),
        }

    def _views(self, indices: np.ndarray, generator: torch.Generator) -> Iterator[torch.Tensor]:
        for part in batches(indices, self.batch):
            yield self.augment.whole(self.fetch(part), generator).images


def batches(indices: np.ndarray, size: int) -> Iterable[np.ndarray]:
    """The indices in order, `size` at a time, the last of them fewer."""
    return (indices[start : start + size] for start in range(0, len(indices), size))


def rank_1(queries: torch.Tensor, gallery: torch.Tensor) -> float:
    """The share of queries [N, D] whose most similar gallery row, by cosine, is the one of their own number."""
    nearest = (F.normalize(queries.float(), dim=1) @ F.normalize(gallery.float(), dim=1).t()).argmax(1)
    return float((nearest == torch.arange(len(queries), device=nearest.device)).double().mean())
