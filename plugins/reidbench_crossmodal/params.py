"""Parameters of two-stream."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reidbench.training import params as shared


class TwoStreamParams(shared.EpochParams):
    """Parameters of two-stream; the defaults are for a small network with random weights, `preset: paper` is AGW's."""

    epochs: int = Field(40, ge=1, description="number of epochs; each has about as many images as the larger modality")
    identities: shared.Identities = 8
    images: int = Field(4, ge=1, description="images per identity and modality in a batch (K)")
    shared_from: int = Field(
        1, ge=1, le=4, description="first stage shared by the modalities; stem and earlier stages are separate"
    )
    pool: shared.PoolName = "backbone"
    optimiser: Literal["adam", "sgd"] = Field("adam", description="Adam, or SGD with Nesterov's momentum (AGW)")
    lr: float = Field(3e-3, gt=0, description="learning rate; the default is for random, not pre-trained weights")
    network_rate: float = Field(
        1.0, gt=0, description="learning rate of stem and stages as a factor of lr, which neck and classifier use"
    )
    momentum: shared.Momentum = 0.9
    weight_decay: float = Field(5e-4, ge=0, description="weight decay of the optimiser")
    warmup: shared.Warmup = 1 / 12
    warmup_factor: float = Field(0.01, gt=0, le=1, description="first learning rate of the warm-up, as a factor of lr")
    milestones: shared.Milestones = (0.5, 0.8)
    gamma: shared.Gamma = 0.1
    label_smoothing: shared.LabelSmoothing = 0.1
    triplet: Literal["weighted", "weighted-code", "hard"] = Field(
        "weighted",
        description="weighted regularised triplet as AGW prints it, as its code computes it, or batch-hard triplet",
    )
    margin: float | None = Field(0.3, description="margin of `triplet: hard`; null: soft margin")
    triplet_weight: shared.TripletWeight = 1.0
    flip: shared.Flip = 0.5
    pad: shared.Pad = None
    erase: shared.Erase = 0.5
    grey: float = Field(0.0, ge=0, le=1, description="probability of turning a visible image grey")

    def required(self) -> frozenset[str]:
        """Return the requirements: stages to copy, and the modality that selects a copy."""
        return shared.pool_needs(self.pool) | {"stages", "modality"}

    def protocol(self) -> frozenset[str]:
        """Return words for the protocol column."""
        return super().protocol() | {"modality"}
