"""Parameters of GCL's generator and discriminator: sizes, losses and optimisers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from reidbench import Params


class GeneratorParams(Params):
    """The generative part of gcl; defaults are those of the paper and the released code, for 256x128 images."""

    dim: int = Field(
        16, ge=1, description="number of channels of the structure encoder's first layer; its code has 8 times as many"
    )
    blocks: int = Field(
        4,
        ge=1,
        description="number of residual blocks of structure encoder and decoder; each of the decoder's reads "
        "a slice of feat",
    )
    mlp: int = Field(
        512, ge=1, description="number of hidden units of the networks that map a slice to AdaIN's gamma and beta"
    )
    dilations: tuple[int, int, int] = Field(
        (3, 6, 9),
        description="dilations of the structure encoder's pyramid; images below 80x40 need smaller ones, e.g. "
        "[1, 2, 3]",
    )
    slices: Literal["code", "stripe"] = Field(
        "code",
        description="contents of a slice of feat: some channels of all body stripes, as released (code), or "
        "all channels of one stripe (stripe)",
    )
    critic_dim: int = Field(32, ge=1, description="number of channels of the discriminator's first layers")
    critic_blocks: int = Field(4, ge=1, description="number of residual blocks of the discriminator at each scale")
    critic_scales: int = Field(
        3, ge=1, description="number of scales of the discriminator, each half the size of the one before"
    )
    adversarial: Literal["lsgan", "vanilla"] = Field(
        "lsgan",
        description="adversarial loss: least squares (lsgan, as in the code), or logarithmic (vanilla, as in "
        "the paper, not saturating)",
    )
    feat_pair: Literal["code", "paper"] = Field(
        "code", description="generated image whose appearance code must match the photograph's, in addition to the "
            "cycle's: the reconstruction (code) or the new view (paper)"
    )  # fmt: skip
    adversarial_weight: float = Field(1.0, ge=0, description="weight of the generator's adversarial loss")
    image_weight: float = Field(
        5.0, ge=0, description="weight of the L1 distance between photograph and reconstruction"
    )
    cycle_weight: float = Field(5.0, ge=0, description="weight of the L1 distance between photograph and cycle")
    feat_weight: float = Field(5.0, ge=0, description="weight of each of the two L1 distances between appearance codes")
    r1_weight: float = Field(
        0.01, ge=0, description="weight of the discriminator's squared gradient at photographs (R1)"
    )
    lr_generator: float = Field(1e-4, gt=0, description="Adam's learning rate of structure encoder and decoder")
    lr_critic: float = Field(1e-4, gt=0, description="Adam's learning rate of the discriminator")
    betas: tuple[float, float] = Field((0.0, 0.999), description="Adam's beta1 and beta2 of both optimisers")
    weight_decay: float = Field(5e-4, ge=0, description="Adam's L2 penalty of both optimisers")

    @field_validator("dilations")
    @classmethod
    def _positive(cls, dilations: tuple[int, int, int]) -> tuple[int, int, int]:
        if min(dilations) < 1:
            raise ValueError("each dilation must be at least 1")
        return dilations

    @field_validator("betas")
    @classmethod
    def _decay_rates(cls, betas: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError("each beta must be at least 0 and less than 1")
        return betas

    @model_validator(mode="after")
    def _stripes(self) -> GeneratorParams:
        if self.slices == "stripe" and self.blocks not in (1, 2, 4):
            raise ValueError(
                f"slices: stripe divides four body stripes among 1, 2 or 4 blocks, not among {self.blocks}; set blocks"
            )
        return self
