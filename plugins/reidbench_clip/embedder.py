"""The embedder of clip-reid, and the projected vectors that its first stage compares with texts."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from reidbench.training import Backbone, Embedder, Preprocess


class ClipEmbedder(Embedder):
    """The class token after the last norm and its projection, before their necks, joined to unit length."""

    def __init__(self, backbone: Backbone, preprocess: Preprocess | dict[str, Any]) -> None:
        super().__init__(backbone=backbone, preprocess=preprocess)
        self.backbone = backbone

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map normalised images to unit features [B, dim + shared]."""
        backbone: Any = self.backbone
        encoded = backbone.encode(images)
        return F.normalize(torch.cat((encoded.final, encoded.projected), 1).float(), dim=1)


class Projected(Embedder):
    """The projected vector alone, of any length."""

    def __init__(self, backbone: Backbone, preprocess: Preprocess) -> None:
        super().__init__(backbone=backbone, preprocess=preprocess)
        self.backbone = backbone

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map normalised images to vectors [B, shared]."""
        backbone: Any = self.backbone
        found: torch.Tensor = backbone.encode(images).projected
        return found
