"""Grids by hand; draws that depend on seed, number and name alone, and are spread as their space says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from reidbench.errors import ReidbenchError
from reidbench.matrix.search import Search, Space
from reidbench.tuning import draws


def search(trials: int, sampler: str = "random", seed: int = 0, **spaces: Space) -> Search:
    return Search(spaces, trials, "oracle", sampler, seed=seed)  # type: ignore[arg-type]


CHOICES = Space("choices", ("a", "b", "c"))
RATES = Space("log", (1e-4, 1e-2))


def test_a_grid_by_hand() -> None:
    found = draws.grid(search(6, "grid", x=Space("choices", (1, 2)), y=CHOICES))
    assert found == [{"x": x, "y": y} for x in (1, 2) for y in ("a", "b", "c")]


def test_draws_are_the_same_each_time_and_others_by_another_seed() -> None:
    first = draws.random(search(8, x=RATES))
    assert draws.random(search(8, x=RATES)) == first
    assert draws.random(search(8, x=RATES, seed=1)) != first


def test_a_draw_stays_when_trials_or_parameters_are_added() -> None:
    few = [values["x"] for values in draws.random(search(5, x=RATES))]
    more = [values["x"] for values in draws.random(search(9, x=RATES, y=Space("uniform", (0.0, 1.0))))]
    assert more[:5] == few


@pytest.mark.parametrize("spaces", [{"x": CHOICES, "n": Space("int", (1, 4))}, {"n": Space("int", (3, 14))}])
def test_draws_are_different_and_come_to_all_combinations(spaces: dict[str, Space]) -> None:
    found = draws.random(search(12, **spaces))
    assert len({tuple(values.items()) for values in found}) == 12


def test_a_space_of_very_many_whole_numbers() -> None:
    wide = {f"n{number}": Space("int", (0, 2**62)) for number in range(30)}
    assert math.isinf(search(2, **wide).size)
    assert len(draws.random(search(2, **wide))) == 2


@pytest.mark.parametrize("ends", [(1e16, 1e16 + 4), (0.1, 0.1 + 1e-16)])
def test_a_range_with_fewer_values_than_trials_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ReidbenchError, match=r"random: 400 draws give \d+ different values for 20 trials; widen the"):
        draws.random(search(20, x=Space("uniform", ends)))


def test_what_was_not_tried() -> None:
    two = search(2, x=Space("choices", (1, True)), n=Space("int", (1, 2)))
    assert draws.untried(two, [{"x": 1, "n": 1}, {"x": 1, "n": 2}]) == {"x": True, "n": 1}
    assert draws.untried(two, draws.grid(search(4, x=two.spaces["x"], n=Space("choices", (1, 2))))) is None
    assert draws.untried(search(2, x=Space("uniform", (0.0, 1.0))), []) is None


def test_shares_are_spread_evenly() -> None:
    """Of 4,000 shares the mean and the largest gap are those of a uniform distribution (five standard errors)."""
    shares = np.array([draws._share(0, number, "x") for number in range(4000)])
    assert abs(shares.mean() - 0.5) < 5 / math.sqrt(12 * 4000)
    counts = np.histogram(shares, bins=10, range=(0, 1))[0]
    assert np.abs(counts - 400).max() < 5 * math.sqrt(360)


@pytest.mark.parametrize(
    ("space", "share", "value"),
    [
        (CHOICES, 0.0, "a"),
        (CHOICES, 0.999, "c"),
        (Space("int", (1, 8)), 0.0, 1),
        (Space("int", (1, 8)), 0.9999, 8),
        (Space("uniform", (0.1, 0.9)), 0.5, 0.5),
        (RATES, 0.0, 1e-4),
        (RATES, 0.5, 1e-3),  # the middle of the powers of ten
        (RATES, 0.25, 3.162e-4),  # 10 ** -3.5, to four digits
        (Space("uniform", (1000.0, 1000.5)), 0.123456, 1000.0617),  # four digits that distinguish values
        (Space("log", (1.0, 1.0001)), 0.5, 1.00005),
    ],
)
def test_values_by_hand(space: Space, share: float, value: Any) -> None:
    found = draws.value_at(space, share)
    assert found == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)


@pytest.mark.parametrize("ends", [(1e-4, 1e-2), (0.99991, 0.99999), (3.0, 7.0), (1e-300, 1e300)])
@pytest.mark.parametrize("kind", ["log", "uniform"])
def test_rounding_never_leaves_a_range(kind: Any, ends: tuple[float, float]) -> None:
    found = [draws.value_at(Space(kind, ends), share) for share in (0.0, 1e-9, 0.5, 1 - 1e-9)]
    assert all(ends[0] <= value <= ends[1] for value in found)
    assert found[0] == ends[0] < found[2] < ends[1]
