"""Learning rates of BoT, epoch by epoch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reidbench.training import warmup_multistep


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
