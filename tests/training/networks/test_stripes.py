"""Cells and balanced stripes on maps that can be read by eye."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reidbench.training.networks.stripes import Apart, balanced_borders, balanced_vectors, grid_vectors


def peaks(rows: list[int], height: int = 6, width: int = 3) -> torch.Tensor:
    """One image; channel c has its only maximum in row rows[c]."""
    maps = torch.zeros(1, len(rows), height, width)
    for channel, row in enumerate(rows):
        maps[0, channel, row, channel % width] = 1.0 + channel
    return maps


@pytest.mark.parametrize(
    ("rows", "stripes", "borders"),
    [
        ([0, 1, 2, 3, 4, 5], 2, [0, 3, 6]),  # one maximum in each row: equal stripes
        ([0, 1, 2, 3, 4, 5], 3, [0, 2, 4, 6]),
        ([0, 0, 0, 5], 2, [0, 1, 6]),  # row 0 has half of the mass already
        ([4, 5, 5, 5], 2, [0, 5, 6]),  # reached only in the last row, which the last stripe keeps
        ([0, 0, 0, 0], 3, [0, 1, 2, 6]),  # every stripe keeps one row at least
        ([2, 2, 3, 3], 2, [0, 3, 6]),
        ([5, 5, 5, 5], 3, [0, 4, 5, 6]),
    ],
)
def test_borders_cut_the_histogram_of_maxima_at_equal_mass(rows: list[int], stripes: int, borders: list[int]) -> None:
    assert balanced_borders(peaks(rows), stripes).tolist() == [borders]


def test_every_image_has_borders_of_its_own_and_equal_maxima_count_for_the_first_row() -> None:
    both = torch.cat([peaks([0, 0, 0, 5]), peaks([1, 3, 4, 5])])
    assert balanced_borders(both, 2).tolist() == [[0, 1, 6], [0, 4, 6]]
    level = torch.ones(1, 4, 6, 3)
    level[..., 1] = 2  # every row has the maximum of each channel: the first counts
    assert balanced_borders(level, 2).tolist() == [[0, 1, 6]]
    with pytest.raises(ValueError, match="7 stripes require at least as many rows, the map has 6"):
        balanced_borders(both, 7)


def test_dead_channels_have_no_maximum() -> None:
    alive = peaks([4, 5])
    maps = torch.cat([alive, torch.zeros(1, 6, 6, 3), torch.full((1, 2, 6, 3), 7.0)], 1)
    assert balanced_borders(maps, 2).tolist() == balanced_borders(alive, 2).tolist() == [[0, 5, 6]]
    both = torch.cat([maps, torch.zeros_like(maps)])  # in the second image nothing is alive
    assert balanced_borders(both, 3).tolist() == [[0, 4, 5, 6], [0, 2, 4, 6]]


@pytest.mark.parametrize("pool", ["max", "avg"])
def test_balanced_vectors_pool_their_own_rows(pool: str) -> None:
    maps = torch.arange(2 * 6 * 3, dtype=torch.float32).view(1, 2, 6, 3) - 40  # all negative: padding must not win
    maps[0, 0, 0, 0] = maps[0, 1, 0, 0] = 9.0  # so that the border is after row 0
    top, rest = balanced_vectors(maps, 2, pool)
    reduce = (lambda part: part.amax((2, 3))) if pool == "max" else (lambda part: part.mean((2, 3)))
    assert torch.allclose(top.flatten(1), reduce(maps[:, :, :1]))
    assert torch.allclose(rest.flatten(1), reduce(maps[:, :, 1:]))


def test_equal_mass_gives_the_vectors_of_equal_stripes() -> None:
    maps = peaks([0, 1, 2, 3, 4, 5])
    for ours, plain in zip(balanced_vectors(maps, 3), grid_vectors(maps, 3, 1), strict=True):
        assert torch.equal(ours, plain)


def test_cells_go_row_by_row() -> None:
    maps = torch.arange(16.0).view(1, 1, 4, 4)
    assert [float(vector) for vector in grid_vectors(maps, 2, 2)] == [5, 7, 13, 15]
    assert [float(vector) for vector in grid_vectors(maps, 2, 2, "avg")] == [2.5, 4.5, 10.5, 12.5]
    assert float(grid_vectors(maps, 1, 1)[0]) == 15


def test_stripes_apart_do_not_see_over_their_border() -> None:
    layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.ones_(layer.weight)
    maps = torch.zeros(1, 1, 6, 3, requires_grad=True)
    answer = Apart(layer, 2)(maps)
    assert answer.shape == maps.shape
    (gradient,) = torch.autograd.grad(answer[0, 0, 2, 1], maps)  # the last row of the upper stripe
    assert gradient[0, 0].sum(1).tolist() == [0, 3, 3, 0, 0, 0]
    (gradient,) = torch.autograd.grad(layer(maps)[0, 0, 2, 1], maps)
    assert gradient[0, 0].sum(1).tolist() == [0, 3, 3, 3, 0, 0]
    with pytest.raises(ValueError, match="7 stripes require at least as many rows, the map has 6"):
        Apart(layer, 7)(maps)
