"""Parameters of the gcl adapters; defaults are those of the released code, for 256x128 and a ResNet-50."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from reidbench import AddedLater, Params, Uses
from reidbench.components import ContentHashed, Nested
from reidbench.words import DESCRIPTION, Labels, behind

from .generator.params import GeneratorParams

if TYPE_CHECKING:
    Structure = Nested
else:
    Structure = Uses["preparer", "target"]
FirstStage = Annotated[Path, ContentHashed(folder=False, stand_in="reidbench_gcl.stand_ins:first_stage")]
Angles = Literal["code", "all7"]
Term = Literal["real-mate", "view-self", "view-mate"]
TERMS: tuple[Term, ...] = ("real-mate", "view-self", "view-mate")


class ContrastParams(Params):
    """Parameters shared by all arms: the memory bank, its clustering, the identity encoder's optimiser."""

    epochs: int = Field(
        20,
        ge=0,
        description="number of epochs of the last stage, each with a new clustering of the memory; 0: train "
        "only the generator",
    )
    iterations: int | None = Field(
        None, ge=1, description="steps per epoch of the last stage; default: one pass over the clustered images"
    )
    batch: int = Field(
        16, ge=2, description="images per batch, shuffled; an incomplete last batch of a pass is dropped"
    )
    lr: float = Field(3.5e-4, gt=0, description="SGD's learning rate of the identity encoder")
    momentum: float = Field(0.9, gt=0, lt=1, description="Nesterov momentum of the identity encoder's SGD")
    identity_weight_decay: float = Field(5e-4, ge=0, description="weight decay of the identity encoder")
    milestones: tuple[float, ...] = Field((0.5,), description="fractions of the epochs after which lr is divided by 10")
    alpha: float = Field(0.2, ge=0, lt=1, description="share of a memory row that an update keeps")
    temperature: float = Field(0.04, gt=0, description="temperature of the contrast with the memory (tau)")
    negatives: int = Field(
        8192, ge=1, description="number of memory rows of other clusters used as negatives of an image (K)"
    )
    k1: int = Field(30, ge=1, description="number of neighbours in the reciprocal sets of the Jaccard distance")
    k2: int = Field(6, ge=1, description="number of neighbours in the query expansion of the Jaccard distance")
    rho: float = Field(
        0.002, gt=0, lt=1, description="share of all pairs, the nearest ones, whose mean distance is DBSCAN's eps"
    )
    min_samples: int = Field(4, ge=2, description="number of neighbours of a core point in DBSCAN")

    @field_validator("milestones")
    @classmethod
    def _fractions(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < milestone <= 1 for milestone in milestones):
            raise ValueError("milestones are fractions of the epochs, above 0 and at most 1")
        return milestones


class RealParams(ContrastParams):
    """Parameters of gcl-contrast."""

    augment: Literal["none", "classic"] = Field(
        "none", description="augmentation of the images; classic: flip, crop and erasing; GCL uses none"
    )


class ViewsParams(ContrastParams):
    """Parameters shared by the arms with a second view of each image."""

    angles: Angles = Field(
        "code", description="angles of the views: the released code's 45 to 270 degrees (code), or also 315 (all7)"
    )
    terms: tuple[Term, ...] = Field(
        TERMS,
        min_length=1,
        description="terms of the contrast: image against a cluster mate (real-mate), its view against the "
        "image's own memory row (view-self) and against a cluster mate (view-mate)",
    )
    own_negatives: bool = Field(
        False, description="use the image's negatives in real-mate, instead of its view's as in the released code"
    )
    sheet: int = Field(6, ge=1, description="number of persons on views.png, one per row")

    @field_validator("terms")
    @classmethod
    def _each_once(cls, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        if len(set(terms)) < len(terms):
            raise ValueError("terms may list each term only once")
        return terms


class OracleParams(ViewsParams):
    """Parameters of gcl-oracle."""


class GCLParams(ViewsParams, GeneratorParams):
    """Parameters of gcl."""

    structure: Structure = Field(
        Nested(use="synthetic-structure"), description="provider of the body structure at every angle"
    )
    views: Literal["generated", "identity", "random"] = Field(
        "generated",
        description="structure of the second view: the image's own, turned (generated); its own, not turned "
        "(identity); that of another image, turned (random)",
    )
    joint: Annotated[
        bool,
        Field(
            description="train encoder and generator together after the warm-up; false: the generator stays "
            "as after the warm-up and uses the start's encoder, and the encoder learns from the "
            "contrast only"
        ),
        AddedLater(),
    ] = True
    view_weight: float = Field(1.0, ge=0, description="weight of the contrast relative to the generator's losses")
    warmup_epochs: int = Field(
        40, ge=0, description="number of epochs that train only the generator, with the identity encoder frozen"
    )
    warmup_iterations: int | None = Field(
        None, ge=1, description="steps per warm-up epoch; default: one pass over the images"
    )
    probe: int = Field(
        64, ge=2, description="number of images on which reconstruction and views are measured for the log"
    )


class GCLWeightsParams(Params):
    """Parameters of gcl-weights."""

    file: FirstStage = Field(
        description="state dict or checkpoint of a released first stage, read without executing code: the "
        "backbone's tensors, `feat` (a linear layer, optional) and `feat_bn` or `bn`"
    )
    labels: Labels = Field(None, description=DESCRIPTION)

    def supervision(self) -> frozenset[str]:
        """Words for the protocol column."""
        return behind(self.file, self.labels)
