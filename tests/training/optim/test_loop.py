"""The epochs of a training: means, log lines, and resuming a killed run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from reidbench import Context
from reidbench.training import Loop, Means, stream
from tests.support.contexts import NEVER, Lines, check_resumes, make_context


def test_means_are_over_the_steps_that_gave_a_number() -> None:
    means = Means()
    means.add({"loss": torch.tensor(1.0, requires_grad=True), "rare": 5.0})
    means.add({"loss": torch.tensor(4.0)})
    assert means.values() == {"loss": 2.5, "rare": 5.0}
    assert (means.steps, means.counts) == (2, {"loss": 2, "rare": 1})
    assert Means().values() == {}


def test_means_are_summed_in_the_type_that_is_asked_for() -> None:
    """2^24 + 1 is not a number in single precision: the sum stays at 2^24."""
    for number, expected in ((float, (2**24 + 1) / 2), (np.float32, 2**23)):
        means = Means(number)
        means.add({"x": 2.0**24})
        means.add({"x": 1.0})
        assert means.values() == {"x": expected}


def made(out: Path, die_after: int = NEVER) -> tuple[Context[Any], Lines]:
    return make_context(Context, out, None, die_after=die_after)


def train(ctx: Any) -> nn.Linear:
    """Three epochs of two steps of SGD by (w - x)^2 with x from a stream; the rate halves after each epoch."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.ones_(network.weight)
    network.eval()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.25)
    numbers = stream(0, "numbers")
    schedule = LambdaLR(optimiser, lambda epoch: 0.5**epoch)
    loop = Loop(ctx, 3, {"network": network}, {"optimiser": optimiser}, schedule, numbers=numbers)
    for epoch in loop.epochs():
        assert network.training
        loop.facts["epoch"] = epoch
        for _ in range(2):
            with loop.precision():
                found = network(torch.ones(1))
            loop.step({"loss": (found - torch.rand(1, generator=numbers)).square().sum()})
    return network


def test_a_loop_steps_and_logs(tmp_path: Path) -> None:
    ctx, lines = made(tmp_path)
    network = train(ctx)
    numbers, weight, losses = stream(0, "numbers"), 1.0, []
    for rate in (0.25, 0.25, 0.125, 0.125, 0.0625, 0.0625):  # w <- w - rate 2 (w - x)
        wanted = torch.rand(1, generator=numbers).item()
        losses.append((weight - wanted) ** 2)
        weight -= rate * 2 * (weight - wanted)
    assert network.weight.item() == pytest.approx(weight, abs=1e-6)
    assert [line["loss"] for line in lines] == pytest.approx(np.reshape(losses, (3, 2)).mean(1).tolist(), abs=1e-6)
    assert [(line["lr"], line["steps"], line["epoch"]) for line in lines] == [
        (0.25, 2, 0),
        (0.125, 2, 1),
        (0.0625, 2, 2),
    ]


def test_a_killed_loop_goes_on(tmp_path: Path) -> None:
    check_resumes(tmp_path, made, train, 2)


def test_something_happens_between_gradients_and_step(tmp_path: Path) -> None:
    network = nn.Linear(1, 1)
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    ctx: Any = SimpleNamespace(fabric=Fabric(accelerator="cpu", devices=1))
    loop = Loop(ctx, 1, {"network": network}, {"optimiser": optimiser})
    before = network.weight.item()
    loop.step({"loss": network(torch.ones(1, 1)).sum()}, lambda: network.weight.grad.mul_(0))
    assert network.weight.item() == before
    assert network.bias.grad.item() == 1
