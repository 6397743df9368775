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
    """Parameters shared by all style preparers."""

    sheet: int = Field(
        8, ge=1, description="number of persons on contact-sheet.png, one per row; cameras are its columns"
    )


class StarGanParams(StyleParams):
    """Parameters of stargan."""

    size: tuple[int, int] | None = Field(
        None, description="height and width of the generator's images; default: image_size"
    )
    channels: int = Field(64, ge=2, description="number of channels of the generator's first layer")
    blocks: int = Field(6, ge=1, description="number of residual blocks of the generator")
    critic_channels: int = Field(64, ge=2, description="number of channels of the discriminator's first layer")
    critic_layers: int = Field(6, ge=1, description="number of halvings in the discriminator; at most 5 at 64x32")
    batch: int = Field(16, ge=2, description="images per batch; an incomplete last batch of a pass is dropped")
    epochs: int = Field(
        200, ge=1, description="number of passes over the target, counted in steps of the discriminator"
    )
    steps: int | None = Field(None, ge=1, description="number of steps of the discriminator; overrides `epochs`")
    critic_steps: int = Field(5, ge=1, description="discriminator steps per generator step")
    lr: float = Field(1e-4, gt=0, description="Adam's learning rate of both networks")
    betas: tuple[float, float] = Field((0.5, 0.999), description="Adam's beta1 and beta2")
    decay_start: float = Field(0.5, ge=0, le=1, description="fraction of the steps after which lr falls linearly to 0")
    camera_weight: float = Field(1.0, ge=0, description="weight of the camera classification loss of both networks")
    cycle_weight: float = Field(10.0, ge=0, description="weight of the cycle loss |x - G(G(x, c'), c)|")
    penalty_weight: float = Field(10.0, ge=0, description="weight of the gradient penalty")
    identity_weight: float = Field(
        0.0, ge=0, description="weight of the identity loss |x - G(x, c)| at the image's own camera; 0 as in the paper"
    )
    enlarge: float = Field(
        1.125, ge=1, le=2, description="factor by which training images are enlarged before the random crop"
    )
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip in training")
    save_every: int = Field(200, ge=1, description="steps between checkpoints and between log lines")
    quality: int = Field(95, ge=1, le=100, description="JPEG quality of the fakes")

    @field_validator("size")
    @classmethod
    def _divisible(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        if size is not None and (min(size) < 8 or size[0] % 4 or size[1] % 4):
            raise ValueError("height and width must be multiples of 4 and at least 8")
        return size


class CamStyleFolderParams(StyleParams):
    """Parameters of camstyle-folder."""

    folder: Annotated[Path, ContentHashed(folder=True, stand_in="reidbench_hhl.stand_ins:camstyle_folder")] = Field(
        description="folder of style-transferred training images"
    )
    pattern: str = Field(
        "{stem}_fake_{k}.jpg",
        description="file name of an image in the style of camera k (from 1). {own} is the image's own "
        "camera, whose style is then the image itself, as in CamStyle's "
        "{stem}_fake_{own}to{k}.jpg",
    )
    cameras: int | None = Field(
        None, ge=1, description="number of styles of each image, k = 1 to this number; default: the target's cameras"
    )

    @field_validator("pattern")
    @classmethod
    def _tells_cameras_apart(cls, pattern: str) -> str:
        if "{k}" not in pattern or not any(f"{{{word}}}" in pattern for word in ("stem", "name", "path")):
            raise ValueError("must contain {k}, and one of {stem}, {name} and {path}")
        return pattern


class OracleStyleParams(StyleParams):
    """Parameters of oracle-style."""

    draws: int = Field(4, ge=1, description="number of renders of each image and camera; each step draws one")
    quality: int = Field(95, ge=1, le=100, description="JPEG quality of the renders")


class SelfStyleParams(StyleParams):
    """Parameters of self-style."""

    copies: int | None = Field(
        None, ge=1, description="number of copies of each image; default: one for each target camera"
    )
    jitter: float = Field(
        0.0, ge=0, lt=1, description="spread of brightness, contrast and saturation factors around 1; 0: plain copies"
    )
    quality: int = Field(95, ge=1, le=100, description="JPEG quality of the copies")

    def traits(self) -> frozenset[str]:
        """Only the jitter is random."""
        return frozenset({"seedless"} if self.jitter == 0 else ())

    def required(self) -> frozenset[str]:
        """Cameras are needed only if `copies` is not set."""
        return frozenset({"cameras"}) if self.copies is None else frozenset()


class HHLParams(Params):
    """Parameters of hhl."""

    style: Style = Field(
        Nested(use="stargan"), description="preparer of the target's images in the style of every camera"
    )
    loss: Loss = Field(
        "L_CD",
        description="rows of the triplet loss: source (L_T), source and real target (L_D), target with fakes "
        "(L_C), all (L_CD); none: source classification only; forward: the same, with target "
        "images forwarded without a loss",
    )
    beta: shared.TripletWeight = 0.5
    margin: float = Field(0.3, gt=0, description="margin of the batch-hard triplet loss")
    epochs: int = Field(60, ge=1, description="number of epochs: passes of the classification batches over the source")
    id_batch: int = Field(128, ge=2, description="source images per classification batch")
    identities: int = Field(8, ge=2, description="source identities per triplet batch (P)")
    images: int = Field(8, ge=2, description="images of each source identity (K)")
    target_images: int = Field(16, ge=0, description="real target images per batch (n_t), each with all its fakes")
    sampling: Literal["random", "cluster"] = Field(
        "random",
        description="choice of a batch's target images: random, or one from each of n_t k-means clusters of "
        "the epoch's features",
    )
    clusters: int | None = Field(None, ge=2, description="number of clusters for `sampling: cluster`; default: n_t")
    lr: float = Field(0.1, gt=0, description="SGD's learning rate of new layers")
    base_factor: float = Field(0.1, gt=0, description="learning rate of the backbone as a fraction of lr")
    lr_step: float = Field(
        2 / 3, gt=0, description="fraction of the epochs after which lr is divided by 10, repeatedly"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD's Nesterov momentum")
    weight_decay: shared.SgdDecay = 5e-4
    width: int = Field(1024, ge=1, description="output size of the layer shared by both branches")
    embedding: int = Field(128, ge=1, description="output size of the triplet branch")
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout rate before the classifier")
    train_embedding: bool = Field(
        True, description="train the shared layer and the triplet branch; the official code keeps their initial weights"
    )
    crop: Literal["rect", "none"] = Field(
        "rect", description="random crops of 0.64 to 1 of the area, 2 to 3 times as high as wide"
    )
    flip: shared.Flip = 0.5
    probe: int = Field(
        200, ge=0, description="number of target images used to measure invariance before and after training; 0: none"
    )

    @model_validator(mode="after")
    def _has_what_the_loss_compares(self) -> HHLParams:
        if self.loss in ("L_C", "forward") and self.target_images < 2:
            raise ValueError(f"loss {self.loss} needs target_images of at least 2")
        if self.loss == "L_D" and self.target_images == 1:
            raise ValueError("target_images: 1 cannot be batch-normalised: set 0, or 2 or more")
        if self.clusters is not None and self.sampling == "cluster" and self.clusters < self.target_images:
            raise ValueError(
                f"{self.clusters} clusters are too few to draw {self.target_images} images from: "
                "raise clusters or lower target_images"
            )
        if self.sampling == "cluster" and self.target_images < 2:
            raise ValueError("sampling: cluster needs target_images of at least 2")
        return self
