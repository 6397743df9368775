"""TransReID's embedder: a backbone, its BNNeck, and optional camera vectors (SIE) and local branches (JPM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.training import Backbone, BNNeck, Embedder, Preprocess

from .jpm import JigsawBranch

CAMERA_STD = 0.02


class CameraShift(nn.Module):
    """One learned vector [D] for each camera of the source, times a coefficient (He et al., TransReID, ICCV 2021).

    `numbers` are the source's camids. Any other camid, including unknown (-1), gets the mean of the vectors, the
    network's expectation without information on the camera; with `mean_only` so does every image in evaluation.
    """

    numbers: torch.Tensor

    def __init__(self, numbers: Sequence[int], dim: int, coefficient: float, mean_only: bool) -> None:
        super().__init__()
        self.register_buffer("numbers", torch.tensor(sorted(numbers)), persistent=False)
        self.vectors = nn.Parameter(nn.init.trunc_normal_(torch.empty(len(numbers), dim), std=CAMERA_STD))
        self.coefficient = coefficient
        self.mean_only = mean_only

    def forward(self, camids: torch.Tensor | None, count: int) -> torch.Tensor:
        """Map camids [B], or None for B = `count` images of unknown cameras, to the vectors added to tokens [B, D]."""
        mean = self.vectors.mean(0, keepdim=True).expand(count, -1)
        if camids is None or (self.mean_only and not self.training):
            return self.coefficient * mean
        found = camids[:, None] == self.numbers[None]
        own = self.vectors[found.int().argmax(1)]
        return self.coefficient * torch.where(found.any(1, keepdim=True), own, mean)


class TransReidEmbedder(Embedder):
    """The backbone's vector, or with `jpm_groups` > 0 it and those of the local branches, scaled by 1 / groups.

    `feature` selects the vector before or after the BNNeck; it has unit length. `cameras` are the source's camids for
    SIE, empty without. Raises ReidbenchError for SIE or JPM on a backbone without tokens.
    """

    def __init__(
        self,
        backbone: Backbone,
        preprocess: Preprocess | dict[str, Any],
        feature: str = "before",
        jpm_groups: int = 0,
        jpm_shift: int = 5,
        jpm_shuffle: int = 4,
        cameras: Sequence[int] = (),
        camera_coefficient: float = 3.0,
        camera_at_test: str = "own",
    ) -> None:
        super().__init__(
            backbone=backbone,
            preprocess=preprocess,
            feature=feature,
            jpm_groups=jpm_groups,
            jpm_shift=jpm_shift,
            jpm_shuffle=jpm_shuffle,
            cameras=[int(camera) for camera in cameras],
            camera_coefficient=camera_coefficient,
            camera_at_test=camera_at_test,
        )
        self.backbone = backbone
        self.feature = feature
        self.cameras: CameraShift | None = None
        self.local: JigsawBranch | None = None
        if cameras:
            _need_tokens(backbone, "camera embeddings (SIE)")
            self.cameras = CameraShift(cameras, backbone.dim, camera_coefficient, camera_at_test == "mean")
        if jpm_groups:
            _need_tokens(backbone, "jpm")
            network: Any = backbone  # its attributes in addition to a backbone's, with tokens
            self.local = JigsawBranch(network.blocks[-1], network.norm, jpm_shift, jpm_groups, jpm_shuffle)
        self.necks = nn.ModuleList(BNNeck(backbone.dim) for _ in range(1 + jpm_groups))

    def vectors(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> list[torch.Tensor]:
        """Return vectors [B, D] before their necks: the global one, then those of the local branches."""
        backbone: Any = self.backbone
        more = () if self.cameras is None else (self.cameras(camids, len(images)),)
        if self.local is None:
            return [backbone(images, *more).vector]
        tokens = backbone.tokens(images, *more)
        for block in backbone.blocks[:-1]:
            tokens = block(tokens)
        whole = backbone.norm(backbone.blocks[-1](tokens))[:, 0]
        return [whole, *self.local(tokens)]

    def after_necks(self, vectors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Apply each vector's BNNeck [B, D]."""
        return [neck(vector) for neck, vector in zip(self.necks, vectors, strict=True)]

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map normalised images, and camids for SIE, to unit features [B, (1 + groups) D]."""
        vectors = self.vectors(images, camids)
        whole, *parts = self.after_necks(vectors) if self.feature == "after" else vectors
        return F.normalize(torch.cat([whole, *(part / len(parts) for part in parts)], 1).float(), dim=1)


def _need_tokens(backbone: Backbone, what: str) -> None:
    if not hasattr(backbone, "tokens"):
        raise ReidbenchError(
            f"{what} needs a backbone with tokens, such as vit-tiny; {type(backbone).__name__} has none"
        )
