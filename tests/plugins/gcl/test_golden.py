"""GCL's contrast and memory against the equations in float64: three steps of a first stage's head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reidbench import AdaptContext
from reidbench.data import read_market_folder
from reidbench.testing import write_market_folder
from reidbench.training import Preprocess
from reidbench_gcl.contrast import contrast
from reidbench_gcl.contrast.memory import Pairs
from reidbench_gcl.contrast.oracle import OracleArm
from reidbench_gcl.contrast.released import HeadEmbedder
from reidbench_gcl.params import OracleParams
from tests.support.contexts import make_context
from tests.support.golden import Matrix, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (8, 4)
PIXELS, CHANNELS, DIM, ROWS, BATCH = 3 * 8 * 4, 6, 5, 24, 6
TAU, ALPHA, RATE, MOMENTUM, DECAY = 0.2, 0.2, 0.05, 0.9, 5e-4
LABELS = torch.arange(ROWS) // 4  # six clusters, the last of them outliers
LABELS[-4:] = -1
STEPS = ([0, 4, 8, 12, 16, 1], [1, 5, 9, 13, 17, 2], [0, 1, 5, 6, 19, 18])
Tensors = dict[str, torch.Tensor]


def embedder() -> HeadEmbedder:
    made = HeadEmbedder(Matrix(CHANNELS, PIXELS), Preprocess(SIZE), DIM)
    with torch.no_grad():
        for number, parameter in enumerate((*made.embedded.parameters(), *made.norm.parameters())):
            parameter.copy_(wave(number + 2, *parameter.shape))
    return made


def mates(indices: list[int], shift: int) -> list[int]:
    """Another row of the same cluster of four."""
    return [index - index % 4 + (index + shift) % 4 for index in indices]


def pairs(indices: list[int]) -> Pairs:
    """Fixed mates, and as negatives all rows of other clusters and all outliers."""
    others = [[row for row in range(ROWS) if LABELS[row] != LABELS[index]] for index in indices]
    valid = torch.ones(len(indices), len(others[0]), dtype=torch.bool)
    return Pairs(torch.tensor(mates(indices, 1)), torch.tensor(mates(indices, 3)), torch.tensor(others), valid)


def unit(values: torch.Tensor) -> torch.Tensor:
    return values / values.norm(dim=1, keepdim=True)


def feature(images: torch.Tensor, known: Tensors) -> torch.Tensor:
    """Map pixels to batch norm's output in training."""
    values = images.double().flatten(1) @ known["backbone.weight"].t()
    values = values @ known["embedded.weight"].t() + known["embedded.bias"]
    values = (values - values.mean(0)) / (values.var(0, unbiased=False) + 1e-5).sqrt()
    return values * known["norm.weight"] + known["norm.bias"]


def terms(f: torch.Tensor, f_new: torch.Tensor, bank: torch.Tensor, indices: list[int]) -> Tensors:
    """log(1 + n / exp(<g, M_p> / tau)), n = sum over negatives of exp(<f_new, M_j> / tau), image by image."""
    f, f_new = unit(f), unit(f_new)
    rows: dict[str, list[torch.Tensor]] = {"real-mate": [], "view-self": [], "view-mate": []}
    for place, index in enumerate(indices):
        n = sum((f_new[place] @ bank[row] / TAU).exp() for row in range(ROWS) if LABELS[row] != LABELS[index])
        first, third = mates([index], 1)[0], mates([index], 3)[0]
        for name, g, positive in (
            ("real-mate", f, first),
            ("view-self", f_new, index),
            ("view-mate", f_new, third),
        ):
            rows[name].append((1 + n / (g[place] @ bank[positive] / TAU).exp()).log())
    return {name: torch.stack(values).mean() for name, values in rows.items()}


def nesterov(known: Tensors, moments: Tensors) -> Tensors:
    """SGD with Nesterov's momentum and weight decay; returns fresh leaves."""
    after = {}
    for name, parameter in known.items():
        assert parameter.grad is not None
        gradient = parameter.grad + DECAY * parameter.detach()
        moments[name] = MOMENTUM * moments[name] + gradient if name in moments else gradient
        step = gradient + MOMENTUM * moments[name]
        after[name] = (parameter.detach() - RATE * step).requires_grad_()
    return after


@pytest.fixture
def arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The joint form's three terms with given views, mates and bank."""
    split = read_market_folder(write_market_folder(tmp_path / "target", identities=6, seed=1)).train
    params = OracleParams(temperature=TAU, alpha=ALPHA, lr=RATE, momentum=MOMENTUM, identity_weight_decay=DECAY)
    ctx, _ = make_context(
        AdaptContext, tmp_path / "gcl", params, image_size=SIZE, target=split.hide(), source=None,
        backbone=lambda: None, start=embedder(), truth=None,
    )  # fmt: skip
    assert len(split) == ROWS
    monkeypatch.setattr(contrast, "draw_pairs", lambda labels, rows, *rest: pairs(rows.tolist()))
    one = OracleArm(ctx)
    one.bank.fill(wave(20, ROWS, DIM))
    one.set_modes(joint=True)
    return one


def test_three_steps_are_the_papers(arm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each term, each weight's gradient, each weight after the step, and each row of the memory."""
    known = {name: p.detach().double().requires_grad_() for name, p in arm.embedder.named_parameters()}
    moments: Tensors = {}
    bank = unit(wave(20, ROWS, DIM))
    for number, indices in enumerate(STEPS):
        x, x_new = (wave(30 + 2 * number + view, BATCH, 3, *SIZE).float() for view in (0, 1))
        monkeypatch.setattr(arm, "turned", lambda rows, angles, views=x_new: views)
        f, f_new = feature(x, known), feature(x_new, known)
        expected = terms(f, f_new, bank, indices)
        torch.stack(list(expected.values())).sum().backward()
        found = arm.step(np.array(indices), x)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value.item(), rel=1e-4), f"{name}, step {number}"
        for name, parameter in arm.embedder.named_parameters():
            norm = known[name].grad.norm().item()  # type: ignore[union-attr]
            assert parameter.grad.norm().item() == pytest.approx(norm, rel=1e-3, abs=1e-5), f"{name}, step {number}"
        bank[indices] = unit(ALPHA * bank[indices] + (1 - ALPHA) * unit(f.detach()))
        for row in range(ROWS):
            ours = arm.bank.rows[row].double()
            assert torch.allclose(ours, bank[row], atol=1e-4), f"memory row {row}, step {number}"
        known = nesterov(known, moments)
        for name, parameter in arm.embedder.named_parameters():
            assert torch.allclose(parameter.double(), known[name], rtol=1e-3, atol=1e-4), f"{name} after step {number}"
