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
    """Parameters of hmr-training; defaults are HMR's network for at least 224 pixels, with rates similar to SPIN's."""

    backbone: Literal["small", "resnet18", "resnet50"] = Field(
        "resnet50", description="encoder: a small residual network, or one of torchvision's"
    )
    width: int = Field(
        16, ge=2, description="number of channels of the small encoder's first layer; the last has 8 times as many"
    )
    encoder_weights: Encoder | None = Field(
        None, description="initial state dict of torchvision's encoder (.pth or .safetensors); default: random weights"
    )
    labels: Labels = Field(None, description=DESCRIPTION)
    grid: tuple[int, int] = Field(
        (1, 1), description="rows and columns to which the encoder's map is averaged; 1, 1 is HMR's global average"
    )
    hidden: int = Field(1024, ge=1, description="size of both hidden layers of the regressor")
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout rate after each hidden layer")
    iterations: int = Field(3, ge=1, description="number of error feedback rounds, starting from the mean parameters")
    epochs: int = Field(60, ge=1, description="number of epochs: passes over the pool's persons")
    batch: int = Field(64, ge=2, description="images per batch; an incomplete last batch is dropped")
    lr: float = Field(1e-4, gt=0, description="Adam's initial learning rate; it falls to 0 along a half cosine")
    weight_decay: float = Field(0.0, ge=0, description="Adam's decoupled weight decay")
    clip: float = Field(
        1.0, gt=0, description="largest norm of a step's gradient; longer gradients are scaled down to it"
    )
    joints2d_weight: float = Field(10.0, ge=0, description="weight of the mean L1 distance of joints in the image")
    joints_weight: float = Field(
        10.0, ge=0, description="weight of the mean L1 distance of joints in space, with the pelvis at 0"
    )
    root_weight: float = Field(1.0, ge=0, description="weight of the root rotation's squared distance (yaw and pitch)")
    shape_weight: float = Field(5.0, ge=0, description="weight of the squared relative error of girths")
    prior_weight: float = Field(
        0.01, ge=0, description="weight of squared shape numbers and of rotations from the rest pose"
    )
    flip: float = Field(0.5, ge=0, le=1, description="probability of mirroring an image and its truth")
    zoom: float = Field(
        0.15,
        ge=0,
        lt=1,
        description="largest relative change of an image's scale; its stretch changes by up to a third of that",
    )
    shift: float = Field(0.06, ge=0, lt=1, description="largest shift, as a fraction of the image")
    jitter: tuple[float, float, float, float] = Field(
        (0.4, 0.4, 0.4, 0.1), description="largest changes of brightness, contrast, saturation and hue"
    )
    grey: float = Field(0.1, ge=0, le=1, description="probability of converting an image to grey")
    erase: float = Field(0.2, ge=0, le=1, description="probability that a rectangle of the image is hidden")
    held_out: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="share of the pool's images of persons held out for measurements, at most 1000 images",
    )
    monitor_every: int = Field(5, ge=1, description="epochs between measurements on the held-out images")
    sheet: int = Field(16, ge=1, description="number of held-out images on fitted.png")

    @field_validator("grid")
    @classmethod
    def _cells(cls, grid: tuple[int, int]) -> tuple[int, int]:
        if min(grid) < 1:
            raise ValueError("grid is rows and columns, each at least 1")
        return grid

    @field_validator("jitter")
    @classmethod
    def _amounts(cls, jitter: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        if min(jitter) < 0 or max(jitter) >= 1 or jitter[3] > 0.5:
            raise ValueError("jitter is four numbers from 0 to below 1; the last (hue) is at most 0.5")
        return jitter

    @model_validator(mode="after")
    def _encoder_that_weights_fit(self) -> HMRTrainingParams:
        if self.encoder_weights is not None and self.backbone == "small":
            raise ValueError(
                "encoder_weights need a torchvision encoder, not the small one: set backbone to resnet18 or resnet50"
            )
        require_file(self.encoder_weights, self.labels, "encoder_weights")
        return self

    def protocol(self) -> frozenset[str]:
        """Words for the protocol column: the pool's truth, and the labels used to train the initial encoder."""
        return behind(self.encoder_weights, self.labels) | {"truth"}


class FittingParams(StructureParams):
    """Parameters shared by both providers."""

    persons: int = Field(8, ge=1, description="number of persons on fitted.png, with the bodies fitted to them")


class HMRParams(FittingParams):
    """Parameters of hmr."""

    regressor: Regressor = Field(Nested(use="hmr-training"), description="regressor, trained on the task's pool")


class HMRWeightsParams(FittingParams):
    """Parameters of hmr-weights."""

    weights: Weights = Field(description="regressor.safetensors of hmr-training, or your own with the same tensors")
    spec: Spec | None = Field(None, description="JSON description of the network; default: the metadata of the weights")
    labels: Labels = Field(None, description=DESCRIPTION)

    def protocol(self) -> frozenset[str]:
        """Words for the protocol column."""
        return behind(self.weights, self.labels)
