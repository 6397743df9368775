"""Parameters of up-reid."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from reidbench.training import params as shared
from reidbench.training.contrastive.params import ContrastiveParams

Position = Literal["same", "symmetric"]
MOST_FLAT = 32  # the flat MMD compares (2 B^2)^2 pairs of numbers: at 32 a matrix of 16 MB, at 64 one of 268 MB


class UpReidParams(ContrastiveParams):
    """Parameters of up-reid; defaults are the paper's where it states them, otherwise those of LUPerson's MoCo v2."""

    batch: shared.PoolBatch = 800
    lr: float | None = Field(0.1, gt=0, description="SGD's initial learning rate; null: 0.03 * batch / 256")
    global_weight: float = Field(0.8, ge=0, description="lambda_g, weight of the loss of whole images")
    patch_weight: float = Field(0.2, ge=0, description="lambda_p, weight of the mean loss of patches; 0: no patches")
    patch_temperature: float = Field(0.1, gt=0, description="t2, temperature of the loss of patches")
    rows: int = Field(4, ge=1, le=16, description="number of rows of patches")
    columns: int = Field(2, ge=1, le=16, description="number of columns of patches; rows x columns is the paper's M, 8")
    positives: tuple[Position, ...] = Field(
        ("same", "symmetric"), min_length=1, description="patches of the other view that are positives of a patch"
    )
    negatives: Literal["same-position", "mixed"] = Field(
        "same-position", description="bank of the negatives; mixed takes the same number, evenly from all positions"
    )
    consistency_weight: float = Field(1.0, ge=0, description="weight of the MMD; 0: plain images are not encoded")
    kernels: int = Field(
        5, ge=1, description="number of Gaussian kernels of the MMD, with widths that differ by factors of 2"
    )
    kernel_sum: Literal["mean", "sum"] = Field(
        "mean", description="reduction over the kernels; the MMD is at most 2 (mean), or 2 x kernels (sum)"
    )
    samples: Literal["rows", "flat"] = Field(
        "rows", description="samples of the MMD: each query's row of similarities, or each similarity"
    )
    detach_original: bool = Field(False, description="stop the gradient through the plain image's similarities")

    @model_validator(mode="after")
    def _possible(self) -> UpReidParams:
        if len(set(self.positives)) < len(self.positives):
            raise ValueError(f"positives {', '.join(self.positives)}: list each value once")
        if self.columns % 2 and len(self.positives) > 1:
            raise ValueError(
                "with an odd number of columns the middle column is its own mirror: set one kind of positives"
            )
        if self.patch_weight > 0 and not 2 <= self.patches <= 16:
            raise ValueError(
                f"rows x columns must be 2 to 16 patches, not {self.patches}; to disable patches set patch_weight: 0"
            )
        if self.samples == "flat" and self.consistency_weight > 0 and self.batch > MOST_FLAT:
            raise ValueError(f"samples: flat compares every pair of B x B numbers; use a batch of at most {MOST_FLAT}")
        return self

    @property
    def patches(self) -> int:
        """M."""
        return self.rows * self.columns
