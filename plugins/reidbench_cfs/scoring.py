"""One batched pass over a pool with fixed networks; keeps only a few numbers per image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from reidbench import Params, SelectContext
from reidbench.errors import ReidbenchError
from reidbench.training import Backbone, Embedder, Preprocess, image_source

BATCH = 128
CHUNK = 1 << 18  # images between checkpoints; LUPerson has 16 chunks
CONTENT_BYTES = 8  # among 4 million images, two different ones have the same hash with probability 5e-7

Measure = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]


class Extractor:
    """A proxy's backbone in eval mode: the feature before any BNNeck, with the normalisation of its training."""

    def __init__(self, name: str, network: Any, size: tuple[int, int], device: torch.device) -> None:
        """Raises ReidbenchError if `network` has no backbone, or was trained at another size."""
        backbone = network if isinstance(network, Backbone) else getattr(network, "backbone", None)
        if not isinstance(backbone, Backbone):
            raise ReidbenchError(
                f"{name}: {type(network).__name__} has no backbone, so its features cannot be "
                "compared; use another proxy"
            )
        self.backbone = backbone.to(device).eval()
        self.device = device
        self.labelled = isinstance(network, Embedder)
        self.preprocess = (
            network.preprocess if isinstance(network, Embedder) else Preprocess(size, backbone.mean, backbone.std)
        )
        described = getattr(backbone, "spec", {}).get("image_size", size)  # a backbone without embedder stores it there
        trained = self.preprocess.size if self.labelled else described
        if tuple(trained) != tuple(size):
            raise ReidbenchError(f"{name}: trained on images of {tuple(trained)}, but this step uses {tuple(size)}")

    @torch.no_grad()
    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map uint8 [B, H, W, 3] to features [B, D], float32."""
        vector: torch.Tensor = self.backbone(self.preprocess.normalise(pixels).to(self.device)).vector
        return vector.float()

    def pixel_statistics(self) -> dict[str, list[float]]:
        """Mean and standard deviation per channel of the network's input normalisation."""
        return {"mean": list(self.preprocess.mean), "std": list(self.preprocess.std)}


def cosine(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Row-wise cosine [B] of features [B, D], in double precision; 0 where a feature is zero.

    Equal rows give exactly 1, and opposite ones exactly -1, so that an unchanged proxy gives ties.
    """
    a, b = first.double(), second.double()
    squares = (a * a).sum(1) * (b * b).sum(1)
    return torch.where(squares == 0, 0.0, (a * b).sum(1) / squares.sqrt()).clamp(-1, 1)


class Columns:
    """Numbers of every pool image by name, stored in checkpoints; `content` are hashes of the pixels [N]."""

    def __init__(self, count: int, **kinds: Any) -> None:
        self.arrays: dict[str, NDArray[Any]] = {name: np.zeros(count, kind) for name, kind in kinds.items()}
        self.content = np.zeros(count, np.uint64)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the columns as tensors that share their memory."""
        state = {name: torch.from_numpy(array) for name, array in self.arrays.items()}
        return {**state, "content": torch.from_numpy(self.content.view(np.int64))}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the columns from `state_dict`."""
        for name, array in self.arrays.items():
            array[:] = state[name].numpy()
        self.content[:] = state["content"].numpy().view(np.uint64)


def measure_pool(
    ctx: SelectContext[Params], measure: Measure, batch: int = BATCH, chunk: int = CHUNK, **kinds: Any
) -> Columns:
    """Columns of all pool images: `measure(pixels uint8 [B, H, W, 3])` returns one tensor [B] for each of `kinds`.

    The pool is never in memory: images are decoded batch by batch. A killed pass resumes at its last chunk. Raises
    ReidbenchError, naming the image, for a number that is not finite.
    """
    count = len(ctx.pool)
    columns = Columns(count, **kinds)
    fetch = image_source(ctx.pool, ctx.image_size, limit=0, workers=ctx.workers)
    for part in ctx.checkpoint.epochs(-(-count // chunk), columns=columns):
        stop = min((part + 1) * chunk, count)
        for first in range(part * chunk, stop, batch):
            indices = np.arange(first, min(first + batch, stop))
            pixels = fetch(indices)
            columns.content[indices] = [content_hash(picture) for picture in pixels.numpy()]
            for name, values in zip(columns.arrays, measure(pixels), strict=True):
                _check(name, values, indices)
                columns.arrays[name][indices] = values.cpu().numpy()
            ctx.progress(int(indices[-1]) + 1, count)
    return columns


def content_hash(picture: NDArray[np.uint8]) -> int:
    """64-bit hash of an image [H, W, 3]'s pixels, independent of its position in a pool."""
    return int.from_bytes(hashlib.blake2b(picture.tobytes(), digest_size=CONTENT_BYTES).digest(), "big")


def _check(name: str, values: torch.Tensor, indices: NDArray[np.int64]) -> None:
    wrong = torch.nonzero(~torch.isfinite(values))
    if len(wrong):
        raise ReidbenchError(f"{name} of pool image {indices[int(wrong[0])]:07d} is not finite")
