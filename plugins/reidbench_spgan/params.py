"""Parameters of spgan and of the preparers of translated images; defaults are SPGAN's, for any image size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from reidbench import Params, Uses
from reidbench.components import ContentHashed, Nested
from reidbench.training import params as shared

if TYPE_CHECKING:
    Translation = Nested
else:
    Translation = Uses["preparer", "source"]
MOST_LAYERS = 4  # of the Siamese network, if the image size allows them


class TranslationParams(Params):
    """Parameters shared by all preparers of translated images."""

    sheet: int = Field(8, ge=1, description="number of source images on contact-sheet.png, one per row")


class CycleGanParams(TranslationParams):
    """Parameters of cyclegan."""

    size: tuple[int, int] | None = Field(
        None, description="height and width of the translated images; default: image_size"
    )
    channels: int = Field(64, ge=2, description="number of channels of the first layer of both generators")
    blocks: int = Field(9, ge=1, description="number of residual blocks of both generators")
    critic_channels: int = Field(64, ge=2, description="number of channels of the first layer of both discriminators")
    critic_layers: int = Field(3, ge=1, description="number of halvings in both discriminators; 3: patches of 70x70")
    batch: int = Field(1, ge=1, description="images of each domain in a batch")
    epochs: int = Field(6, ge=1, description="number of passes over the smaller of source and target")
    steps: int | None = Field(None, ge=1, description="number of steps; overrides `epochs`")
    lr: float = Field(2e-4, gt=0, description="Adam's learning rate of all networks")
    betas: tuple[float, float] = Field((0.5, 0.999), description="Adam's beta1 and beta2")
    decay_start: float = Field(
        1.0, ge=0, le=1, description="fraction of the steps after which lr falls linearly to 0; 1: it is constant"
    )
    cycle_weight: float = Field(10.0, ge=0, description="weight of the cycle loss |x - F(G(x))|, in both directions")
    identity_weight: float = Field(
        5.0, ge=0, description="weight of the identity loss |x - G(x)| at images of the generator's own domain"
    )
    history: int = Field(50, ge=0, description="number of earlier translations that a discriminator may see; 0: none")
    enlarge: float = Field(
        286 / 256, ge=1, le=2, description="factor by which training images are enlarged before the random crop"
    )
    flip: shared.Flip = 0.5
    save_every: int = Field(200, ge=1, description="steps between checkpoints and between log lines")
    quality: int = Field(95, ge=1, le=100, description="JPEG quality of the translated images")

    @field_validator("size")
    @classmethod
    def _divisible(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        if size is not None and (min(size) < 8 or size[0] % 4 or size[1] % 4):
            raise ValueError("height and width must be multiples of 4 and at least 8")
        return size


class SpganParams(CycleGanParams):
    """Parameters of the preparer spgan."""

    similarity_weight: float = Field(
        2.0, gt=0, description="weight of the similarity loss in the generators' loss; for 0 use cyclegan"
    )
    margin: float = Field(
        2.0,
        ge=0,
        le=2,
        description="margin of the similarity loss, for unit vectors at most 2; 0: only positive pairs count",
    )
    negatives: Literal["translated", "real"] = Field(
        "translated",
        description="negative pairs: each translated image with the image of its new domain, as in the paper, or "
        "source image with target image, as in the official code, where they train the Siamese network only",
    )
    siamese_channels: int = Field(64, ge=2, description="number of channels of the Siamese network's first layer")
    siamese_layers: int | None = Field(
        None,
        ge=1,
        description="convolutions of the Siamese network, each of which quarters the image; default: 4, or as many as "
        "the size allows",
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout rate before the Siamese network's last layer")


class TranslatedFolderParams(TranslationParams):
    """Parameters of translated-folder."""

    folder: Annotated[Path, ContentHashed(folder=True, stand_in="reidbench_spgan.stand_ins:translated_folder")] = Field(
        description="folder of translated source training images"
    )
    pattern: str = Field(
        "{name}",
        description="file name of a translated image, from the {name}, {stem} or {path} of its source image; SPGAN's "
        "releases prefix the target: market_{name}, duke_{name}",
    )

    @field_validator("pattern")
    @classmethod
    def _names_the_image(cls, pattern: str) -> str:
        if not any(f"{{{word}}}" in pattern for word in ("stem", "name", "path")):
            raise ValueError("must contain one of {stem}, {name} and {path}")
        return pattern


class SpganTrainingParams(Params):
    """Parameters of the adapter spgan."""

    translation: Translation | None = Field(
        Nested(use="spgan"),
        description="preparer of the source images in the target's style; null: the source images as they are, the "
        "control",
    )
    epochs: int = Field(50, ge=1, description="number of passes over the translated images")
    batch: shared.PoolBatch = 16
    lr: float = Field(1e-3, gt=0, description="SGD's learning rate of the backbone")
    classifier_factor: float = Field(2.0, gt=0, description="learning rate of the classifier relative to lr")
    milestones: shared.Milestones = (0.4, 0.8)
    gamma: shared.Gamma = 0.1
    momentum: shared.Momentum = 0.9
    weight_decay: shared.SgdDecay = 5e-4
    flip: shared.Flip = 0.5
    fix_norms: bool = Field(
        True,
        description="keep statistics, scale and shift of the backbone's batch norms, as the official code does with "
        "those from ImageNet",
    )
    parts: int = Field(
        0,
        ge=0,
        description="number of horizontal parts of the map that are max-pooled separately at test time (local max "
        "pooling, LMP); 0: the backbone's pooling",
    )
