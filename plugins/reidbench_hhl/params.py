"""Parameters of hhl and of the style preparers; defaults are the papers', for 256x128 and a ResNet-50."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from reidbench import Params, Uses
from reidbench.components import ContentHashed, Nested
from reidbench.training import params as shared

if TYPE_CHECKING:
    Style = Nested
else:
    Style = Uses["preparer", "target"]
Loss = Literal["none", "forward", "L_T", "L_D", "L_C", "L_CD"]


class StyleParams(Params):
    """What all style preparers share."""

    sheet: int = Field(8, ge=1, description="persons on contact-sheet.png, one a row; cameras are its columns")


class StarGanParams(StyleParams):
    """stargan."""

    size: tuple[int, int] | None = Field(None, description="height and width it works at; default: the benchmark's")
    channels: int = Field(64, ge=2, description="channels of the generator's first layer")
    blocks: int = Field(6, ge=1, description="residual blocks of the generator")
    critic_channels: int = Field(64, ge=2, description="channels of the discriminator's first layer")
    critic_layers: int = Field(6, ge=1, description="halvings in the discriminator; at 64x32 at most 5")
    batch: int = Field(16, ge=2, description="images in a batch; an incomplete last one of a pass is dropped")
    epochs: int = Field(200, ge=1, description="passes over the target, counted in steps of the discriminator")
    steps: int | None = Field(None, ge=1, description="steps of the discriminator, in place of `epochs`")
    critic_steps: int = Field(5, ge=1, description="steps of the discriminator for one of the generator")
    lr: float = Field(1e-4, gt=0, description="Adam's learning rate of both networks")
    betas: tuple[float, float] = Field((0.5, 0.999), description="Adam's moments")
    decay_start: float = Field(0.5, ge=0, le=1, description="fraction of the steps after which lr falls linearly to 0")
    camera_weight: float = Field(1.0, ge=0, description="weight of the camera classification of both networks")
    cycle_weight: float = Field(10.0, ge=0, description="weight of |x - G(G(x, c'), c)|")
    penalty_weight: float = Field(10.0, ge=0, description="weight of the gradient penalty")
    identity_weight: float = Field(
        0.0, ge=0, description="weight of |x - G(x, c)| at the image's own camera; 0 as in the paper"
    )
    enlarge: float = Field(1.125, ge=1, le=2, description="training images are resized by this, then cropped to size")
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip in training")
    save_every: int = Field(200, ge=1, description="steps between checkpoints and lines of the log")
    quality: int = Field(95, ge=1, le=100, description="JPEG quality of the fakes")

    @field_validator("size")
    @classmethod
    def _divisible(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        if size is not None and (min(size) < 8 or size[0] % 4 or size[1] % 4):
            raise ValueError("height and width must be multiples of 4, 8 or more")
        return size


class CamStyleFolderParams(StyleParams):
    """camstyle-folder."""

    folder: Annotated[Path, ContentHashed(folder=True, stand_in="reidbench_hhl.stand_ins:camstyle_folder")] = Field(
        description="folder of style-transferred training images"
    )
    pattern: str = Field(
        "{stem}_fake_{k}.jpg",
        description="file of an image in the style of camera k (from 1); {own} is the image's own camera, whose "
        "style is then the image itself: CamStyle's {stem}_fake_{own}to{k}.jpg",
    )
    cameras: int | None = Field(None, ge=1, description="styles of each image, k = 1 to this; default: the target's")

    @field_validator("pattern")
    @classmethod
    def _tells_cameras_apart(cls, pattern: str) -> str:
        if "{k}" not in pattern or not any(f"{{{word}}}" in pattern for word in ("stem", "name", "path")):
            raise ValueError("must hold {k}, and {stem}, {name} or {path}")
        return pattern


class OracleStyleParams(StyleParams):
    """oracle-style."""

    draws: int = Field(4, ge=1, description="renders of each image and camera, of which each step takes one")
    quality: int = Field(95, ge=1, le=100, description="JPEG quality of the renders")


class SelfStyleParams(StyleParams):
    """self-style."""

    copies: int | None = Field(None, ge=1, description="copies of each image; default: one for each target camera")
    jitter: float = Field(
        0.0, ge=0, lt=1, description="spread of brightness, contrast and saturation about 1; 0: plain copies"
    )
    quality: int = Field(95, ge=1, le=100, description="JPEG quality of the copies")

    def traits(self) -> frozenset[str]:
        """Only the jitter is drawn."""
        return frozenset({"seedless"} if self.jitter == 0 else ())

    def required(self) -> frozenset[str]:
        """As many copies as are asked for need no camera."""
        return frozenset({"cameras"}) if self.copies is None else frozenset()


class HHLParams(Params):
    """hhl."""

    style: Style = Field(
        Nested(use="stargan"), description="where the target's images in the style of every camera come from"
    )
    loss: Loss = Field(
        "L_CD",
        description="rows of the triplet loss: source (L_T), source and real target (L_D), target with fakes (L_C), "
        "all (L_CD); none: source classification alone; forward: and target images forwarded without any loss",
    )
    beta: shared.TripletWeight = 0.5
    margin: float = Field(0.3, gt=0, description="margin of the batch-hard triplet")
    epochs: int = Field(60, ge=1, description="passes of the classification batches over the source")
    id_batch: int = Field(128, ge=2, description="source images of a classification batch")
    identities: int = Field(8, ge=2, description="source identities of a triplet batch (P)")
    images: int = Field(8, ge=2, description="images of each (K)")
    target_images: int = Field(16, ge=0, description="real target images of a batch (n_t); each brings its fakes")
    sampling: Literal["random", "cluster"] = Field(
        "random", description="target images of a batch: any, or one of each of n_t k-means clusters of an epoch"
    )
    clusters: int | None = Field(None, ge=2, description="clusters of `sampling: cluster`; default: n_t")
    lr: float = Field(0.1, gt=0, description="SGD's learning rate of new layers")
    base_factor: float = Field(0.1, gt=0, description="the backbone's learning rate, times lr")
    lr_step: float = Field(
        2 / 3, gt=0, description="fraction of the epochs after which lr falls to a tenth, repeatedly"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD's Nesterov momentum")
    weight_decay: shared.SgdDecay = 5e-4
    width: int = Field(1024, ge=1, description="outputs of the layer that both branches share")
    embedding: int = Field(128, ge=1, description="outputs of the triplet branch")
    dropout: float = Field(0.5, ge=0, lt=1, description="before the classifier")
    train_embedding: bool = Field(
        True, description="train the shared layer and the triplet branch; the official code leaves them as drawn"
    )
    crop: Literal["rect", "none"] = Field("rect", description="crops of 0.64 to 1 of the area, twice to thrice as high")
    flip: shared.Flip = 0.5
    probe: int = Field(200, ge=0, description="target images on which invariance is measured before and after; 0: none")

    @model_validator(mode="after")
    def _has_what_the_loss_compares(self) -> HHLParams:
        if self.loss in ("L_C", "forward") and self.target_images < 2:
            raise ValueError(f"loss {self.loss} needs target_images of 2 or more")
        if self.loss == "L_D" and self.target_images == 1:
            raise ValueError("one target image alone cannot be batch-normalised: give target_images of 0, 2 or more")
        if self.clusters is not None and self.sampling == "cluster" and self.clusters < self.target_images:
            raise ValueError(f"{self.clusters} clusters are too few to draw {self.target_images} images from")
        if self.sampling == "cluster" and self.target_images < 2:
            raise ValueError("sampling: cluster needs target_images of 2 or more")
        return self
