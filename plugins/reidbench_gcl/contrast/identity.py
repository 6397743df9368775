"""The identity encoder: the start's embedder, which also provides the appearance code for the decoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

from reidbench import AdaptContext
from reidbench.errors import ReidbenchError
from reidbench.training import Backbone, Embedder, Features

from ..params import ContrastParams

ROWS = 4  # number of rows that the map is pooled to; each of the decoder's four blocks reads one slice


class IdentityEncoder(nn.Module):
    """Map images [B, 3, H, W] to (feat [B, 4 C], f [B, D]) in one pass through the backbone.

    `feat` is the backbone's map [B, C, h, w], averaged to 4 rows and 1 column and flattened channel by channel: it is a
    view of [B, C, 4, 1], so that its quarters are quarters of the channels, not stripes of the body. `f` is the
    embedder's own feature, not normalised. Raises ReidbenchError for an embedder without a single backbone.
    """

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        backbone = getattr(embedder, "backbone", None)
        if not isinstance(backbone, Backbone):
            raise ReidbenchError(f"gcl needs an embedder with one backbone; {type(embedder).__name__} has none")
        self.embedder = embedder
        self.backbone = backbone

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map normalised images to (feat, f); see the class."""
        with self._maps() as maps:
            f = self.embedder(images)
        if len(maps) != 1:
            name = type(self.embedder).__name__
            raise ReidbenchError(f"gcl needs a feature from one backbone pass, but {name} makes {len(maps)} passes")
        feat = F.adaptive_avg_pool2d(maps[0], (ROWS, 1)).flatten(1)
        return feat, f

    @contextmanager
    def _maps(self) -> Iterator[list[torch.Tensor]]:
        """Collect the backbone's maps within the block, so that any embedder around a backbone works."""
        maps: list[torch.Tensor] = []

        def keep(module: nn.Module, given: tuple[torch.Tensor, ...], found: Features) -> None:
            maps.append(found.map)

        handle = self.backbone.register_forward_hook(keep)
        try:
            yield maps
        finally:
            handle.remove()

    @torch.no_grad()
    def widths(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (length of feat, length of f), measured with one black image."""
        training = self.embedder.training
        self.eval()
        blank = torch.zeros(1, 3, *size, device=next(self.parameters()).device)
        feat, f = self(blank)
        self.train(training)
        return feat.shape[1], f.shape[1]


def starting_encoder(ctx: AdaptContext[ContrastParams]) -> IdentityEncoder:
    """Return an encoder around the previous stage's embedder. Raises ReidbenchError if there is none."""
    if ctx.start is None:
        raise ReidbenchError(
            "gcl needs a trained identity encoder: set `finetune:`, or another adapter before it, as in `adapt: "
            "[cluster-contrast, gcl]`"
        )
    return IdentityEncoder(ctx.start)
