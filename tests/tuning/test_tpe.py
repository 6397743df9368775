"""Rounds that Optuna proposes: of a fixed size, and by the seed and the values before alone."""

from __future__ import annotations

from typing import Any

import pytest

from reidbench.matrix.search import Search, Space, Values
from reidbench.tuning import tpe

pytest.importorskip("optuna")

SPACES = {
    "x": Space("uniform", (0.0, 1.0)),
    "lr": Space("log", (1e-4, 1e-2)),
    "n": Space("int", (1, 9)),
    "c": Space("choices", (True, 1, [1, 2])),
}


def search(trials: int, spaces: Any = SPACES, seed: int = 0) -> Search:
    return Search(spaces, trials, "oracle", "tpe", seed=seed)


def test_a_round_has_four_trials_and_the_last_what_is_left() -> None:
    first = tpe.proposed(search(6), [])
    assert len(first) == tpe.ROUND == 4
    assert len(tpe.proposed(search(6), [(values, 0.5) for values in first])) == 2


def test_a_round_depends_on_seed_and_values_alone() -> None:
    first = tpe.proposed(search(8), [])
    assert tpe.proposed(search(8), []) == first
    assert tpe.proposed(search(8, seed=1), []) != first
    told = [(values, values["x"]) for values in first]
    assert tpe.proposed(search(8), told) == tpe.proposed(search(8), told)


def test_no_combination_is_tried_twice() -> None:
    spaces = {"n": Space("int", (1, 4)), "c": Space("choices", ("a", "b"))}
    told: list[tuple[Values, float | None]] = []
    while len(told) < 8:
        told += [(values, float(values["n"])) for values in tpe.proposed(search(8, spaces), told)]
    assert len({(values["n"], values["c"]) for values, _ in told}) == 8


def test_values_are_in_their_spaces() -> None:
    told: list[tuple[Values, float | None]] = []
    while len(told) < 24:
        told += [(values, None if len(told) % 5 == 0 else values["x"]) for values in tpe.proposed(search(24), told)]
    for values, _ in told:
        assert 0 <= values["x"] <= 1
        assert 1e-4 <= values["lr"] <= 1e-2
        assert values["n"] in range(1, 10)
        assert any(values["c"] is one for one in SPACES["c"].values)


def test_it_finds_more_than_chance_does() -> None:
    """The best of a parabola's 40 proposals is nearer to the top than the first round, and most later ones are near."""
    asked = search(40, {"x": Space("uniform", (0.0, 1.0))})
    told: list[tuple[Values, float | None]] = []
    while len(told) < 40:
        told += [(values, -((values["x"] - 0.3) ** 2)) for values in tpe.proposed(asked, told)]
    late = [abs(values["x"] - 0.3) for values, _ in told[20:]]
    assert sum(distance < 0.15 for distance in late) > 10  # of 20; by chance 6
