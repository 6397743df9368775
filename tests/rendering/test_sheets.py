"""Contact sheets, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from reidbench.rendering.sheets import MARGIN, contact_sheet


@pytest.mark.parametrize(("height", "scale"), [(32, 4), (50, 3), (128, 1), (200, 1)])
def test_pictures_stand_in_rows_and_columns_and_are_enlarged(height: int, scale: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 2, height, 20, 3), dtype=np.uint8)
    sheet = np.asarray(contact_sheet([list(row) for row in pictures], ["seen", "45"]))
    assert sheet.shape == (MARGIN + 3 * height * scale, 2 * 20 * scale, 3)
    for row in range(3):
        for column in range(2):
            top, left = MARGIN + row * height * scale, column * 20 * scale
            shown = sheet[top : top + height * scale, left : left + 20 * scale]
            assert np.array_equal(shown[::scale, ::scale], pictures[row, column])
            assert np.array_equal(shown[scale - 1 :: scale, scale - 1 :: scale], pictures[row, column])
    names = sheet[:MARGIN].min(2)
    assert (names[:, : 20 * scale] < 255).any()
    assert (names[:, 20 * scale :] < 255).any()


def test_without_names_there_is_no_margin() -> None:
    picture = np.full((128, 8, 3), 7, np.uint8)
    assert np.array_equal(np.asarray(contact_sheet([[picture]])), picture)
