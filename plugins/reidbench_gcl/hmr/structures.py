"""`hmr` and `hmr-weights`: structure maps of the bodies that a regressor sees in the target's pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reidbench import PrepareContext
from reidbench.errors import DataError

from ..structure.structure_maps import write_structure_maps
from .fitting import aspect_of, body_views, fit, fitted_sheet
from .network import WEIGHTS, Regressor, load_regressor
from .params import FittingParams, HMRParams, HMRWeightsParams

SHEET = "fitted.png"


def prepare(ctx: PrepareContext[HMRParams]) -> None:
    """Structure maps of the bodies that the regressor of the field `regressor` sees: no truth of these images is used.

    Raises DataError when that component left no regressor.
    """
    params = ctx.params
    weights = ctx.prepared["regressor"] / WEIGHTS
    if not weights.is_file():
        raise DataError(f"{params.regressor.use} left no {WEIGHTS}, so it is no regressor of hmr")
    _write(ctx, load_regressor(weights), "hmr")


def prepare_with_weights(ctx: PrepareContext[HMRWeightsParams]) -> None:
    """The same with a user's weights. Raises DataError for files that are no weights of the regressor."""
    params = ctx.params
    spec = Path(params.spec) if params.spec is not None else None
    _write(ctx, load_regressor(Path(params.weights), spec), "hmr-weights")


def _write(ctx: PrepareContext[FittingParams], regressor: Regressor, provider: str) -> None:
    """Fit all images, render them, and draw the first persons beside their bodies."""
    params = ctx.params
    regressor.to(ctx.fabric.device)
    fitted = fit(regressor, ctx.split, np.arange(len(ctx.split)), ctx.workers)
    aspect = aspect_of(regressor)

    def make(index: int) -> np.ndarray | None:
        # A picture without numbers in it makes no body.
        if not bool(fitted.camera[index].isfinite().all() and fitted.pose[index].isfinite().all()):
            return None
        return body_views(fitted, index, aspect, ctx.image_size, params.angles)

    write_structure_maps(ctx, provider, make)
    first = np.arange(min(params.persons, len(ctx.split)))
    fitted_sheet(regressor, ctx.split, first, ctx.image_size).save(ctx.out / SHEET)
