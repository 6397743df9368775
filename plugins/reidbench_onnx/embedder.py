"""Embedder that stores an ONNX file's bytes, so that an artifact is complete without the file."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from reidbench.errors import ReidbenchError
from reidbench.training import Embedder, Preprocess

from .network import session_of


class OnnxEmbedder(Embedder):
    """Features of an ONNX network, computed on the CPU with one thread, independent of the images' device.

    `content` is the file, or the number of its bytes if they are loaded later. A network with a fixed batch size gets
    batches of that size, the last one padded with black images.
    """

    content: torch.Tensor

    def __init__(self, preprocess: Preprocess | dict[str, Any], content: bytes | int) -> None:
        size = content if isinstance(content, int) else len(content)
        super().__init__(preprocess=preprocess, content=size)
        values = torch.zeros(size, dtype=torch.uint8)
        if isinstance(content, bytes):
            values = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        self.register_buffer("content", values)

    @cached_property
    def session(self) -> Any:
        """onnxruntime's session, created for the first image."""
        return session_of(self.content.cpu().numpy().tobytes(), "the ONNX network")

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map normalised images [B, 3, H, W] to features [B, D]. Raises ReidbenchError for another output shape."""
        (taken,) = (one for one in self.session.get_inputs())
        batch = taken.shape[0] if isinstance(taken.shape[0], int) else len(images)
        pixels = images.detach().float().cpu().contiguous()
        parts = [self._features(taken.name, part, batch) for part in torch.split(pixels, batch)]
        return torch.from_numpy(np.concatenate(parts)).to(images.device)

    def _features(self, name: str, images: torch.Tensor, batch: int) -> np.ndarray:
        filled = F.pad(images, (0, 0, 0, 0, 0, 0, 0, batch - len(images)))
        (features,) = self.session.run(None, {name: filled.numpy()})
        if features.ndim != 2 or len(features) != batch:
            raise ReidbenchError(
                f"the ONNX network returns {list(features.shape)} for {batch} images; features [batch, D] are needed"
            )
        found: np.ndarray = features[: len(images)]
        return found
