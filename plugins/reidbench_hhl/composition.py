"""Number of images of each kind in a step of HHL; does not import torch."""

from __future__ import annotations

from dataclasses import dataclass

from .params import HHLParams


@dataclass(frozen=True)
class Composition:
    """Rows of a step: classification, P x K of the source's triplets, n_t target images of 1 + C rows each.

    All code takes these numbers from here.
    """

    classified: int
    identities: int
    images: int
    real: int
    fakes: int  # of each target image, including its own camera's

    @classmethod
    def of(cls, params: HHLParams, styles: int) -> Composition:
        """Return the rows that the loss needs with `styles` fakes per image; by default 128 + 8 x 8 + 16 x (1 + C)."""
        source = params.loss in ("L_T", "L_D", "L_CD")
        target = params.target_images if params.loss in ("forward", "L_D", "L_C", "L_CD") else 0
        fakes = styles if params.loss in ("forward", "L_C", "L_CD") else 0
        return cls(params.id_batch, params.identities if source else 0, params.images, target, fakes)
