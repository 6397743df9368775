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
    """What all arms share: the memory bank, its clustering, the identity encoder's optimiser."""

    epochs: int = Field(
        20,
        ge=0,
        description="epochs of the last stage; each begins with a clustering of the memory; 0: generator alone",
    )
    iterations: int | None = Field(
        None, ge=1, description="steps of such an epoch; default: one pass over the clustered images"
    )
    batch: int = Field(16, ge=2, description="images in a batch, shuffled; the rest of a pass is dropped")
    lr: float = Field(3.5e-4, gt=0, description="SGD's learning rate of the identity encoder")
    momentum: float = Field(0.9, gt=0, lt=1, description="its Nesterov momentum")
    identity_weight_decay: float = Field(5e-4, ge=0, description="its weight decay")
    milestones: tuple[float, ...] = Field((0.5,), description="fractions of the epochs after which lr falls to a tenth")
    alpha: float = Field(0.2, ge=0, lt=1, description="share of a memory row that an update keeps")
    temperature: float = Field(0.04, gt=0, description="of the contrast with the memory (tau)")
    negatives: int = Field(8192, ge=1, description="memory rows of other clusters that an image is held against (K)")
    k1: int = Field(30, ge=1, description="Jaccard distance: neighbours of the reciprocal sets")
    k2: int = Field(6, ge=1, description="Jaccard distance: neighbours of the query expansion")
    rho: float = Field(
        0.002, gt=0, lt=1, description="share of all pairs, the nearest ones, whose mean distance is DBSCAN's eps"
    )
    min_samples: int = Field(4, ge=2, description="DBSCAN: neighbours that make a core")

    @field_validator("milestones")
    @classmethod
    def _fractions(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < milestone <= 1 for milestone in milestones):
            raise ValueError("milestones are fractions of the epochs, above 0 and up to 1")
        return milestones


class RealParams(ContrastParams):
    """gcl-contrast."""

    augment: Literal["none", "classic"] = Field(
        "none", description="classic: flip, crop and erasing of the images; GCL has none of them"
    )


class ViewsParams(ContrastParams):
    """What the arms with a second view of each image share."""

    angles: Angles = Field(
        "code", description="turns that a view may have: the released code's 45 to 270 degrees, or 315 as well"
    )
    terms: tuple[Term, ...] = Field(
        TERMS,
        min_length=1,
        description="terms of the contrast: image against a cluster mate (real-mate), its view against the image's "
        "own memory (view-self) and against a cluster mate (view-mate)",
    )
    own_negatives: bool = Field(
        False, description="real-mate against the negatives of the image, not of its view as in the released code"
    )
    sheet: int = Field(6, ge=1, description="persons on views.png, one a row")

    @field_validator("terms")
    @classmethod
    def _each_once(cls, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        if len(set(terms)) < len(terms):
            raise ValueError("a term appears twice")
        return terms


class OracleParams(ViewsParams):
    """gcl-oracle."""


class GCLParams(ViewsParams, GeneratorParams):
    """gcl."""

    structure: Structure = Field(
        Nested(use="synthetic-structure"), description="where the body's form at every turn comes from"
    )
    views: Literal["generated", "identity", "random"] = Field(
        "generated",
        description="structure of the second view: the image's own, turned; its own as it is (identity); that of "
        "another image, turned (random)",
    )
    joint: Annotated[
        bool,
        Field(
            description="encoder and generator are trained together after the warm-up; false: the generator stays as "
            "the warm-up left it and paints with the encoder of the start, and the encoder learns from the contrast "
            "alone"
        ),
        AddedLater(),
    ] = True
    view_weight: float = Field(1.0, ge=0, description="weight of the contrast beside the generator's losses")
    warmup_epochs: int = Field(40, ge=0, description="epochs of the generator alone, the identity encoder frozen")
    warmup_iterations: int | None = Field(
        None, ge=1, description="steps of such an epoch; default: one pass over the images"
    )
    probe: int = Field(64, ge=2, description="images on which reconstruction and views are measured for the log")


class GCLWeightsParams(Params):
    """gcl-weights."""

    file: FirstStage = Field(
        description="state dict or checkpoint of a released first stage, read without executing: the backbone's "
        "tensors, `feat` (a linear layer; may be missing) and `feat_bn` or `bn`"
    )
    labels: Labels = Field(None, description=DESCRIPTION)

    def supervision(self) -> frozenset[str]:
        """Words for the protocol column."""
        return behind(self.file, self.labels)
