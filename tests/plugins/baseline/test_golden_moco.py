"""MoCo v2 compared with its equations in float64: three steps of both encoders, the queue and split batch norm.

He et al. (CVPR 2020), equations 1 and 2; Chen et al. (arXiv 2003.04297) for the head and the rates.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from reidbench import PretrainContext
from reidbench.data import read_market_folder
from reidbench.testing import write_market_folder
from reidbench.training import MocoStep, Views, stream
from reidbench.training.contrastive import pretraining
from reidbench_baseline import moco
from reidbench_baseline.params import MocoParams
from tests.support.contexts import make_context
from tests.support.golden import Matrix, close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE, CHANNELS, DIM, BATCH, QUEUE, STEPS = (8, 4), 6, 4, 6, 14, 3
PIXELS = 3 * 8 * 4
RATE, DECAY, MOMENTUM, KEPT = 0.03 * BATCH / 256, 1e-4, 0.9, 0.999
SINGLE = 1e-5  # projections are converted to single precision
Tensors = dict[str, torch.Tensor]
Overlapping = tuple[Views, torch.Tensor]


class Encoder:
    """f of the paper on plain tensors: a matrix, the two-layer head, a vector of length 1; batch norm part by part."""

    def __init__(self, known: Tensors, norm: bool, splits: int) -> None:
        self.known = known
        self.norm, self.splits = norm, splits
        self.layers = ("head.1", "head.4") if norm else ("head.0", "head.2")

    def normed(self, values: torch.Tensor, name: str) -> torch.Tensor:
        if not self.norm:
            return values
        parts = [
            (part - part.mean(0)) / (part.var(0, unbiased=False) + 1e-5).sqrt()
            for part in values.split(BATCH // self.splits)
        ]
        return torch.cat(parts) * self.known[f"{name}.weight"] + self.known[f"{name}.bias"]

    def linear(self, values: torch.Tensor, name: str) -> torch.Tensor:
        return values @ self.known[f"{name}.weight"].t() + self.known[f"{name}.bias"]

    def before_norms(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs of each batch norm."""
        vectors = images.flatten(1) @ self.known["backbone.weight"].t()
        return vectors, self.linear(self.normed(vectors, "head.0"), self.layers[0])

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.normed(self.before_norms(images)[1], "head.2").clamp_min(0)
        values = self.linear(hidden, self.layers[1])
        return values / values.square().sum(1, keepdim=True).sqrt()


def info_nce(queries: torch.Tensor, keys: torch.Tensor, queue: torch.Tensor, temperature: float) -> torch.Tensor:
    """Equation 1, query by query; queue [K, D]."""
    losses = []
    for query, key in zip(queries, keys, strict=True):
        positive = (query @ key / temperature).exp()
        negatives = torch.stack([(query @ row / temperature).exp() for row in queue])
        losses.append(-(positive / (positive + negatives.sum())).log())
    return torch.stack(losses).mean()


class Paper:
    """The method's state, in float64, and one step of it."""

    def __init__(self, step: MocoStep, params: MocoParams) -> None:
        self.params = params
        self.query: Tensors = {
            name: weight.detach().clone() for name, weight in step.encoders.online.named_parameters()
        }
        self.key = self.start = copy.deepcopy(self.query)
        self.queue = step.queue.keys[0].t().clone()  # [K, D]
        self.pointer = 0
        self.moments: Tensors = {}
        self.order = stream(0, "shuffle")
        self.statistics = {"running_mean": torch.zeros(CHANNELS), "running_var": torch.ones(CHANNELS).double()}

    def encoder(self, weights: Tensors) -> Encoder:
        return Encoder(weights, self.params.head_norm, self.params.splits)

    def step(self, views: Views, rate: float) -> tuple[torch.Tensor, Tensors]:
        """The loss of one batch, and the gradients of its step."""
        query = {name: weight.requires_grad_() for name, weight in self.query.items()}
        queries = self.encoder(query)(views.first)
        self.key = {name: KEPT * self.key[name] + (1 - KEPT) * query[name].detach() for name in query}
        order = torch.randperm(BATCH, generator=self.order)
        keys = torch.empty(BATCH, DIM, dtype=torch.float64)
        keys[order] = self.encoder(self.key)(views.second[order])
        loss = info_nce(queries, keys, self.queue, self.params.temperature)
        gradients = dict(zip(query, torch.autograd.grad(loss, list(query.values())), strict=True))
        self.remember(views.first)
        for name, gradient in gradients.items():
            weight, slope = query[name].detach(), gradient + DECAY * query[name].detach()
            self.moments[name] = MOMENTUM * self.moments[name] + slope if name in self.moments else slope
            self.query[name] = weight - rate * self.moments[name]
        for key in keys:
            self.queue[self.pointer] = key
            self.pointer = (self.pointer + 1) % QUEUE
        return loss.detach(), gradients

    def remember(self, images: torch.Tensor) -> None:
        """A tenth of the mean over parts, of the second norm in the head."""
        parts = self.encoder(self.query).before_norms(images)[1].detach().split(BATCH // self.params.splits)
        for name, values in (
            ("running_mean", [part.mean(0) for part in parts]),
            ("running_var", [part.var(0) for part in parts]),
        ):
            self.statistics[name] = 0.9 * self.statistics[name] + 0.1 * torch.stack(values).mean(0)


def by_formula(step: MocoStep) -> MocoStep:
    """Both encoders with the same weights, and the queue's rows, in float64."""
    step.double()
    for encoder in (step.encoders.online, step.encoders.target):
        for number, (name, weight) in enumerate(encoder.named_parameters()):
            shift = 1.5 if weight.ndim == 1 and name.endswith("weight") else 0
            weight.data = 0.5 * wave(number + 2, *weight.shape) + shift
    rows = wave(12, QUEUE, DIM)
    step.queue.keys.copy_((rows / rows.square().sum(1, keepdim=True).sqrt()).t()[None])
    return step


def compare(step: MocoStep, paper: Paper, gradients: Tensors, number: int) -> None:
    online, target = (dict(encoder.named_parameters()) for encoder in (step.encoders.online, step.encoders.target))
    assert gradients["backbone.weight"].norm() > 1e-3
    for name, start in paper.start.items():
        close(f"f_k after step {number}, way of {name}", target[name] - start, paper.key[name] - start, 1e-4)
    for name, gradient in gradients.items():
        if gradient.norm() < 1e-9:  # a bias before a batch norm
            continue
        found, start = online[name].grad, paper.start[name]
        assert found is not None
        close(f"gradient norm of {name}, step {number}", found.norm(), gradient.norm(), SINGLE)
        close(f"f_q after step {number}, way of {name}", online[name] - start, paper.query[name] - start, 1e-4)
    for row in range(QUEUE):
        close(f"queue row {row}, step {number}", step.queue.keys[0, :, row], paper.queue[row], SINGLE)
    assert step.queue.pointer.tolist() == [paper.pointer], f"pointer of the queue, step {number}"
    if paper.params.head_norm:
        for name, values in paper.statistics.items():
            found = step.encoders.online.get_buffer(f"head.2.{name}")
            close(f"{name} of split batch norm, step {number}", found, values, 1e-9)


@pytest.mark.parametrize(
    ("params", "temperature"),
    [({"head_norm": False, "splits": 1}, 0.1), ({"head_norm": True, "splits": 2, "preset": "imagenet"}, 0.2)],
    ids=["plain", "split batch norm"],
)
def test_three_steps_are_the_papers(
    params: dict[str, Any], temperature: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loss, gradients, both encoders, and the queue, whose end the third step passes: 18 keys in 14 rows."""
    chosen = MocoParams(epochs=STEPS, batch=BATCH, queue=QUEUE, dim=DIM, held_out=0, clean_batches=0, **params)
    made: list[MocoStep] = []
    losses: list[float] = []
    papers: list[Paper] = []

    def first_step(*given: Any) -> MocoStep:
        made.append(by_formula(original(*given)))
        papers.append(Paper(made[0], chosen.model_copy(update={"temperature": temperature})))
        return made[0]

    def batches(run: Any) -> Iterator[Overlapping]:
        number, step, paper = len(losses), made[0], papers[0]
        views = Views(*(wave(20 + 2 * number + view, BATCH, 3, *SIZE) for view in (0, 1, 1)))
        loss, gradients = paper.step(views, RATE * (1 + math.cos(math.pi * number / STEPS)) / 2)
        losses.append(loss.item())
        yield views, torch.zeros(())
        compare(step, paper, gradients, number)

    original = moco._step
    monkeypatch.setattr(moco, "_step", first_step)
    monkeypatch.setattr(pretraining._Run, "_batches", batches)
    pool = read_market_folder(write_market_folder(tmp_path / "pool", identities=2, seed=1)).train.hide()
    ctx, lines = make_context(
        PretrainContext, tmp_path / "out", chosen, image_size=SIZE, pool=pool, backbone=lambda: Matrix(CHANNELS, PIXELS)
    )
    kept = moco.pretrain(ctx)
    assert len(losses) == len(lines) == STEPS
    for number, (line, loss) in enumerate(zip(lines, losses, strict=True)):
        close(f"loss of step {number}", line["loss"], loss, SINGLE)
    close("backbone that is kept", kept.get_parameter("weight"), papers[0].query["backbone.weight"], SINGLE)
