"""Parameters of the transformer backbones and of ResNet-50 with IBN."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from reidbench import AddedLater, Params
from reidbench.training.params import FileWeightsParams

Stem = Literal["patchify", "ics", "conv"]


class StemParams(Params):
    """Parameters of a transformer's first layers."""

    stem: Stem = Field(
        "patchify",
        description="patchify: one convolution of the patch's size; ics: the IBN-based convolution stem; "
        "conv: the same with batch norm only, its control",
    )
    stem_width: int = Field(64, ge=2, multiple_of=2, description="channels of the stems ics and conv")
    drop_path: float = Field(
        0.0, ge=0, lt=1, description="stochastic depth rate of the last block in training, rising from 0"
    )

    def capabilities(self) -> frozenset[str]:
        """Return "bn" for the convolution stems, the only ones with batch norm."""
        return frozenset({"bn"}) if self.stem != "patchify" else frozenset()


class ViTParams(StemParams):
    """Parameters of vit-small and vit-base."""

    patch: int = Field(16, ge=2, description="height and width of a patch in pixels")
    stride: int | None = Field(
        None, ge=1, description="step between patches; less than patch overlaps them (TransReID: 12); default: patch"
    )
    part_tokens: Annotated[
        int, Field(ge=0, description="number of part tokens next to the class token; PASS has 3"), AddedLater()
    ] = 0
    fusion: Annotated[
        Literal["cat", "mean"],
        Field(
            description="vector of a network with part tokens; cat: the class token and the mean of the part tokens, "
            "twice as long; mean: the mean of these two"
        ),
        AddedLater(),
    ] = "cat"

    @model_validator(mode="after")
    def _geometry(self) -> ViTParams:
        if self.stride is not None and self.stride > self.patch:
            raise ValueError(
                f"stride {self.stride} is larger than patch {self.patch} and would skip pixels; lower stride"
            )
        if self.stem != "patchify" and (self.patch % 2 or (self.stride or 0) % 2):
            raise ValueError(f"stem {self.stem} halves the image first: patch and stride must be even")
        if self.fusion != "cat" and not self.part_tokens:
            raise ValueError("fusion is for a network with part_tokens; remove it")
        return self

    def capabilities(self) -> frozenset[str]:
        """Return the stem's capabilities, and "tokens" unless part tokens are among them."""
        return super().capabilities() | (frozenset() if self.part_tokens else {"tokens"})


class ViTTinyParams(ViTParams):
    """Parameters of vit-tiny: 64x32 on a CPU."""

    patch: int = Field(8, ge=2, description="height and width of a patch in pixels")
    stem_width: int = Field(16, ge=2, multiple_of=2, description="channels of the stems ics and conv")
    dim: int = Field(48, ge=8, description="length of a token")
    depth: int = Field(3, ge=1, description="number of transformer blocks")
    heads: int = Field(3, ge=1, description="number of attention heads; divides dim")

    @model_validator(mode="after")
    def _heads(self) -> ViTTinyParams:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by heads {self.heads}")
        return self


class SwinParams(StemParams):
    """Parameters of swin-tiny, swin-small and swin-base."""

    window: int = Field(7, ge=2, description="height and width of an attention window in patches; 4 suits 64x32")
    semantic: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="semantic weight of SOLIDER's controller, 0.2 for re-identification, which needs SOLIDER's "
            "weights; null: Swin without a controller",
        ),
        AddedLater(),
    ] = None


class IbnParams(FileWeightsParams):
    """Parameters of resnet50-ibn."""

    ibn: Literal["a", "b"] = Field(
        "a",
        description="a: instance norm on half of the channels of each block's first norm in stages 1 to 3; "
        "b: instance norm after the stem and after stages 1 and 2",
    )
    last_stride: Literal[1, 2] = Field(1, description="stride of the last stage; 1 doubles its map")
