"""Parameters of pcb."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from reidbench.training import params as shared


class PcbParams(shared.EpochParams):
    """Parameters of pcb; the defaults are the paper's for uniform stripes, at 384x128 with a ResNet-50."""

    epochs: int = Field(60, ge=1, description="number of passes over the source with uniform stripes")
    batch: shared.PoolBatch = 64
    lr: float = Field(0.1, gt=0, description="learning rate of the new layers (SGD with Nesterov's momentum)")
    network_rate: float = Field(
        0.1, gt=0, description="learning rate of the backbone as a factor of that of new layers"
    )
    momentum: float = Field(0.9, gt=0, lt=1, description="Nesterov's momentum")
    weight_decay: shared.SgdDecay = 5e-4
    milestones: shared.Milestones = (2 / 3,)
    gamma: shared.Gamma = 0.1
    parts: int = Field(6, ge=1, description="number of horizontal stripes, or of refined parts")
    dim: int = Field(256, ge=1, description="length of a part's reduced vector")
    reduction: Literal["shared", "separate"] = Field(
        "shared", description="1x1 convolution and batch norm: one for all parts (official code), or one for each"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="probability of dropout before the 1x1 convolution")
    feature: Literal["pooled", "reduced"] = Field(
        "pooled", description="feature of a part at test: before (G, longer) or after (H) the 1x1 convolution"
    )
    refine_epochs: int = Field(
        0, ge=0, description="number of further passes, with refined part pooling (RPP); 0: uniform stripes at test"
    )
    induce_epochs: int = Field(
        0, ge=0, description="of refine_epochs, number of passes at the start that train the part classifier alone"
    )
    refine_lr: float = Field(0.01, gt=0, description="learning rate of the new layers in refine_epochs")
    part_inputs: int | None = Field(
        256,
        ge=1,
        description="inputs of the part classifier: about this number of means over groups of channels, relative to "
        "the whole map (official code); null: all channels, without a bias (paper)",
    )
    flip: shared.Flip = 0.5
    erase: shared.EraseMean = 0.0

    @model_validator(mode="after")
    def _induces_within_the_refinement(self) -> PcbParams:
        if self.induce_epochs > self.refine_epochs:
            raise ValueError(
                f"induce_epochs {self.induce_epochs} is a part of refine_epochs {self.refine_epochs}: increase "
                "refine_epochs, or decrease induce_epochs"
            )
        return self

    @property
    def refined(self) -> bool:
        """Whether the training ends with refined parts."""
        return self.refine_epochs > 0

    @property
    def passes(self) -> int:
        """Number of passes over the source."""
        return self.epochs + self.refine_epochs
