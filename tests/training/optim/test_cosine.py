"""The cosine schedule against the rates of TransReID-SSL and against timm's scheduler."""

from __future__ import annotations

import pytest
import torch

import reidbench.training.networks.torchvision_compat as compat
from reidbench.training.optim.cosine import warmup_cosine


def groups(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates], lr=1.0)


def run(optimiser: torch.optim.Optimizer, epochs: int, lr: float, **how: float) -> list[list[float]]:
    """The rates of all groups in each epoch."""
    schedule = warmup_cosine(optimiser, epochs, lr, **how)
    rates = []
    for _ in range(epochs):
        rates.append([group["lr"] for group in optimiser.param_groups])
        optimiser.step()
        schedule.step()
    return rates


def test_rates_of_the_official_recipe() -> None:
    """Epoch 1/2/20/21/60/120 of 120 at a base rate of 4e-4; a drop at the end of the warm-up."""
    rates = [rate for (rate,) in run(groups(4e-4), 120, 4e-4)]
    wanted = {1: 4.0e-6, 2: 2.38e-5, 20: 3.80e-4, 21: 3.73e-4, 60: 2.06e-4, 120: 8.68e-7}
    for epoch, rate in wanted.items():
        assert rates[epoch - 1] == pytest.approx(rate, rel=2e-3), epoch
    assert rates[20] < rates[19]


def test_biases_start_alike_and_are_then_twice_as_fast() -> None:
    """Base rate exactly 2x, equal at epoch 1, about 2x from epoch 21 on, near each other at the floor."""
    optimiser = groups(4e-4, 8e-4)
    rates = run(optimiser, 120, 4e-4)
    assert [group["initial_lr"] for group in optimiser.param_groups] == [4e-4, 8e-4]
    assert rates[0][1] == pytest.approx(rates[0][0], rel=1e-12)
    assert all(1.99 < biases / weights < 2.01 for weights, biases in rates[20:80])
    assert rates[119][1] < 1.1 * rates[119][0]


@pytest.mark.parametrize(("epochs", "lr"), [(120, 4e-4), (30, 0.02), (7, 1e-3)])
def test_equal_to_timm(epochs: int, lr: float) -> None:
    compat.torchvision_models()  # makes torchvision importable, which timm imports
    from timm.scheduler import CosineLRScheduler

    theirs = groups(lr, 2 * lr)
    schedule = CosineLRScheduler(
        theirs,
        t_initial=epochs,
        lr_min=0.002 * lr,
        warmup_t=round(epochs / 6),
        warmup_lr_init=0.01 * lr,
        cycle_limit=1,
    )
    for epoch, rates in enumerate(run(groups(lr, 2 * lr), epochs, lr)):
        schedule.step(epoch)
        assert rates == pytest.approx([group["lr"] for group in theirs.param_groups], rel=1e-9), epoch


def test_without_a_warm_up_it_starts_at_the_base_rate() -> None:
    rates = run(groups(1.0), 4, 1.0, warmup=0.0, floor_factor=0.0)
    assert [rate for (rate,) in rates] == pytest.approx([1.0, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_a_restored_schedule_goes_on() -> None:
    optimiser = groups(1.0, 2.0)
    schedule = warmup_cosine(optimiser, 12, 1.0)
    wanted = run(groups(1.0, 2.0), 12, 1.0)
    for _ in range(5):
        optimiser.step()
        schedule.step()
    saved, state = schedule.state_dict(), optimiser.state_dict()
    again = groups(1.0, 2.0)
    restored = warmup_cosine(again, 12, 1.0)
    again.load_state_dict(state)
    restored.load_state_dict(saved)
    for epoch in range(5, 12):
        assert [group["lr"] for group in again.param_groups] == pytest.approx(wanted[epoch], rel=1e-12)
        again.step()
        restored.step()
