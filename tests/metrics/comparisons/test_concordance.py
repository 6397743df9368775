"""Kendall's tau-b: by hand, against scipy on random data, over chosen pairs, over seeds and against chance."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from reidbench.metrics.comparisons.concordance import concordance, pairs_apart, tau_by_chance, tau_over_seeds
from reidbench.metrics.errors import MetricError


def test_one_exchange_among_four() -> None:
    """1 2 3 4 against 1 3 2 4: of six pairs one is exchanged, so (5 - 1) / 6."""
    found = concordance([1, 2, 3, 4], [1, 3, 2, 4])
    assert (found.concordant, found.discordant, found.tied, found.pairs) == (5, 1, 0, 6)
    assert found.tau == pytest.approx(4 / 6)


def test_ties_of_each_side_by_hand() -> None:
    """Pairs of (1,1) (1,2) (2,2) (3,2).

    ab tied in the first, ac +, ad +, bc tied in the second, bd tied in the second, cd tied in the second: C 2, D 0,
    P 6, one tie in the first, three in the second, so 2 / sqrt(5 * 3).
    """
    found = concordance([1, 1, 2, 3], [1, 2, 2, 2])
    assert (found.concordant, found.discordant, found.tied) == (2, 0, 4)
    assert (found.tied_first, found.tied_second) == (1, 3)
    assert found.tau == pytest.approx(2 / math.sqrt(15))


@pytest.mark.parametrize("seed", range(20))
def test_it_is_that_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 6, (2, 11))  # with many ties
    assert concordance(first, second).tau == pytest.approx(kendalltau(first, second).statistic)
    other = rng.normal(size=11)
    assert concordance(first, other).tau == pytest.approx(kendalltau(first, other).statistic)


def test_a_side_without_any_order_has_no_tau() -> None:
    assert math.isnan(concordance([1, 2, 3], [5, 5, 5]).tau)
    assert math.isnan(concordance([5, 5, 5], [1, 2, 3]).tau)
    assert math.isnan(concordance([1], [1]).tau)


def test_only_pairs_that_are_far_enough_apart_count() -> None:
    """A difference of a point counts despite rounding: .03 - .02 is .009999999999999998."""
    assert [list(part) for part in pairs_apart([0.80, 0.81, 0.83], 0.01)] == [[0, 0, 1], [1, 2, 2]]
    assert [list(part) for part in pairs_apart([0.03, 0.02], 0.01)] == [[0], [1]]
    assert [list(part) for part in pairs_apart([0.80, 0.805, 0.83], 0.01)] == [[0, 1], [2, 2]]


def test_pairs_that_are_left_out_change_the_tau() -> None:
    """.80 .805 .83 against 2 1 3: the exchanged pair differs by half a point only, without it both others agree."""
    first, second = [0.80, 0.805, 0.83], [2, 1, 3]
    assert concordance(first, second).tau == pytest.approx(1 / 3)
    found = concordance(first, second, pairs_apart(first, 0.01))
    assert (found.concordant, found.discordant, found.pairs, found.tau) == (2, 0, 2, 1)


def test_rounding_alone_is_a_tie() -> None:
    assert concordance([1, 2], [0.1 + 0.2, 0.3]).tied_second == 1


def test_the_bootstrap_draws_seeds_for_all_things_together() -> None:
    """Two seeds: the drawn pairs are both the first (1/4), both the second (1/4), or one of each (1/2).

    The first seed has the published order, the second the reverse, and their mean (2, 1.5, 1) the reverse as well: of
    the draws a quarter have tau 1, the rest -1, so the interval goes from -1 to 1 around -1.
    """
    first, second = [1, 2, 3], [[0, 0.1, 0.2], [4, 2.9, 1.8]]
    found = tau_over_seeds(first, second)
    assert (found.value, found.low, found.high, found.n) == (-1, -1, 1, 2)
    inner = tau_over_seeds(first, second, level=0.4)  # from the 30 to the 70 % quantile of a quarter 1, the rest -1
    assert (inner.low, inner.high) == (-1, -1)


def test_things_whose_seeds_go_together_keep_their_order_in_every_draw() -> None:
    """Paired: the seeds lie far apart, but the second thing is above the first in each of them."""
    found = tau_over_seeds([1, 2], [[0, 0.1], [5, 5.1], [9, 9.1]])
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_pretrainings_are_drawn_too() -> None:
    """Each of two pre-trainings reverses the order of the other, by less: one draw in four is -1."""
    values = [[[0, 3], [0, 3]], [[1, 0], [1, 0]]]  # [P, S, N]: the means are .5 and 1.5
    found = tau_over_seeds([1, 2], values)
    assert (found.value, found.low, found.high, found.n) == (1, -1, 1, 2)
    inner = tau_over_seeds([1, 2], values, level=0.4)
    assert (inner.low, inner.high) == (1, 1)
    assert math.isnan(tau_over_seeds([1, 2], [[[0, 3]]]).low)


def test_draws_that_order_no_pair_are_left_out() -> None:
    """Seeds 0, 1 and 0, 1 of one order, and one whose two values are equal; drawn alone it orders nothing."""
    found = tau_over_seeds([1, 2], [[0, 1], [5, 5], [5, 5]])
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_one_seed_has_no_interval() -> None:
    found = tau_over_seeds([1, 2], [[1, 2]])
    assert found.value == 1
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_chance_is_the_share_of_all_orders() -> None:
    """Of the 24 orders of four things one has tau 1, three more (one exchange of neighbours) have 4 / 6."""
    taus = [concordance([1, 2, 3, 4], order).tau for order in itertools.permutations([1, 2, 3, 4])]
    assert sum(tau >= 4 / 6 - 1e-9 for tau in taus) == 4
    assert tau_by_chance([1, 2, 3, 4], [1, 2, 3, 4]) == pytest.approx(1 / 24, abs=0.01)
    assert tau_by_chance([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 24, abs=0.015)
    assert tau_by_chance([1, 2, 3, 4], [4, 3, 2, 1]) == 1


def test_chance_counts_the_chosen_pairs_alone() -> None:
    """Only a and c are compared: half of all orders have them the right way round."""
    pairs = pairs_apart([0, 0.5, 1], 1)
    assert tau_by_chance([0, 0.5, 1], [1, 2, 3], pairs) == pytest.approx(1 / 2, abs=0.02)


@pytest.mark.parametrize(("first", "second"), [([1, 2], [1, 2, 3]), ([[1]], [[1]]), ([1, math.nan], [1, 2])])
def test_what_has_no_order_is_an_error(first: object, second: object) -> None:
    with pytest.raises(MetricError):
        concordance(first, second)
