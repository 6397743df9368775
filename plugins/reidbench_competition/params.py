"""Parameters of the competition system."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from reidbench import AddedLater, Params
from reidbench.training import params as shared

Share = tuple[float, float]


class CompetitionRecipe(Params):
    """What competition and competition-joint share; every augmentation is off at probability 0."""

    epochs: shared.SamplerEpochs = 120
    identities: shared.Identities = 16
    images: shared.Images = 4
    lr: shared.AdamRate = 3.5e-4
    weight_decay: shared.AdamDecay = 5e-4
    warmup: shared.Warmup = 1 / 12
    milestones: shared.Milestones = (1 / 3, 7 / 12)
    gamma: shared.Gamma = 0.1

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
    label_smoothing: shared.LabelSmoothing = 0.1

    drop_singles: bool = Field(True, description="leave out identities with a single image")
    double_below: int = Field(100, ge=0, description="identities of 1 < n < this many images may be doubled; 0: none")
    double_probability: float = Field(0.5, ge=0, le=1, description="probability that such an identity is doubled")

    flip: shared.Flip = 0.5
    pad: shared.Pad = None
    jitter: float = Field(0.5, ge=0, le=1, description="probability of colour jitter")
    jitter_amounts: tuple[float, float, float, float] = Field(
        (0.2, 0.15, 0.1, 0.05), description="most change of brightness, contrast, saturation and hue"
    )
    affine: float = Field(0.5, ge=0, le=1, description="probability of a small turn, move and scaling")
    random_patch: float = Field(0.5, ge=0, le=1, description="probability that a patch of another picture is pasted")
    patch_pool: int = Field(50_000, ge=100, description="patches that are kept")
    patch_minimum: int = Field(100, ge=1, description="patches before the first one is pasted")
    patch_rotate: Annotated[float, AddedLater(before=0.0)] = Field(
        0.5, ge=0, le=1, description="probability that a pasted patch is turned, by up to 10 degrees to either side"
    )
    random_shift: float = Field(0.5, ge=0, le=1, description="probability that a part is moved about a canvas (RSA)")
    shift_least: float = Field(0.7, gt=0, le=1, description="RSA: least share of height that is cut and kept")
    erase: shared.EraseMean = 0.5
    accumulate: shared.Accumulate = 1

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


class CompetitionParams(shared.EpochParams, CompetitionRecipe):
    """competition."""


class JointParams(CompetitionRecipe):
    """competition-joint: the recipe's parameters, and those of the circular search."""

    threshold: float = Field(0.5, gt=0, description="largest cosine distance of an image to the one that it names")
    chains: Literal["union", "parent"] = Field("union", description="what i -> j -> k becomes")
    mutual: Literal["keep", "drop"] = Field("drop", description="two that name each other; the system dropped both")
    self_match: Literal["never", "allowed"] = Field("never", description="whether an image may find itself")
    ties: Literal["first", "last"] = Field("first", description="which of equally near images counts")
