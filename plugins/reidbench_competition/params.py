"""Parameters of the competition system."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from reidbench import AddedLater, Params
from reidbench.training import params as shared

Share = tuple[float, float]


class CompetitionRecipe(Params):
    """Parameters of both competition and competition-joint; probability 0 disables an augmentation."""

    epochs: shared.SamplerEpochs = 120
    identities: shared.Identities = 16
    images: shared.Images = 4
    lr: shared.AdamRate = 3.5e-4
    weight_decay: shared.AdamDecay = 5e-4
    warmup: shared.Warmup = 1 / 12
    milestones: shared.Milestones = (1 / 3, 7 / 12)
    gamma: shared.Gamma = 0.1

    branches: Literal["global", "mgn", "rmgl", "grid"] = Field(
        "global", description="one vector; MGN's stripes; RMGL's stripes; MGN with a branch of 2 x 2 cells"
    )
    apart: bool = Field(True, description="rmgl: show the last stage one stripe at a time (RP)")
    balanced: bool = Field(True, description="rmgl: borders follow the channels' maxima (ABP); false: equal stripes")
    dim: int = Field(256, ge=1, description="length of each vector of a branch; `global` keeps the backbone's length")
    pool: Literal["max", "avg"] = Field("max", description="pooling of branches and parts")

    id_weight: float = Field(0.1, ge=0, description="weight of the cross-entropy, the mean over all vectors")
    triplet_weight: float = Field(0.9, ge=0, description="weight of the triplet loss, the mean over global vectors")
    distance: Literal["cosine", "euclidean"] = Field("cosine", description="distance of the batch-hard triplet")
    triplet_on: Literal["before", "after"] = Field("before", description="use vectors before or after their necks")
    margins: tuple[Share, ...] = Field(
        ((0.0, 0.1), (0.5, 0.3)), description="margin schedule: pairs of fraction of the epochs and margin, rising"
    )
    label_smoothing: shared.LabelSmoothing = 0.1

    drop_singles: bool = Field(True, description="exclude identities with a single image")
    double_below: int = Field(
        100, ge=0, description="identities of 1 < n < this many images may be doubled; 0 disables"
    )
    double_probability: float = Field(0.5, ge=0, le=1, description="probability of doubling such an identity")

    flip: shared.Flip = 0.5
    pad: shared.Pad = None
    jitter: float = Field(0.5, ge=0, le=1, description="probability of colour jitter")
    jitter_amounts: tuple[float, float, float, float] = Field(
        (0.2, 0.15, 0.1, 0.05), description="largest change of brightness, contrast, saturation and hue"
    )
    affine: float = Field(0.5, ge=0, le=1, description="probability of a small rotation, translation and scaling")
    random_patch: float = Field(0.5, ge=0, le=1, description="probability of pasting a patch of another image")
    patch_pool: int = Field(50_000, ge=100, description="number of patches in the pool")
    patch_minimum: int = Field(100, ge=1, description="number of patches in the pool before the first one is pasted")
    patch_rotate: Annotated[float, AddedLater(before=0.0)] = Field(
        0.5, ge=0, le=1, description="probability of rotating a pasted patch, by up to 10 degrees in either direction"
    )
    random_shift: float = Field(0.5, ge=0, le=1, description="probability of moving a part over a canvas (RSA)")
    shift_least: float = Field(
        0.7, gt=0, le=1, description="RSA: smallest share of the height that is cut out and kept"
    )
    erase: shared.EraseMean = 0.5
    accumulate: shared.Accumulate = 1

    @field_validator("margins")
    @classmethod
    def _rising(cls, margins: tuple[Share, ...]) -> tuple[Share, ...]:
        starts = [start for start, _ in margins]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= 1:
            raise ValueError("margins must start at fraction 0 and rise below 1, for example [[0, 0.1], [0.5, 0.3]]")
        return margins

    def margin(self, epoch: int) -> float:
        """Return the margin of an epoch, counted from 0."""
        return [margin for start, margin in self.margins if epoch >= start * self.epochs][-1]


class CompetitionParams(shared.EpochParams, CompetitionRecipe):
    """Parameters of competition."""


class JointParams(CompetitionRecipe):
    """Parameters of competition-joint: the recipe's, and those of the circular search."""

    threshold: float = Field(0.5, gt=0, description="largest cosine distance of an image to its match")
    chains: Literal["union", "parent"] = Field("union", description="rule for chains i -> j -> k")
    mutual: Literal["keep", "drop"] = Field("drop", description="rule for two images that select each other")
    self_match: Literal["never", "allowed"] = Field("never", description="whether an image may match itself")
    ties: Literal["first", "last"] = Field("first", description="image to select among ties")
