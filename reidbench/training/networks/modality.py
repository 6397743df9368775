"""Embedders that depend on the modality of images, such as visible and infrared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown

from .embedder import Embedder


def modality_numbers(
    embedder: Embedder, words: Sequence[str] | None, where: str = "images", cure: str = ""
) -> np.ndarray | None:
    """Index [N] of each image's word in `embedder.modalities`; None for an embedder that takes no modality.

    `where` names the images in errors, and `cure` is the fix if they have no modality. Raises ReidbenchError if `words`
    is None, and for a word that the embedder does not support.
    """
    known = embedder.modalities
    if not known:
        return None
    takes = f"{type(embedder).__name__} takes each image's modality ({' or '.join(known)})"
    if words is None:
        raise ReidbenchError(f"{takes}, and the {where} have none{cure and f': {cure}'}")
    places = {word: place for place, word in enumerate(known)}
    numbers = np.array([places.get(word, -1) for word in words], dtype=np.int64)
    strange = np.flatnonzero(numbers < 0)
    if len(strange):
        word = words[strange[0]]
        of_first = f"the first is {shown(word)}" if word else "that of the first is unknown"
        raise ReidbenchError(f"{takes}, and {len(strange)} of {len(words)} {where} have another: {of_first}")
    return numbers


class OneModality(Embedder):
    """Wraps an embedder with modalities for images that all have one modality, so that it takes images only.

    Raises ReidbenchError for a modality that the embedder does not support.
    """

    def __init__(self, embedder: Embedder, modality: str) -> None:
        super().__init__(preprocess=embedder.preprocess)
        numbers = modality_numbers(embedder, [modality])
        if numbers is None:
            raise ReidbenchError(f"{type(embedder).__name__} takes no modality, but {shown(modality)} is given")
        self.embedder = embedder
        self.number = int(numbers[0])

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Normalised images [B, 3, H, W] to features [B, D]."""
        return self.embedder(images, camids, self.number)  # type: ignore[no-any-return]
