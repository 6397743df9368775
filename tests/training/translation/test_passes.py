"""Passes: permutations, whole batches, and any step in any order."""

from __future__ import annotations

import numpy as np
import pytest

from reidbench.errors import DataError
from reidbench.training.translation.passes import Passes


def test_passes_are_permutations_that_any_step_can_be_asked_for() -> None:
    passes = Passes(10, 3, seed=1, name="test")
    steps = [passes.at(step) for step in range(9)]
    for start in (0, 3, 6):
        seen = np.concatenate(steps[start : start + 3])
        assert len(set(seen.tolist())) == 9
    assert not np.array_equal(steps[0], steps[3])
    assert np.array_equal(Passes(10, 3, seed=1, name="test").at(7), steps[7])
    with pytest.raises(DataError, match="test: a batch of 11 exceeds the 10 available"):
        Passes(10, 11, seed=0, name="test")
