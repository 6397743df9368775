"""`hmr` and `hmr-weights`: structure maps of bodies that a regressor estimates from the target's images."""

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
    """Write structure maps of bodies estimated by the field `regressor`, without any truth of these images.

    Raises DataError if that component left no regressor.
    """
    params = ctx.params
    weights = ctx.prepared["regressor"] / WEIGHTS
    if not weights.is_file():
        raise DataError(
            f"{params.regressor.use} left no {WEIGHTS}; set regressor to a component that trains one, "
            "such as hmr-training"
        )
    _write(ctx, load_regressor(weights), "hmr")


def prepare_with_weights(ctx: PrepareContext[HMRWeightsParams]) -> None:
    """Write the same with a user's weights. Raises DataError for files that are not weights of the regressor."""
    params = ctx.params
    spec = Path(params.spec) if params.spec is not None else None
    _write(ctx, load_regressor(Path(params.weights), spec), "hmr-weights")


def _write(ctx: PrepareContext[FittingParams], regressor: Regressor, provider: str) -> None:
    """Fit all images, render the bodies, and draw the first persons with their bodies."""
    params = ctx.params
    regressor.to(ctx.fabric.device)
    fitted = fit(regressor, ctx.split, np.arange(len(ctx.split)), ctx.workers)
    aspect = aspect_of(regressor)

    def make(index: int) -> np.ndarray | None:
        # An estimate that is not finite has no body.
        if not bool(fitted.camera[index].isfinite().all() and fitted.pose[index].isfinite().all()):
            return None
        return body_views(fitted, index, aspect, ctx.image_size, params.angles)

    write_structure_maps(ctx, provider, make)
    first = np.arange(min(params.persons, len(ctx.split)))
    fitted_sheet(regressor, ctx.split, first, ctx.image_size).save(ctx.out / SHEET)
