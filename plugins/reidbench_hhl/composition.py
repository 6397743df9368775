"""How many images of each kind a step of HHL has; free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from .params import HHLParams


@dataclass(frozen=True)
class Composition:
    """Rows of a step: classification, P x K of the source's triplets, n_t target images of 1 + C rows each.

    This is the one place that says how many of each there are.
    """

    classified: int
    identities: int
    images: int
    real: int
    fakes: int  # of each target image, its own camera's among them

    @classmethod
    def of(cls, params: HHLParams, styles: int) -> Composition:
        """The rows that the loss asks for, with `styles` fakes of each image; 128 + 8 x 8 + 16 x (1 + C) by default."""
        source = params.loss in ("L_T", "L_D", "L_CD")
        target = params.target_images if params.loss in ("forward", "L_D", "L_C", "L_CD") else 0
        fakes = styles if params.loss in ("forward", "L_C", "L_CD") else 0
        return cls(params.id_batch, params.identities if source else 0, params.images, target, fakes)
