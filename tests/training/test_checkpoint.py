"""A killed training resumes bit-identically; damaged and foreign checkpoints are ignored."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from reidbench.training import TrainingCheckpoint, checkpoint


def train_toy(file: Path, *, stop_after: int | None = None) -> dict[str, torch.Tensor]:
    """A few epochs with every source of randomness; `stop_after` leaves in the middle, as a kill would."""
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 2)
    generator = torch.Generator().manual_seed(3)
    state = {"network": network, "optimiser": optimiser, "schedule": schedule, "generator": generator}
    for epoch in TrainingCheckpoint(file).epochs(5, **state):
        for _ in range(3):
            noise = float(np.random.rand()) + random.random() + float(torch.rand(()))
            loss = (network(torch.randn(16, 3, generator=generator)) - noise).pow(2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
        if stop_after == epoch:
            break
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_a_resumed_run_is_bit_identical(tmp_path: Path, stop_after: int) -> None:
    whole = train_toy(tmp_path / "whole")
    # leaving in epoch n loses that epoch: its checkpoint was not written yet
    train_toy(tmp_path / "killed", stop_after=stop_after)
    assert (tmp_path / "killed").exists() == (stop_after > 0)
    resumed = train_toy(tmp_path / "killed")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_checkpoint_is_not_used(tmp_path: Path, damage: str) -> None:
    whole = train_toy(tmp_path / "whole")
    file = tmp_path / "damaged"
    train_toy(file, stop_after=3)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes({"truncate": content[:-10], "flip": content, "empty": b""}[damage])
    resumed = train_toy(file)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_checkpoint_of_other_names_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    train_toy(file, stop_after=3)
    network = nn.Linear(1, 1)
    assert list(TrainingCheckpoint(file).epochs(5, other=network)) == [0, 1, 2, 3, 4]


def test_a_checkpoint_of_an_older_layout_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks of that reidbench had other names: training begins at the first epoch, and ends with the same."""
    whole = train_toy(tmp_path / "whole")
    with monkeypatch.context() as before:
        before.setattr(checkpoint, "LAYOUT", checkpoint.LAYOUT - 1)
        train_toy(tmp_path / "older", stop_after=3)
    network = nn.Linear(1, 1)
    assert list(TrainingCheckpoint(tmp_path / "older").epochs(5, network=network)) == [0, 1, 2, 3, 4]
    train_toy(tmp_path / "current", stop_after=3)
    assert all(torch.equal(whole[name], tensor) for name, tensor in train_toy(tmp_path / "current").items())
