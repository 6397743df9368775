"""Parameters of the body regressor: its training, and the structure providers that use it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from reidbench import Params, Uses
from reidbench.components import ContentHashed, Nested
from reidbench.words import DESCRIPTION, Labels, behind, require_file

from ..structure.params import StructureParams

if TYPE_CHECKING:
    Regressor = Nested
else:
    Regressor = Uses["preparer", "pool"]
STAND_INS = "reidbench_gcl.stand_ins"
Encoder = Annotated[Path, ContentHashed(folder=False, stand_in=f"{STAND_INS}:encoder_weights")]
Weights = Annotated[Path, ContentHashed(folder=False, stand_in=f"{STAND_INS}:regressor")]
Spec = Annotated[Path, ContentHashed(folder=False, stand_in=f"{STAND_INS}:regressor_spec")]


class HMRTrainingParams(Params):
    """hmr-training; the defaults are HMR's network for 224 pixels and more, with rates of SPIN's order."""

    backbone: Literal["small", "resnet18", "resnet50"] = Field(
        "resnet50", description="encoder: a small residual network, or torchvision's"
    )
    width: int = Field(16, ge=2, description="channels of the small encoder's first layer; the last has 8 times that")
    encoder_weights: Encoder | None = Field(
        None, description="state dict that torchvision's encoder starts from (.pth or .safetensors); default: random"
    )
    labels: Labels = Field(None, description=DESCRIPTION)
    grid: tuple[int, int] = Field(
        (1, 1), description="rows and columns to which the encoder's map is averaged; 1, 1 is HMR's global average"
    )
    hidden: int = Field(1024, ge=1, description="outputs of both hidden layers of the regressor")
    dropout: float = Field(0.5, ge=0, lt=1, description="after each of them")
    iterations: int = Field(3, ge=1, description="rounds of error feedback from the mean parameters")
    epochs: int = Field(60, ge=1, description="passes over the pool's persons")
    batch: int = Field(64, ge=2, description="images in a batch; an incomplete last one is dropped")
    lr: float = Field(1e-4, gt=0, description="Adam's learning rate at the start; it falls to 0 in a half cosine")
    weight_decay: float = Field(0.0, ge=0, description="Adam's decoupled weight decay")
    clip: float = Field(1.0, gt=0, description="largest norm of a step's gradient; longer ones are shortened to it")
    joints2d_weight: float = Field(10.0, ge=0, description="weight of the mean distance of joints in the picture (L1)")
    joints_weight: float = Field(10.0, ge=0, description="weight of that of joints in space, the pelvis at 0 (L1)")
    root_weight: float = Field(1.0, ge=0, description="weight of the root rotation's squared distance (yaw and pitch)")
    shape_weight: float = Field(5.0, ge=0, description="weight of the girths' squared relative distance")
    prior_weight: float = Field(0.01, ge=0, description="weight of squared shape numbers and of turns against rest")
    flip: float = Field(0.5, ge=0, le=1, description="probability of a mirror image, with mirrored truth")
    zoom: float = Field(0.15, ge=0, lt=1, description="pictures are scaled by up to this, stretched by a third of it")
    shift: float = Field(0.06, ge=0, lt=1, description="and moved by up to this share of the picture")
    jitter: tuple[float, float, float, float] = Field(
        (0.4, 0.4, 0.4, 0.1), description="largest changes of brightness, contrast, saturation and hue"
    )
    grey: float = Field(0.1, ge=0, le=1, description="probability of a picture without colours")
    erase: float = Field(0.2, ge=0, le=1, description="probability that a rectangle of the picture is hidden")
    held_out: float = Field(
        0.05, ge=0, lt=1, description="share of the pool's persons' images that are only measured on; at most 1000"
    )
    monitor_every: int = Field(5, ge=1, description="epochs between two measurements on them")
    sheet: int = Field(16, ge=1, description="held-out images on fitted.png")

    @field_validator("grid")
    @classmethod
    def _cells(cls, grid: tuple[int, int]) -> tuple[int, int]:
        if min(grid) < 1:
            raise ValueError("grid is rows and columns, 1 or more each")
        return grid

    @field_validator("jitter")
    @classmethod
    def _amounts(cls, jitter: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        if min(jitter) < 0 or max(jitter) >= 1 or jitter[3] > 0.5:
            raise ValueError("jitter is four amounts from 0 to below 1, that of the hue at most 0.5")
        return jitter

    @model_validator(mode="after")
    def _encoder_that_weights_fit(self) -> HMRTrainingParams:
        if self.encoder_weights is not None and self.backbone == "small":
            raise ValueError("encoder_weights are torchvision's, and the small encoder is ours: set backbone")
        require_file(self.encoder_weights, self.labels, "encoder_weights")
        return self

    def protocol(self) -> frozenset[str]:
        """Words for the protocol column: the pool's truth, and the labels behind the encoder that it starts from."""
        return behind(self.encoder_weights, self.labels) | {"truth"}


class FittingParams(StructureParams):
    """What both providers share."""

    persons: int = Field(8, ge=1, description="persons on fitted.png, beside the bodies fitted to them")


class HMRParams(FittingParams):
    """hmr."""

    regressor: Regressor = Field(
        Nested(use="hmr-training"), description="the regressor and how it is trained on the task's pool"
    )


class HMRWeightsParams(FittingParams):
    """hmr-weights."""

    weights: Weights = Field(description="regressor.safetensors of hmr-training, or your own of the same tensors")
    spec: Spec | None = Field(
        None, description="JSON that describes the network; default: the text that the weights carry as metadata"
    )
    labels: Labels = Field(None, description=DESCRIPTION)

    def protocol(self) -> frozenset[str]:
        """Words for the protocol column."""
        return behind(self.weights, self.labels)
