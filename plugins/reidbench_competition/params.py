"""Parameters of the competition system."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from reidbench import Params

Fraction = Annotated[float, Field(ge=0, le=1)]  # of the epochs: a milestone of 40, an epoch, would never come
Share = tuple[float, float]


class CompetitionParams(Params):
    """competition; every augmentation is off at probability 0."""

    epochs: int = Field(120, ge=1, description="passes of the identity sampler over the source")
    identities: int = Field(16, ge=2, description="identities in a batch (P)")
    images: int = Field(4, ge=2, description="images of each identity in a batch (K)")
    lr: float = Field(3.5e-4, gt=0, description="Adam's learning rate after warm-up")
    weight_decay: float = Field(5e-4, ge=0, description="Adam's weight decay, biases included")
    warmup: float = Field(1 / 12, ge=0, lt=1, description="fraction of the epochs with a linear warm-up")
    milestones: tuple[Fraction, ...] = Field((1 / 3, 7 / 12), description="fractions of the epochs at which lr falls")
    gamma: float = Field(0.1, gt=0, le=1, description="factor at each milestone")

    branches: Literal["global", "mgn", "rmgl", "grid"] = Field(
        "global", description="one vector; MGN's stripes; RMGL's stripes; MGN and a branch of 2 x 2 cells"
    )
    apart: bool = Field(True, description="rmgl: the last stage sees one stripe at a time (RP)")
    balanced: bool = Field(True, description="rmgl: borders follow the channels' maxima (ABP), else equal stripes")
    dim: int = Field(256, ge=1, description="length of each vector of a branch; `global` keeps the backbone's")
    pool: Literal["max", "avg"] = Field("max", description="pooling of branches and parts")

    id_weight: float = Field(0.1, ge=0, description="weight of the cross-entropy, the mean over all vectors")
    triplet_weight: float = Field(0.9, ge=0, description="weight of the triplet loss, the mean over global vectors")
    distance: Literal["cosine", "euclidean"] = Field("cosine", description="distance of the batch-hard triplet")
    triplet_on: Literal["before", "after"] = Field("before", description="the vectors before their necks, or after")
    margins: tuple[Share, ...] = Field(
        ((0.0, 0.1), (0.5, 0.3)), description="from which fraction of the epochs which margin: small first"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="eps of the cross-entropy")

    drop_singles: bool = Field(True, description="leave out identities with a single image")
    double_below: int = Field(100, ge=0, description="identities of 1 < n < this many images may be doubled; 0: none")
    double_probability: float = Field(0.5, ge=0, le=1, description="probability that such an identity is doubled")

    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    pad: int | None = Field(None, ge=0, description="pixels of padding before the crop; default: 10 at a height of 256")
    jitter: float = Field(0.5, ge=0, le=1, description="probability of colour jitter")
    jitter_amounts: tuple[float, float, float, float] = Field(
        (0.2, 0.15, 0.1, 0.05), description="most change of brightness, contrast, saturation and hue"
    )
    affine: float = Field(0.5, ge=0, le=1, description="probability of a small turn, move and scaling")
    random_patch: float = Field(0.5, ge=0, le=1, description="probability that a patch of another picture is pasted")
    patch_pool: int = Field(50_000, ge=100, description="patches that are kept")
    patch_minimum: int = Field(100, ge=1, description="patches before the first one is pasted")
    random_shift: float = Field(0.5, ge=0, le=1, description="probability that a part is moved about a canvas (RSA)")
    shift_least: float = Field(0.7, gt=0, le=1, description="RSA: least share of height that is cut and kept")
    erase: float = Field(0.5, ge=0, le=1, description="probability of random erasing with the mean colour")

    @field_validator("margins")
    @classmethod
    def _rising(cls, margins: tuple[Share, ...]) -> tuple[Share, ...]:
        starts = [start for start, _ in margins]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= 1:
            raise ValueError("margins must start at 0 and rise below 1, like [[0, 0.1], [0.5, 0.3]]")
        return margins

    def margin(self, epoch: int) -> float:
        """The margin of an epoch, counted from 0."""
        return [margin for start, margin in self.margins if epoch >= start * self.epochs][-1]
