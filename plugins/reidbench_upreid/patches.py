"""Body patches: splitting a view, the mirrored position, positives and negatives of each position."""

from __future__ import annotations

import torch

from reidbench.errors import ReidbenchError


def split_patches(images: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """[B, 3, H, W] to patches [B, M, 3, H / rows, W / columns], row by row from the top left, without resizing.

    Raises ReidbenchError if the size is not divisible.
    """
    batch, channels, height, width = images.shape
    if height % rows or width % columns:
        raise ReidbenchError(
            f"images of {height}x{width} cannot be divided into {rows} x {columns} patches of whole pixels: set "
            "rows and columns"
        )
    grid = images.reshape(batch, channels, rows, height // rows, columns, width // columns)
    return grid.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)


def mirror(rows: int, columns: int) -> torch.Tensor:
    """hs [M]: the position of patch i after a horizontal flip; (r, c) becomes (r, columns - 1 - c).

    With an odd number of columns the patches of the middle one are their own mirror.
    """
    return torch.arange(rows * columns).view(rows, columns).flip(1).flatten()


def mixed_banks(banks: torch.Tensor) -> torch.Tensor:
    """Negatives [1, D, N'] shared by all positions: every M-th column of bank b [M, D, N], starting at the b-th.

    About as many as one bank has, and never two of one image, so that only the choice of position differs.
    """
    count = len(banks)
    return torch.cat([bank[:, first::count] for first, bank in enumerate(banks)], 1)[None]
