"""A backbone with non-local blocks, generalised-mean pooling and a BNNeck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from reidbench.training import Backbone, BNNeck, Embedder, GeM, NonLocalStages, Preprocess


class AgwEmbedder(Embedder):
    """Feature after a BNNeck of a backbone with non-local blocks: [B, dim].

    `non_local` is a number of blocks for each stage and `inner` their inner channels (`NonLocalStages`). A step that
    continues from this one gets the backbone without the blocks.
    """

    def __init__(
        self,
        backbone: Backbone,
        preprocess: Preprocess | dict[str, Any],
        non_local: Sequence[int] = (0, 2, 3, 0),
        inner: int | None = 1,
        pool: str = "gem",
    ) -> None:
        words = {"non_local": list(non_local), "inner": inner, "pool": pool}
        super().__init__(backbone=backbone, preprocess=preprocess, **words)
        self.backbone = backbone
        self.attention = NonLocalStages(backbone, non_local, inner)
        self.gem = GeM() if pool == "gem" else None
        self.neck = BNNeck(backbone.dim)

    def before_neck(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images to pooled vectors [B, dim], which triplet and centre loss compare."""
        maps = self.attention(self.backbone, images)
        vectors: torch.Tensor = maps.mean((2, 3)) if self.gem is None else self.gem(maps)
        return vectors

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map normalised images to features [B, dim], which are compared by cosine distance."""
        return self.neck(self.before_neck(images))  # type: ignore[no-any-return]
