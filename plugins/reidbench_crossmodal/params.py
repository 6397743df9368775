"""Parameters of two-stream."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reidbench.training import params as shared


class TwoStreamParams(shared.EpochParams):
    """two-stream; the defaults are for a small network that starts from random weights, `preset: paper` is AGW's."""

    epochs: int = Field(40, ge=1, description="epochs; each has about as many images as the larger modality")
    identities: shared.Identities = 8
    images: int = Field(4, ge=1, description="images of each identity in a batch, in each modality (K)")
    shared_from: int = Field(
        1, ge=1, le=4, description="first stage that the modalities share; the stem and the stages before it are apart"
    )
    pool: shared.PoolName = "backbone"
    optimiser: Literal["adam", "sgd"] = Field("adam", description="Adam, or SGD with Nesterov's momentum (AGW)")
    lr: float = Field(3e-3, gt=0, description="learning rate; this one is for random weights, not for pre-trained ones")
    network_rate: float = Field(
        1.0, gt=0, description="rate of stem and stages as a share of lr, which neck and classifier have"
    )
    momentum: shared.Momentum = 0.9
    weight_decay: float = Field(5e-4, ge=0, description="weight decay of the optimiser")
    warmup: shared.Warmup = 1 / 12
    warmup_factor: float = Field(0.01, gt=0, le=1, description="where the warm-up starts, times lr")
    milestones: shared.Milestones = (0.5, 0.8)
    gamma: shared.Gamma = 0.1
    label_smoothing: shared.LabelSmoothing = 0.1
    triplet: Literal["weighted", "weighted-code", "hard"] = Field(
        "weighted",
        description="weighted regularised triplet as AGW prints it, as its code computes it, or the batch-hard one",
    )
    margin: float | None = Field(0.3, description="margin of `triplet: hard`; null: the soft margin")
    triplet_weight: shared.TripletWeight = 1.0
    flip: shared.Flip = 0.5
    pad: shared.Pad = None
    erase: shared.Erase = 0.5
    grey: float = Field(0.0, ge=0, le=1, description="probability that a visible image becomes grey")

    def required(self) -> frozenset[str]:
        """The stem is copied, and the modality says which copy an image passes."""
        return shared.pool_needs(self.pool) | {"stages", "modality"}

    def protocol(self) -> frozenset[str]:
        """Words for the protocol column."""
        return super().protocol() | {"modality"}
