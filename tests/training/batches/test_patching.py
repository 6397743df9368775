"""RandomPatch, RandomShift, RandomAffine: where pixels come from, in numbers."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from reidbench.training.batches.patching import RandomAffine, RandomPatch, RandomShift, turned

SIZE = (16, 8)


def pictures(indices: torch.Tensor) -> torch.Tensor:
    """Picture i is 100 (i + 1) plus its pixel's number / 128, so that each pixel identifies its origin."""
    plain = torch.arange(SIZE[0] * SIZE[1], dtype=torch.float32).view(1, 1, *SIZE) / 128
    return (100.0 * (indices.float() + 1)).view(-1, 1, 1, 1) + plain.expand(len(indices), 3, *SIZE)


def patcher(**options: float) -> RandomPatch:
    plain = {"minimum": 4, "capacity": 8, "rotate": 0.0}
    return RandomPatch(pictures, SIZE, **{**plain, **options})  # type: ignore[arg-type]


def run(module: RandomPatch, batches: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [module(pictures(torch.arange(4) + 4 * n), torch.arange(4) + 4 * n, generator) for n in range(batches)]


def test_nothing_is_pasted_before_the_pool_has_its_minimum() -> None:
    first = run(patcher(minimum=5, probability=1.0), 2)
    assert torch.equal(first[0], pictures(torch.arange(4)))
    assert not torch.equal(first[1], pictures(torch.arange(4) + 4))


def test_a_patch_is_a_rectangle_of_an_earlier_picture_in_place_of_the_same_size() -> None:
    module = patcher(probability=1.0, flip=0.0)
    images = run(module, 6)[-1]
    own = 100.0 * (torch.arange(4) + 21)
    for row in range(4):
        alien = images[row, 0].floor() // 100 != own[row] // 100
        tall, wide = alien.any(1).sum(), alien.any(0).sum()
        assert alien.sum() == tall * wide > 0  # a rectangle
        inside = images[row, 0][alien]
        assert (inside // 100).unique().numel() == 1  # of one picture
        assert inside[0] // 100 <= own[row] // 100
        places = ((inside % 100) * 128).round().long().view(int(tall), int(wide))
        assert (places.diff(dim=1) == 1).all()  # side by side as before
        assert (places.diff(dim=0) == SIZE[1]).all()


def test_mirrored_patches_lie_the_other_way_round() -> None:
    """The same numbers with flip 1: each rectangle is mirrored."""
    plain, mirrored = (run(patcher(probability=1.0, flip=flip), 6)[-1] for flip in (0.0, 1.0))
    own = 100.0 * (torch.arange(4) + 21)
    for row in range(4):
        alien = plain[row, 0].floor() // 100 != own[row] // 100
        shape = int(alien.any(1).sum()), int(alien.any(0).sum())
        one, other = (images[row, 0][alien].view(shape) for images in (plain, mirrored))
        assert torch.equal(one.flip(1), other)
        assert torch.equal(plain[row, 0][~alien], mirrored[row, 0][~alien])


@pytest.mark.parametrize("size", [(9, 5), (40, 20), (31, 64)])
@pytest.mark.parametrize("degrees", [-10, -3, 1, 10])
def test_a_turned_patch_is_pillows_rotation(size: tuple[int, int], degrees: int) -> None:
    """torchreid turns patches by `Image.rotate`: nearest pixels, black corners, the same size.

    Pillow counts in 16 bits of a pixel, so a pixel on the border of two may be the other one.
    """
    values = np.random.default_rng(0).integers(1, 256, size, dtype=np.uint8)
    expected = np.asarray(Image.fromarray(values).rotate(degrees))
    found = turned(torch.from_numpy(values).float().expand(3, *size), degrees, (0.0, 1.0, 2.0))
    assert (found[0].numpy() == expected).mean() > 0.99
    outside = found[0] == 0
    assert outside.any() or abs(degrees) < 4
    assert (found[1][outside] == 1).all()
    assert (found[2][outside] == 2).all()


def test_half_of_the_patches_are_turned_by_up_to_ten_degrees() -> None:
    """Each of the 21 whole degrees has a share of 1 / 42; 0 has it in addition to the unrotated half."""
    generator, module = torch.Generator().manual_seed(0), patcher(rotate=0.5)
    shares = torch.bincount(torch.tensor([module._degrees(generator) + 10 for _ in range(8000)])) / 8000
    assert len(shares) == 21
    expected = torch.full((21,), 1 / 42)
    expected[10] += 0.5
    assert torch.allclose(shares, expected, atol=0.01)


def test_turned_patches_lie_where_plain_ones_do_and_nothing_else_changes() -> None:
    """With corners of -1 a turned patch differs from the plain one inside its rectangle only."""
    module = patcher(probability=1.0, flip=0.0, rotate=1.0)
    module.value = (-1.0, -1.0, -1.0)
    images = torch.cat(run(module, 40))
    alien = images[:, 0].floor() // 100 != torch.arange(1, 161.0)[:, None, None]
    corners = images[:, 0] == -1
    assert corners.any()
    assert not (corners & ~alien).any()
    for row in torch.nonzero(corners.flatten(1).any(1))[:, 0]:
        ys, xs = torch.nonzero(alien[row], as_tuple=True)
        box = (ys.max() - ys.min() + 1) * (xs.max() - xs.min() + 1)
        assert corners[row].sum() < box / 2


def test_areas_and_aspects_are_those_of_the_paper() -> None:
    module = RandomPatch(pictures, (256, 128), capacity=4000)
    generator = torch.Generator().manual_seed(0)
    for index in range(4000):
        module._give(index, generator)
    height, width = module.pool[:, 3].double(), module.pool[:, 4].double()
    area = height * width / (256 * 128)
    assert 0.009 < area.min() < area.max() < 0.51
    assert (height < 256).all()
    assert (width < 128).all()
    assert ((height / width) < 11).all()
    assert (module.pool[:, 0] == torch.arange(4000)).all()
    assert (module.pool[:, 1] + module.pool[:, 3] <= 256).all()
    assert (module.pool[:, 2] + module.pool[:, 4] <= 128).all()


def test_probability_counts_images_and_the_oldest_patch_goes_first() -> None:
    module = patcher(probability=0.5, minimum=1, capacity=4)
    changed = torch.cat([
        (images != pictures(torch.arange(4) + 4 * n)).flatten(1).any(1) for n, images in enumerate(run(module, 200))
    ])  # fmt: skip
    assert 0.4 < changed.float().mean() < 0.55  # a patch of the picture itself in its own place changes nothing
    assert sorted(module.pool[:, 0].tolist()) == [796, 797, 798, 799]


def test_the_pool_goes_on_from_a_checkpoint() -> None:
    whole = patcher()
    run(whole, 3)
    buffer = io.BytesIO()
    torch.save(whole.state_dict(), buffer)
    buffer.seek(0)
    again = patcher()
    again.load_state_dict(torch.load(buffer, weights_only=True))
    assert all(torch.equal(a, b) for a, b in zip(run(whole, 3, seed=1), run(again, 3, seed=1), strict=True))


def test_shift_keeps_a_smaller_picture_on_a_canvas() -> None:
    images = torch.ones(200, 3, 40, 20)
    shifted = RandomShift(probability=1.0, least=0.7, value=(-1.0, -2.0, -3.0))(images, torch.Generator())
    inside = shifted[:, 0] > 0.5
    tall, wide = inside.any(2).sum(1), inside.any(1).sum(1)
    assert (inside.sum((1, 2)) == tall * wide).all()
    assert (tall.min(), tall.max()) == (28, 40)  # from 0.7 x 40
    assert (wide.min(), wide.max()) == (14, 20)
    assert (shifted[:, 1][~inside] == -2).all()
    tops = inside.any(2).int().argmax(1)
    assert len(tops.unique()) > 5  # at many places


def test_shift_cuts_a_window_of_the_height() -> None:
    rows = torch.arange(100.0).view(1, 1, 100, 1).expand(300, 3, 100, 10)
    shifted = RandomShift(probability=1.0, least=0.7, value=(-1.0,) * 3)(rows, torch.Generator())
    seen = shifted[:, 0].clamp_min(0)
    spans = seen.amax((1, 2)) - torch.where(shifted[:, 0] < 0, 100.0, shifted[:, 0]).amin((1, 2)) + 1
    assert 68 < spans.min() < 75
    assert 95 < spans.max() <= 100


@pytest.mark.parametrize("probability", [0.0, 0.3])
def test_shift_probability(probability: float) -> None:
    images = torch.rand(1000, 3, 20, 10, generator=torch.Generator())
    shifted = RandomShift(probability=probability)(images, torch.Generator())
    assert abs((shifted != images).flatten(1).any(1).float().mean() - probability) < 0.05


def test_affine_turns_without_squeezing() -> None:
    """A bar keeps its mass, its centre and its moment about it when it is rotated in a non-square rectangle."""
    y, x = torch.meshgrid(torch.arange(64) - 31.5, torch.arange(32) - 15.5, indexing="ij")
    bar = ((x.abs() < 3) & (y.abs() < 12)).float().expand(1, 3, 64, 32)
    turn = RandomAffine(probability=1.0, degrees=90.0, move=0.0, zoom=0.0)
    turned = torch.cat([turn(bar, torch.Generator().manual_seed(seed)) for seed in range(20)])[:, 0]
    mass = turned.sum((1, 2))
    assert torch.allclose(mass, bar[0, 0].sum().expand(20), rtol=0.1)
    moments = (turned * (x**2 + y**2)).sum((1, 2)) / mass
    assert torch.allclose(moments, ((bar[0, 0] * (x**2 + y**2)).sum() / bar[0, 0].sum()).expand(20), rtol=0.05)
    assert (turned * x).sum((1, 2)).abs().max() / mass.max() < 0.05


def test_affine_moves_by_shares_of_the_sides() -> None:
    image = torch.zeros(400, 3, 40, 20)
    image[:, :, 20, 10] = 1
    moved = RandomAffine(probability=1.0, degrees=0.0, move=0.25, zoom=0.0)(image, torch.Generator())[:, 0]
    rows = (moved.sum(2) * torch.arange(40)).sum(1) / moved.sum((1, 2))
    columns = (moved.sum(1) * torch.arange(20)).sum(1) / moved.sum((1, 2))
    assert 9.5 < rows.min() < 11
    assert 29 < rows.max() < 30.5
    assert 4.5 < columns.min() < 6
    assert 14 < columns.max() < 15.5


def test_affine_scales_about_the_middle() -> None:
    """A square of 8 x 8 in the middle of 16 x 16, zoomed by a factor in .5 .. 1.5: its area grows by the square."""
    images = torch.zeros(200, 1, 16, 16)
    images[:, :, 4:12, 4:12] = 1
    zoomed = RandomAffine(1.0, degrees=0, move=0, zoom=0.5, value=(0,))(images, torch.Generator().manual_seed(0))
    chance = torch.rand(200, 5, generator=torch.Generator().manual_seed(0))
    factor = 1 + 0.5 * (2 * chance[:, 4] - 1)
    assert torch.allclose(zoomed.sum((1, 2, 3)), 64 * factor**2, rtol=0.2)
    assert torch.allclose(zoomed, zoomed.flip(3), atol=1e-5)
    assert torch.allclose(zoomed, zoomed.flip(2), atol=1e-5)
