"""Shared parameter fields of methods: type, range and description; each method sets its own default.

Torch-free. `lr: AdamRate = 3.5e-4` in a Params is a field with that description, at its place in the order.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from reidbench.components import AddedLater, FileParam, Params
from reidbench.words import DESCRIPTION, VALIDATION, Labels, behind, require_file

Fraction = Annotated[float, Field(ge=0, le=1)]  # of the epochs: a milestone of 40, an epoch, would never come

Identities = Annotated[int, Field(ge=2, description="number of identities in a batch (P)")]
Images = Annotated[int, Field(ge=2, description="number of images per identity in a batch (K)")]


def _divides_identities(parts: int, info: ValidationInfo) -> int:
    identities = info.data.get("identities", 2 * parts)  # missing if it is itself invalid, which is reported already
    if identities < 2 * parts:
        raise ValueError(f"{identities} identities cannot be split into {parts} parts of two or more")
    return parts


Accumulate = Annotated[
    int,
    Field(
        ge=1,
        description="number of parts, of whole identities, in which a batch is computed to save memory; triplets and "
        "batch norm use one part at a time",
    ),
    AfterValidator(_divides_identities),
    AddedLater(),
]
Start = Annotated[
    Literal["small", "fan-out"],
    Field(
        description="initialisation of new layers: fan-out, as published; small: classifiers of N(0, 0.001), norms of 1"
    ),
    AddedLater(before="small"),
]
Passes = Annotated[
    Literal["identities", "images"],
    Field(description="an epoch: each identity once, as published; images: until too few have K images left (BoT)"),
    AddedLater(before="images"),
]
SamplerEpochs = Annotated[int, Field(ge=1, description="number of passes of the identity sampler over the source")]
PoolBatch = Annotated[int, Field(ge=2, description="number of images in a batch; an incomplete last batch is dropped")]

AdamRate = Annotated[float, Field(gt=0, description="Adam's learning rate after warm-up")]
AdamDecay = Annotated[float, Field(ge=0, description="Adam's weight decay, including biases")]
Momentum = Annotated[float, Field(ge=0, lt=1, description="SGD's momentum")]
SgdDecay = Annotated[float, Field(ge=0, description="SGD's weight decay")]

Warmup = Annotated[float, Field(ge=0, lt=1, description="fraction of the epochs with linear warm-up")]
Milestones = Annotated[
    tuple[Fraction, ...], Field(description="fractions of the epochs at which the learning rate drops")
]
Gamma = Annotated[float, Field(gt=0, le=1, description="factor of the learning rate at each milestone")]

LabelSmoothing = Annotated[float, Field(ge=0, lt=1, description="label smoothing (eps) of the cross-entropy")]
Margin = Annotated[float | None, Field(description="margin of the batch-hard triplet loss; null: soft margin")]
TripletWeight = Annotated[float, Field(ge=0, description="weight of the triplet loss")]

Flip = Annotated[float, Field(ge=0, le=1, description="probability of a horizontal flip")]
Pad = Annotated[
    int | None, Field(ge=0, description="padding before the random crop, in pixels; default: 10 at a height of 256")
]
Erase = Annotated[float, Field(ge=0, le=1, description="probability of random erasing")]
EraseMean = Annotated[float, Field(ge=0, le=1, description="probability of random erasing with the mean colour")]

PoolName = Annotated[
    Literal["backbone", "gem", "gem-fixed"],
    Field(
        description="pooling of the map: the backbone's, or generalised mean with exponent 3, learned (gem) or fixed"
    ),
]
Pool = Annotated[PoolName, AddedLater()]


def pool_needs(pool: str | None) -> frozenset[str]:
    """Requirements of a method with this `pool`: a map of positive values, which only backbones with "stages" have."""
    return frozenset() if pool in (None, "backbone") else frozenset({"stages"})


class EpochParams(Params):
    """Parameters of a training that can evaluate held-out images while it runs, for fine-tuners that use `fit`."""

    choose_epoch: Annotated[
        Literal["last", "best"],
        Field(description="epoch to keep: the last, or the best by mAP on `validate:` images"),
        AddedLater(),
    ] = "last"
    patience: Annotated[
        int,
        Field(
            ge=0,
            description="epochs without a gain in mAP on `validate:` images before training stops; 0 disables it",
        ),
        AddedLater(),
    ] = 0
    validate_every: Annotated[
        int, Field(ge=1, description="number of epochs between evaluations of `validate:` images"), AddedLater()
    ] = 1

    @model_validator(mode="after")
    def _looks_for_a_reason(self) -> EpochParams:
        if self.validate_every > 1 and not self.looks:
            raise ValueError("validate_every requires `choose_epoch: best` or `patience` above 0")
        return self

    @property
    def looks(self) -> bool:
        """Whether the training evaluates validation images."""
        return self.choose_epoch == "best" or self.patience > 0

    def protocol(self) -> frozenset[str]:
        """Words for the protocol column; a stage whose component has this word receives validation images."""
        return frozenset({VALIDATION} if self.looks else ())


class FileWeightsParams(Params):
    """Parameters of a network whose weights come from a file, or are random."""

    weights_file: FileParam | None = Field(
        None,
        description="local checkpoint (.pth, .tar or .safetensors) with the official names; default: random weights",
    )
    labels: Labels = Field(None, description=DESCRIPTION)

    @model_validator(mode="after")
    def _labels_of_a_file(self) -> FileWeightsParams:
        require_file(self.weights_file, self.labels, "weights_file")
        return self

    def traits(self) -> frozenset[str]:
        """Seedless with a file, which fills the whole network."""
        return frozenset({"seedless"} if self.weights_file is not None else ())

    def supervision(self) -> frozenset[str]:
        """Words for the protocol column."""
        return behind(self.weights_file, self.labels)
