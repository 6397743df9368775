"""Parameters of agw."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reidbench.training import params as shared

Count = Annotated[int, Field(ge=0)]


class AgwParams(shared.EpochParams):
    """Parameters of agw; the defaults are the official recipe's, for 256x128 and a ResNet-50."""

    epochs: shared.SamplerEpochs = 120
    identities: shared.Identities = 16
    images: shared.Images = 4
    lr: shared.AdamRate = 3.5e-4
    weight_decay: shared.AdamDecay = 5e-4
    warmup: shared.Warmup = 1 / 12
    warmup_factor: float = Field(0.01, gt=0, le=1, description="first learning rate of the warm-up, as a factor of lr")
    milestones: shared.Milestones = (1 / 3, 7 / 12)
    gamma: shared.Gamma = 0.1
    label_smoothing: shared.LabelSmoothing = 0.1
    non_local: tuple[Count, ...] = Field(
        (0, 2, 3, 0),
        description="for each stage of the backbone, how many of its last layers a non-local block follows",
    )
    inner: int | None = Field(
        1, ge=1, description="channels inside a non-local block; 1 as in the official code, null: half of the map's"
    )
    pool: Literal["gem", "avg"] = Field(
        "gem", description="pooling of the map: generalised mean with an exponent learned from 3 (gem), or average"
    )
    triplet: Literal["weighted", "weighted-code", "hard"] = Field(
        "weighted",
        description="weighted regularised triplet as the paper prints it, as the code computes it, or batch-hard one",
    )
    margin: float | None = Field(0.3, description="margin of `triplet: hard`; null: soft margin")
    triplet_weight: shared.TripletWeight = 1.0
    center_weight: float = Field(5e-4, ge=0, description="weight of the centre loss")
    center_lr: float = Field(0.5, gt=0, description="learning rate of the centres (SGD)")
    flip: shared.Flip = 0.5
    pad: shared.Pad = None
    erase: shared.Erase = 0.5
    accumulate: shared.Accumulate = 1
