"""Label-free monitor of pre-training: retrieval of another view of an image held out from training."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch

from reidbench.training import reestimate_batch_norm, stream
from reidbench.training.contrastive.heldout import retrieval
from reidbench.training.contrastive.pool import Pool
from reidbench.training.devices import this_share
from reidbench.training.networks.splitnorm import part_batch_norm

from .dino_networks import Network
from .multicrop import MultiCrop


class Monitor:
    """Rank 1 of retrieving the second whole view of a held-out image by its first, among the second views of all."""

    def __init__(self, augment: MultiCrop, pool: Pool) -> None:
        self.augment = augment
        self.pool = pool

    @torch.no_grad()
    def __call__(self, network: Network, seed: int) -> dict[str, float]:
        """Measure before the last layer and on the backbone's vector; see `retrieval`.

        Uses the same views every time, with batch norm fitted to them; returns {} with fewer than two images. On
        several devices the first one measures for all.
        """
        held_out = self.pool.held_out
        if len(held_out) < 2 or this_share().rank > 0:
            return {}
        network = part_batch_norm(copy.deepcopy(network))
        views = stream(seed, "monitor")
        if any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in network.modules()):
            reestimate_batch_norm(network.backbone, self._views(self.pool.seen[: 10 * self.pool.batch], views))
        network.eval()
        vectors = [network.backbone(images).vector for images in self._views(held_out, stream(seed, "monitored"))]
        firsts, seconds = (torch.cat(parts) for parts in zip(*(rows.chunk(2) for rows in vectors), strict=True))
        return retrieval(firsts, seconds, network.head.project)

    def _views(self, indices: np.ndarray, generator: torch.Generator) -> Iterator[torch.Tensor]:
        for images, originals in self.pool.plain(indices):
            yield self.augment.whole(images, generator, originals=originals).images
