"""Embedders: the result of a method, images to features, rebuilt from a spec and safetensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from reidbench.data.pictures.size import Filter, ImageSize
from reidbench.errors import ReidbenchError

from .backbone import Backbone, Features
from .pooling import pooling

if TYPE_CHECKING:
    from reidbench.contexts import EmbedContext


@dataclass(frozen=True)
class Preprocess:
    """Preprocessing of pixels: size (height, width), then (value / 255 - mean) / std per channel.

    `resize` is the filter for training images, `resize_test` for embedded images; each defaults to that of the size
    (`ctx.image_size` has the matrix file's), and then to bilinear.
    """

    size: Sequence[int]
    mean: Sequence[float] = Backbone.mean
    std: Sequence[float] = Backbone.std
    resize: Filter | None = None
    resize_test: Filter | None = None

    def __post_init__(self) -> None:
        given = ImageSize.given(self.size)
        object.__setattr__(self, "resize_test", self.resize_test or self.resize or given.resize_test)
        object.__setattr__(self, "resize", self.resize or given.resize)
        for name in ("size", "mean", "std"):  # lists when read from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def pictures(self) -> ImageSize:
        """The size with the training filter."""
        return ImageSize(self.size, self.resize or "bilinear", self.resize_test)

    def at_test(self) -> Preprocess:
        """The same preprocessing for embedded images."""
        return replace(self, resize=self.resize_test)

    def described(self) -> dict[str, Any]:
        """JSON values that rebuild it; filters only if they are not bilinear."""
        return {"size": self.size, "mean": self.mean, "std": self.std, **self.pictures.said}

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [B, H, W, 3] on any device to float [B, 3, H, W]."""
        images = pixels.permute(0, 3, 1, 2).float().div_(255)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1).to(images) for values in (self.mean, self.std))
        return images.sub_(mean).div_(std)


class Embedder(nn.Module):
    """Base of embedders: `forward(images [B, 3, H, W], camids [B] or None) -> features [B, D]`.

    A subclass passes to `super().__init__` the JSON values (and backbones) of its constructor, by the same names,
    including `preprocess`; they are kept as `spec` and rebuild it. The class must be importable from a registered
    plugin.

    An embedder that depends on modality lists the supported words in `modalities`. Its `forward` takes a third
    argument: the index of each image's modality in that list [B], or one number for all. The component that returns it
    must declare `protocol={"modality"}`, otherwise stages do not pass modalities.
    """

    modalities: tuple[str, ...] = ()

    def __init__(self, *, preprocess: Preprocess | dict[str, Any], **spec: Any) -> None:
        super().__init__()
        self.preprocess = preprocess if isinstance(preprocess, Preprocess) else Preprocess(**preprocess)
        self.spec: dict[str, Any] = {"preprocess": self.preprocess.described()}
        for key, value in spec.items():
            self.spec[key] = {"backbone": value.spec} if isinstance(value, Backbone) else value

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Normalised images to features [B, D]; the evaluator chooses the distance."""
        raise NotImplementedError


class SplitEmbedder(Embedder):
    """Base of embedders that take all images at once, as files, instead of batches of pixels."""

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Raises ReidbenchError, since the embedder has no network."""
        raise ReidbenchError(f"{type(self).__name__} embeds whole sets of images and has no network for single images")

    def embed_split(self, ctx: EmbedContext[Any]) -> np.ndarray:
        """Features [N, D] of `ctx.images` in their order. The evaluator chooses the distance."""
        raise NotImplementedError


class BNNeck(nn.Module):
    """Batch norm between the triplet's and the classifier's feature, with a bias fixed at 0 (Luo et al., BoT, 2019)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)
        self.norm.bias.requires_grad_(False)

    def forward(self, vector: torch.Tensor) -> torch.Tensor:
        """[B, D] to [B, D]."""
        return self.norm(vector)  # type: ignore[no-any-return]


class BackboneEmbedder(Embedder):
    """A backbone's pooled vector, with `neck` after a BNNeck. Used by most methods.

    `pool` is "backbone", or "gem" or "gem-fixed" for the generalised mean of its map (`pooling.py`).
    """

    def __init__(
        self,
        backbone: Backbone,
        preprocess: Preprocess | dict[str, Any],
        neck: bool = False,
        pool: str = "backbone",
    ) -> None:
        # The default is not in the spec, since a plugin's subclass may lack the argument.
        own = {} if pool == "backbone" else {"pool": pool}
        super().__init__(backbone=backbone, preprocess=preprocess, neck=neck, **own)
        self.backbone = backbone
        self.pool = pooling(pool)
        self.neck: nn.Module = BNNeck(backbone.dim) if neck else nn.Identity()

    @property
    def pool_name(self) -> str:
        """The value of `pool`."""
        return str(self.spec.get("pool", "backbone"))

    def pooled(self, features: Features) -> torch.Tensor:
        """Backbone output to vectors [B, dim]."""
        vector: torch.Tensor = features.vector if self.pool is None else self.pool(features.map)
        return vector

    def before_neck(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images to pooled vectors [B, dim], which triplets compare."""
        return self.pooled(self.backbone(images))

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Normalised images to features [B, dim]."""
        return self.neck(self.before_neck(images))  # type: ignore[no-any-return]
