"""example-selector: selects the images of a pool for pre-training."""

from __future__ import annotations

import numpy as np

from reidbench import SelectContext, Selection

from . import SelectorParams


def select(ctx: SelectContext[SelectorParams]) -> Selection:
    """Keep the images with the highest contrast, the standard deviation of their pixels. The first wins a tie."""
    count = len(ctx.pool)
    scores = np.empty(count)
    for index in range(count):
        scores[index] = ctx.pool.image(index).std()
        ctx.progress(index + 1, count)
    kept = max(1, round(ctx.params.keep * count))
    return Selection(np.argsort(-scores, kind="stable")[:kept], scores)
