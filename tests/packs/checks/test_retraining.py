"""Rows that are retrained: equal to the bit on the same machine, within an interval on another."""

from __future__ import annotations

import math

import pytest

from reidbench.matrix.stage import Row
from reidbench.packs.checks.rescored import reach
from reidbench.packs.checks.retrained import drawn, prediction
from tests.support import forging
from tests.support.forging import Files

from .conftest import Checked


def other_processor(files: Files) -> None:
    for kind in ("finetune", "embed", "evaluate"):
        for place in range(3):
            key = forging.key_of(files, kind, place)
            forging.edit_manifest(files, key, lambda one: one.update(processor="another"))


def claims(files: Files, *values: float) -> None:
    """Give the three seeds these numbers in every metric, without features."""
    for name in [name for name in files if name.startswith(("features/", "rounded/"))]:
        del files[name]
    for place, value in enumerate(values):
        key = forging.key_of(files, "evaluate", place)
        forging.edit_manifest(
            files, key, lambda one, value=value: one.update(metrics=dict.fromkeys(one["metrics"], value))
        )


@pytest.mark.slow
def test_equal_to_the_bit(checked: Checked) -> None:
    found = checked(retrain=1, draw=5)
    assert found.counts == {"re-scored": 2, "re-trained": 1}
    assert found.draw == 5
    assert not found.findings.mismatches


@pytest.mark.slow
def test_features_made_up_are_found(checked: Checked) -> None:
    """Numbers that no training gave, and a machine that is said to be the verifier's own."""
    found = checked(lambda files: claims(files, 0.91, 0.92, 0.93), retrain=1, draw=1)
    (sentence,) = found.findings.mismatches
    assert "retrained on the same kind of processor with the same versions" in sentence


@pytest.mark.slow
def test_another_processor_goes_by_the_interval(checked: Checked) -> None:
    def near(files: Files) -> None:
        claims(files, 0.1, 0.9, 1.0)
        other_processor(files)

    def far(files: Files) -> None:
        claims(files, 0.01, 0.011, 0.012)
        other_processor(files)

    assert checked(near, retrain=1, draw=1).counts == {"self-reported": 2, "re-trained": 1}
    found = checked(far, retrain=1, draw=1)
    (sentence,) = found.findings.mismatches
    assert "retrained with a different processor" in sentence
    assert "99 % prediction interval" in sentence


def test_prediction_by_hand() -> None:
    """Of 1, 2, 3: mean 2, standard deviation 1, Student's t of 2 degrees of freedom 9.9248."""
    low, high = prediction([1, 2, 3])
    half = 9.92484 * math.sqrt(4 / 3)
    assert (low, high) == pytest.approx((2 - half, 2 + half), abs=1e-4)
    assert not any(low <= 2 <= high for low, high in [prediction([1, math.nan, 3])])


def test_reach_by_hand() -> None:
    assert reach([0.5, 0.6, 0.4]) == pytest.approx((0.2, 0.8), abs=1e-5)


def test_draws_do_not_depend_on_order() -> None:
    rows = [Row("m", "t", "e", seed, None, f"{seed:032x}") for seed in range(20)]
    first = [row.key for row in drawn(rows, 3, 7)]
    assert first == [row.key for row in drawn(rows[::-1], 3, 7)]
    assert len(set(first)) == 3
    assert any(first != [row.key for row in drawn(rows, 3, seed)] for seed in range(5))
    assert len(drawn(rows[:2], 5, 0)) == 2
