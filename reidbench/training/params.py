"""Fields that the parameters of several methods share: type, range and description; each method has its own default.

Free of torch. `lr: AdamRate = 3.5e-4` in a Params is a field with that description, at that place in its order.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from reidbench.components import AddedLater, FileParam, Params
from reidbench.words import DESCRIPTION, VALIDATION, Labels, behind, require_file

Fraction = Annotated[float, Field(ge=0, le=1)]  # of the epochs: a milestone of 40, an epoch, would never come

Identities = Annotated[int, Field(ge=2, description="identities in a batch (P)")]
Images = Annotated[int, Field(ge=2, description="images of each identity in a batch (K)")]


def _divides_identities(parts: int, info: ValidationInfo) -> int:
    identities = info.data.get("identities", 2 * parts)  # missing when it is itself wrong, which is reported already
    if identities < 2 * parts:
        raise ValueError(f"{identities} identities cannot be computed in {parts} parts of two or more")
    return parts


Accumulate = Annotated[
    int,
    Field(
        ge=1,
        description="parts of whole identities in which a batch is computed for one step, to save memory; triplets and "
        "batch norm see one part",
    ),
    AfterValidator(_divides_identities),
    AddedLater(),
]
Start = Annotated[
    Literal["small", "fan-out"],
    Field(description="new layers: fan-out, as published; small: classifiers of N(0, 0.001), norms of 1"),
    AddedLater(before="small"),
]
Passes = Annotated[
    Literal["identities", "images"],
    Field(description="an epoch has each identity once, as published; images: until too few have K images left (BoT)"),
    AddedLater(before="images"),
]
SamplerEpochs = Annotated[int, Field(ge=1, description="passes of the identity sampler over the source")]
PoolBatch = Annotated[int, Field(ge=2, description="images in a batch; an incomplete last one is dropped")]

AdamRate = Annotated[float, Field(gt=0, description="Adam's learning rate after warm-up")]
AdamDecay = Annotated[float, Field(ge=0, description="Adam's weight decay, biases included")]
Momentum = Annotated[float, Field(ge=0, lt=1, description="SGD's momentum")]
SgdDecay = Annotated[float, Field(ge=0, description="SGD's weight decay")]

Warmup = Annotated[float, Field(ge=0, lt=1, description="fraction of the epochs with a linear warm-up")]
Milestones = Annotated[tuple[Fraction, ...], Field(description="fractions of the epochs at which lr falls")]
Gamma = Annotated[float, Field(gt=0, le=1, description="factor at each milestone")]

LabelSmoothing = Annotated[float, Field(ge=0, lt=1, description="eps of the cross-entropy")]
Margin = Annotated[float | None, Field(description="margin of the batch-hard triplet; null: the soft margin")]
TripletWeight = Annotated[float, Field(ge=0, description="weight of the triplet loss")]

Flip = Annotated[float, Field(ge=0, le=1, description="probability of a horizontal flip")]
Pad = Annotated[
    int | None, Field(ge=0, description="pixels of padding before the crop; default: 10 at a height of 256")
]
Erase = Annotated[float, Field(ge=0, le=1, description="probability of random erasing")]
EraseMean = Annotated[float, Field(ge=0, le=1, description="probability of random erasing with the mean colour")]

PoolName = Annotated[
    Literal["backbone", "gem", "gem-fixed"],
    Field(
        description="of the map: the backbone's own, or the generalised mean with exponent 3, learned (gem) or fixed"
    ),
]
Pool = Annotated[PoolName, AddedLater()]


def pool_needs(pool: str | None) -> frozenset[str]:
    """What a method with this `pool` requires of a backbone: only those with "stages" have a map of positive values."""
    return frozenset() if pool in (None, "backbone") else frozenset({"stages"})


class EpochParams(Params):
    """A training that can look at held-out images while it runs, for fine-tuners whose loop is `fit`."""

    choose_epoch: Annotated[
        Literal["last", "best"],
        Field(description="the epoch that is kept: the last, or the best by mAP on `validate:` images"),
        AddedLater(),
    ] = "last"
    patience: Annotated[
        int,
        Field(ge=0, description="stop where mAP on `validate:` images has not gained for so many epochs; 0: never"),
        AddedLater(),
    ] = 0
    validate_every: Annotated[
        int, Field(ge=1, description="epochs from one look at `validate:` images to the next"), AddedLater()
    ] = 1

    @model_validator(mode="after")
    def _looks_for_a_reason(self) -> EpochParams:
        if self.validate_every > 1 and not self.looks:
            raise ValueError("validate_every needs `choose_epoch: best` or `patience` above 0")
        return self

    @property
    def looks(self) -> bool:
        """Whether the training looks at validation images."""
        return self.choose_epoch == "best" or self.patience > 0

    def protocol(self) -> frozenset[str]:
        """Words for the protocol column; a stage whose component says so is given validation images."""
        return frozenset({VALIDATION} if self.looks else ())


class FileWeightsParams(Params):
    """A network whose weights come from a file, or are random."""

    weights_file: FileParam | None = Field(
        None, description="a local checkpoint (.pth, .tar or .safetensors) with the official names; default: random"
    )
    labels: Labels = Field(None, description=DESCRIPTION)

    @model_validator(mode="after")
    def _labels_of_a_file(self) -> FileWeightsParams:
        require_file(self.weights_file, self.labels, "weights_file")
        return self

    def traits(self) -> frozenset[str]:
        """A file fills the whole network, so that nothing of it is drawn."""
        return frozenset({"seedless"} if self.weights_file is not None else ())

    def supervision(self) -> frozenset[str]:
        """Words for the protocol column."""
        return behind(self.weights_file, self.labels)
