"""Contact sheets: pictures in rows and columns, for inspection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .arrays import Bytes

MARGIN = 12  # pixels above the sheet, for the columns' names
TALL = 128  # minimum height of a picture in pixels


def contact_sheet(rows: Sequence[Sequence[Bytes]], names: Sequence[str] = ()) -> Image.Image:
    """Contact sheet of pictures of one size [H, W, 3], enlarged to at least 128 rows, with the columns' names."""
    scale = max(1, -(-TALL // rows[0][0].shape[0]))
    grid = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    grid = grid.repeat(scale, axis=0).repeat(scale, axis=1)
    margin = MARGIN if names else 0
    sheet = Image.new("RGB", (grid.shape[1], grid.shape[0] + margin), "white")
    sheet.paste(Image.fromarray(grid), (0, margin))
    for column, name in enumerate(names):
        ImageDraw.Draw(sheet).text((column * grid.shape[1] // len(names) + 2, 0), name, fill="black")
    return sheet
