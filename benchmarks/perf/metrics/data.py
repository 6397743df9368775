"""Seeded synthetic features with the size and difficulty of Market-1501 and MSMT17."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LATENT = 48  # directions in which identities differ; real re-identification features have about as many


@dataclass(frozen=True)
class Size:
    """Numbers of images, identities, cameras and dimensions of a benchmark."""

    name: str
    queries: int
    gallery: int
    identities: int
    cameras: int
    dim: int
    distractors: int = 0
    spread: float = 1.0  # strength of the differences between two images of one identity


MARKET = Size("Market-1501", 3_368, 15_913, 750, 6, 2_048, distractors=2_798, spread=1.05)
MSMT17 = Size("MSMT17", 11_659, 82_161, 3_060, 15, 768, spread=1.0)
MARKET_TRAIN = Size("Market-1501 train", 0, 12_936, 751, 6, 2_048, spread=0.8)
MSMT17_TRAIN = Size("MSMT17 train", 0, 32_621, 1_041, 15, 768, spread=0.8)


@dataclass(frozen=True)
class Sample:
    """Features [N, D], float32 of unit length, with pids and camids [N]."""

    features: NDArray[np.float32]
    pids: NDArray[np.int64]
    camids: NDArray[np.int64]

    def take(self, rows: slice) -> Sample:
        """A contiguous part, without a copy."""
        return Sample(self.features[rows], self.pids[rows], self.camids[rows])


def draw(size: Size, seed: int = 0) -> tuple[Sample, Sample]:
    """Queries and gallery of a size; each identity and each distractor has a separate centre."""
    rng = np.random.default_rng(seed)
    n = size.queries + size.gallery
    labelled = n - size.distractors
    pids = 1 + np.concatenate([np.arange(size.identities), rng.integers(size.identities, size=labelled)])[:labelled]
    pids = np.concatenate([rng.permutation(pids), np.zeros(size.distractors, np.int64)])
    order = np.concatenate([np.arange(size.queries), size.queries + rng.permutation(size.gallery)])
    pids, camids = pids[order], rng.integers(size.cameras, size=n)
    centres = rng.standard_normal((size.identities + 1, LATENT))
    basis = rng.standard_normal((LATENT, size.dim)).astype(np.float32) / np.float32(np.sqrt(size.dim))
    features = np.empty((n, size.dim), np.float32)
    for a in range(0, n, 2_048):
        rows = slice(a, min(a + 2_048, n))
        features[rows] = _features(centres, pids[rows], basis, size.spread, rng)
    sample = Sample(features, pids.astype(np.int64), camids.astype(np.int64))
    return sample.take(slice(0, size.queries)), sample.take(slice(size.queries, n))


def _features(
    centres: NDArray[np.float64],
    pids: NDArray[np.int64],
    basis: NDArray[np.float32],
    spread: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    latent = np.where((pids > 0)[:, None], centres[pids], rng.standard_normal((len(pids), LATENT)))
    strength = spread * rng.lognormal(0.0, 0.5, (len(pids), 1))
    latent = latent + strength * rng.standard_normal(latent.shape)
    features = latent.astype(np.float32) @ basis
    noise = rng.standard_normal(features.shape, dtype=np.float32)
    features += np.float32(0.3 * np.sqrt(LATENT / basis.shape[1])) * noise
    return features / np.linalg.norm(features, axis=1, keepdims=True)
