"""Parameters of transreid and transreid-sie."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from reidbench.training import params as shared

Triple = tuple[float, float, float]
DROP_PATH = 0.1  # of the paper, for a backbone that was built without


class TransReidParams(shared.EpochParams):
    """transreid; the defaults are TransReID-SSL's for a pre-trained ViT-S at 256x128."""

    epochs: shared.SamplerEpochs = 120
    identities: shared.Identities = 16
    images: shared.Images = 4
    optimiser: Literal["sgd", "adamw"] = Field(
        "sgd", description="sgd is the paper's; adamw, an addition, for networks that start from random weights"
    )
    lr: float = Field(4e-4, gt=0, description="base rate of a batch of 64; other initialisations need another one")
    bias_lr_factor: float = Field(2.0, gt=0, description="base rate of parameters with 'bias' in their name, times lr")
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD's momentum; AdamW's first beta")
    weight_decay: float = Field(1e-4, ge=0, description="on every parameter, biases and norms too")
    warmup: float = Field(1 / 6, ge=0, lt=1, description="fraction of the epochs with a linear warm-up: 20 of 120")
    warmup_factor: float = Field(0.01, ge=0, le=1, description="rate at the first epoch, times lr, for all parameters")
    floor_factor: float = Field(0.002, ge=0, le=1, description="rate that the cosine ends at, times lr")
    drop_path: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="stochastic depth of the last block, rising linearly from 0, nothing in a CNN; null: as the "
        "backbone was built, or 0.1 where it was built without",
    )
    label_smoothing: shared.LabelSmoothing = 0.0
    margin: shared.Margin = None
    triplet_weight: shared.TripletWeight = 1.0
    feature: Literal["before", "after"] = Field("before", description="test feature, before or after the BNNeck")
    flip: shared.Flip = 0.5
    pad: int | None = Field(None, ge=0, description="black pixels around before the crop; null: 10 at a height of 256")
    erase: float = Field(0.5, ge=0, le=1, description="probability that a rectangle becomes Gaussian noise")
    erase_area: tuple[float, float] = Field((0.02, 1 / 3), description="its share of the image, smallest and largest")
    mean: Triple | None = Field(None, description="pixel mean; null: the backbone's own; the original has 0.5")
    std: Triple | None = Field(None, description="pixel deviation; null: the backbone's own; the original has 0.5")
    jpm: bool = Field(False, description="jigsaw patch module: local branches beside the global one; needs tokens")
    jpm_shift: int = Field(5, ge=0, description="patches that move from the front to the end; in the code 4")
    jpm_groups: int = Field(4, ge=2, description="local branches that the shuffled patches are divided among")
    jpm_shuffle: int | None = Field(
        None, ge=1, description="groups of the shuffle; null: as many as branches (paper); in the code 2"
    )
    accumulate: shared.Accumulate = 1

    @model_validator(mode="after")
    def _possible(self) -> TransReidParams:
        smallest, largest = self.erase_area
        if not 0 < smallest <= largest <= 1:
            raise ValueError(f"erase_area must rise within 0 and 1, not {smallest} to {largest}")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be above 0")
        if (self.mean is None) != (self.std is None):
            raise ValueError("give mean and std, or neither")
        return self

    def required(self) -> frozenset[str]:
        """Jigsaw patches are made of tokens; without them any backbone will do."""
        return frozenset({"tokens"}) if self.jpm else frozenset()


class TransReidSieParams(TransReidParams):
    """transreid-sie: with a learned vector for each camera of the source."""

    camera_coefficient: float = Field(3.0, ge=0, description="factor of the camera's vector on every token (lambda)")
    camera_at_test: Literal["own", "mean"] = Field(
        "own",
        description="vector of a test image: its camera's own, the mean where the source had no such number; or always "
        "the mean, which is what another data set needs, whose cameras have the same numbers and are other cameras",
    )

    def protocol(self) -> frozenset[str]:
        """Cameras of the source, and what any training may say."""
        return super().protocol() | {"cameras"}
