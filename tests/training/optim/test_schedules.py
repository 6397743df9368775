"""Learning rates of BoT, epoch by epoch, and of GANs, step by step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reidbench.training import warmup_multistep
from reidbench.training.optim.schedules import linear_decay


def test_bot_learning_rates() -> None:
    """lr(e) of the official recipe: 0: 3.5e-6, 5: 1.77e-4, 10: 3.5e-4, 40: 3.5e-5, 70: 3.5e-6."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=3.5e-4)
    schedule = warmup_multistep(optimiser, 120)
    rates = []
    for _ in range(120):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    wanted = {0: 3.5e-6, 5: 1.7675e-4, 10: 3.5e-4, 39: 3.5e-4, 40: 3.5e-5, 69: 3.5e-5, 70: 3.5e-6, 119: 3.5e-6}
    for epoch, rate in wanted.items():
        assert rates[epoch] == pytest.approx(rate, rel=1e-6)


def test_rate_is_constant_to_the_middle_and_ends_near_zero() -> None:
    """The rate ends under 1 % of its start; from 1 on it is constant."""
    rates = [linear_decay(step, 1000, 0.5) for step in range(1000)]
    assert set(rates[:500]) == {1.0}
    assert rates[750] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.01
    assert rates == sorted(rates, reverse=True)
    assert {linear_decay(step, 1000, 1.0) for step in range(1000)} == {1.0}
