"""The identity encoder: the start embedder, which also gives the appearance code that the decoder is driven by."""

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

ROWS = 4  # the map is pooled to this many rows; the decoder's four blocks read a slice each


class IdentityEncoder(nn.Module):
    """images [B, 3, H, W] to (feat [B, 4 C], f [B, D]), both of one pass through the backbone.

    `feat` is the backbone's map [B, C, h, w], averaged to 4 rows and 1 column and flattened channel by channel: it is
    a view of [B, C, 4, 1], so that its quarters are quarters of the channels, not stripes of the body. `f` is the
    embedder's own feature, not normalised. Raises ReidbenchError for an embedder without a single backbone.
    """

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        backbone = getattr(embedder, "backbone", None)
        if not isinstance(backbone, Backbone):
            raise ReidbenchError(f"gcl needs an embedder with one backbone, which {type(embedder).__name__} has not")
        self.embedder = embedder
        self.backbone = backbone

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised images to (feat, f); see the class."""
        with self._maps() as maps:
            f = self.embedder(images)
        if len(maps) != 1:
            name = type(self.embedder).__name__
            raise ReidbenchError(f"gcl needs a feature of one backbone pass, and {name} makes {len(maps)}")
        feat = F.adaptive_avg_pool2d(maps[0], (ROWS, 1)).flatten(1)
        return feat, f

    @contextmanager
    def _maps(self) -> Iterator[list[torch.Tensor]]:
        """The maps that the backbone gives inside the block: any embedder around a backbone is then good enough."""
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
        """(length of feat, length of f), by asking for one blank picture."""
        training = self.embedder.training
        self.eval()
        blank = torch.zeros(1, 3, *size, device=next(self.parameters()).device)
        feat, f = self(blank)
        self.train(training)
        return feat.shape[1], f.shape[1]


def starting_encoder(ctx: AdaptContext[ContrastParams]) -> IdentityEncoder:
    """Around the embedder that the stage before left. Raises ReidbenchError where there is none."""
    if ctx.start is None:
        raise ReidbenchError(
            "gcl goes on from a trained identity encoder: name `finetune:`, or another adapter before it, "
            "like `adapt: [cluster-contrast, gcl]`"
        )
    return IdentityEncoder(ctx.start)
