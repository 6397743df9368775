"""Losses of CycleGAN and SPGAN by hand."""

from __future__ import annotations

import pytest
import torch

from reidbench_spgan.losses import Vectors, realness_loss, similarity_loss


def test_realness_is_a_mean_square() -> None:
    maps = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    assert realness_loss(maps, 1.0).item() == pytest.approx((1 + 0 + 1 + 4) / 4)
    assert realness_loss(maps, 0.0).item() == pytest.approx((0 + 1 + 4 + 9) / 4)


def unit(*degrees: float) -> torch.Tensor:
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angles.cos(), angles.sin()], 1)


# Unit vectors at 60 degrees are 1 apart, at 90 sqrt(2), at 180 degrees 2.
VECTORS = Vectors(source=unit(0), to_target=unit(60), target=unit(150), to_source=unit(90))


def test_pairs_are_the_papers() -> None:
    """d(S, G(S)) = 1, d(T, F(T)) = 1; d(G(S), T) = sqrt(2), d(F(T), S) = sqrt(2); margin 2."""
    pulled, pushed = similarity_loss(VECTORS, 2.0, "translated")
    assert pulled.item() == pytest.approx((1 + 1) / 2)
    assert pushed.item() == pytest.approx((2 - 2**0.5) ** 2, rel=1e-5)


def test_pairs_of_the_official_code() -> None:
    """Negatives are source and target, at 150 degrees: d = 2 sin(75 degrees)."""
    pulled, pushed = similarity_loss(VECTORS, 2.0, "real")
    assert pulled.item() == pytest.approx(1)
    assert pushed.item() == pytest.approx((2 - 1.9318516525781366) ** 2, rel=1e-4)


@pytest.mark.parametrize(("margin", "expected"), [(0.0, 0.0), (1.0, 0.0), (1.5, (1.5 - 2**0.5) ** 2)])
def test_pairs_beyond_the_margin_count_nothing(margin: float, expected: float) -> None:
    assert similarity_loss(VECTORS, margin, "translated")[1].item() == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_real_negatives_do_not_move_translations() -> None:
    vectors = Vectors(*(vector.clone().requires_grad_() for vector in VECTORS))
    similarity_loss(vectors, 2.0, "real")[1].backward()
    assert vectors.source.grad is not None
    assert vectors.to_target.grad is vectors.to_source.grad is None


def test_equal_vectors_have_a_finite_gradient() -> None:
    """The root of a squared distance of 0 would have none."""
    same = unit(30).requires_grad_()
    similarity_loss(Vectors(same, same, same, same), 2.0, "translated")[1].backward()
    assert same.grad is not None
    assert same.grad.isfinite().all()
