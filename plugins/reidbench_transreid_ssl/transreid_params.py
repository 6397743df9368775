"""Parameters of transreid and transreid-sie."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from reidbench.training import params as shared

Triple = tuple[float, float, float]
DROP_PATH = 0.1  # of the paper, for a backbone built without drop path


class TransReidParams(shared.EpochParams):
    """Parameters of transreid; defaults are TransReID-SSL's for a pre-trained ViT-S at 256x128."""

    epochs: shared.SamplerEpochs = 120
    identities: shared.Identities = 16
    images: shared.Images = 4
    optimiser: Literal["sgd", "adamw"] = Field(
        "sgd",
        description="optimiser; sgd is the paper's; adamw, an addition, is for networks with random initial weights",
    )
    lr: float = Field(
        4e-4, gt=0, description="base learning rate for a batch of 64; other initial weights need other rates"
    )
    bias_lr_factor: float = Field(
        2.0, gt=0, description="base learning rate of parameters with 'bias' in their name, as a factor of lr"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD's momentum; AdamW's first beta")
    weight_decay: float = Field(1e-4, ge=0, description="weight decay of every parameter, including biases and norms")
    warmup: float = Field(1 / 6, ge=0, lt=1, description="fraction of the epochs with a linear warm-up: 20 of 120")
    warmup_factor: float = Field(
        0.01, ge=0, le=1, description="learning rate of the first epoch for all parameters, as a factor of lr"
    )
    floor_factor: float = Field(
        0.002, ge=0, le=1, description="learning rate at the end of the cosine, as a factor of lr"
    )
    drop_path: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="stochastic depth rate of the last block, rising linearly from 0, no effect in a CNN; "
        "null: as the backbone was built, or 0.1 if it was built without it",
    )
    label_smoothing: shared.LabelSmoothing = 0.0
    margin: shared.Margin = None
    triplet_weight: shared.TripletWeight = 1.0
    feature: Literal["before", "after"] = Field(
        "before", description="test feature: the vector before or after the BNNeck"
    )
    flip: shared.Flip = 0.5
    pad: int | None = Field(
        None, ge=0, description="black pixels of padding before the random crop; null: 10 at a height of 256"
    )
    erase: float = Field(0.5, ge=0, le=1, description="probability of replacing a rectangle by Gaussian noise")
    erase_area: tuple[float, float] = Field(
        (0.02, 1 / 3), description="smallest and largest share of the image that is erased"
    )
    mean: Triple | None = Field(None, description="pixel mean; null: the backbone's; the original uses 0.5")
    std: Triple | None = Field(
        None, description="pixel standard deviation; null: the backbone's; the original uses 0.5"
    )
    jpm: bool = Field(
        False, description="add the jigsaw patch module: local branches in addition to the global one; needs tokens"
    )
    jpm_shift: int = Field(5, ge=0, description="number of patches moved from the front to the end; the code uses 4")
    jpm_groups: int = Field(4, ge=2, description="number of local branches that share the shuffled patches")
    jpm_shuffle: int | None = Field(
        None, ge=1, description="number of groups of the shuffle; null: the number of branches (paper); the code uses 2"
    )
    accumulate: shared.Accumulate = 1

    @model_validator(mode="after")
    def _possible(self) -> TransReidParams:
        smallest, largest = self.erase_area
        if not 0 < smallest <= largest <= 1:
            raise ValueError(f"erase_area must rise and be within 0 and 1, not {smallest} to {largest}")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be above 0")
        if (self.mean is None) != (self.std is None):
            raise ValueError("give mean and std, or neither")
        return self

    def required(self) -> frozenset[str]:
        """Jigsaw patches need tokens; without them any backbone works."""
        return frozenset({"tokens"}) if self.jpm else frozenset()


class TransReidSieParams(TransReidParams):
    """Parameters of transreid-sie: a learned vector for each camera of the source."""

    camera_coefficient: float = Field(
        3.0, ge=0, description="factor of the camera's vector added to every token (lambda)"
    )
    camera_at_test: Literal["own", "mean"] = Field(
        "own",
        description="vector of a test image; own: its camera's, or the mean for a number that the source does "
        "not have; mean: always the mean, as needed for another data set, whose cameras share "
        "numbers but are different cameras",
    )

    def protocol(self) -> frozenset[str]:
        """Cameras of the source, and the words of any training."""
        return super().protocol() | {"cameras"}
