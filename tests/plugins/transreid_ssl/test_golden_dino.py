"""DINO against its equations, written here in float64: four steps of loss, centre, student and teacher.

Caron et al. (ICCV 2021), equations 1 to 4 and the schedules of section 3.2, as TransReID-SSL sets them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F

from reidbench import PretrainContext
from reidbench.data import read_market_folder
from reidbench.testing import write_market_folder
from reidbench.training import Features
from reidbench_transreid_ssl import dino
from reidbench_transreid_ssl.params import DinoParams
from tests.support.contexts import make_context
from tests.support.golden import Matrix, close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE, CHANNELS, HIDDEN, BOTTLENECK, OUTPUTS, BATCH, LOCAL = (8, 4), 5, 6, 4, 7, 6, 8
GRID = (4, 2)
EPOCHS, WARM, FROZEN, CLIP, PEAK = 4, 2, 2, 0.2, 0.02  # one step in an epoch
SINGLE = 2e-5  # outputs of the head are in single precision
Tensors = dict[str, torch.Tensor]


class Pooled(Matrix):
    """Averages over a grid of 4 x 2, for any image size, times a matrix."""

    def __init__(self) -> None:
        super().__init__(CHANNELS, 3 * GRID[0] * GRID[1])

    def forward(self, images: torch.Tensor) -> Features:
        return super().forward(F.adaptive_avg_pool2d(images, GRID))


def outputs(images: torch.Tensor, known: Tensors) -> torch.Tensor:
    """Backbone, three layers with GELU between, a vector of length 1, and rows g v / |v|."""
    cells = images.unflatten(3, (GRID[1], -1)).unflatten(2, (GRID[0], -1)).mean((3, 5))
    values = cells.flatten(1) @ known["backbone.weight"].t()
    for layer in (0, 2, 4):
        values = values @ known[f"head.mlp.{layer}.weight"].t() + known[f"head.mlp.{layer}.bias"]
        if layer < 4:
            values = values * 0.5 * (1 + torch.erf(values / math.sqrt(2)))
    values = values / values.square().sum(1, keepdim=True).sqrt()
    v = known["head.last_layer.weight_v"]
    rows = known["head.last_layer.weight_g"] * v / v.square().sum(1, keepdim=True).sqrt()
    return values @ rows.t()


def softmax(values: torch.Tensor) -> torch.Tensor:
    return values.exp() / values.exp().sum(1, keepdim=True)


def half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


class Answer(NamedTuple):
    """Values of a step: the loss, the mean entropy of the teacher's outputs and the entropy of their mean."""

    loss: torch.Tensor
    entropy: torch.Tensor
    mean_entropy: torch.Tensor


class Paper:
    """Student, teacher, centre and AdamW's moments, in float64."""

    def __init__(self, student: Tensors) -> None:
        self.student = student
        self.teacher = copy.deepcopy(student)
        self.centre = torch.zeros(OUTPUTS, dtype=torch.float64)
        self.moments: dict[str, tuple[torch.Tensor, torch.Tensor, int]] = {}

    def loss(self, views: list[torch.Tensor], known: Tensors) -> Answer:
        """Equation 3, the mean over pairs of different views, then equation 4."""
        raw = [outputs(view, self.teacher) for view in views[:2]]
        targets = [softmax((one - self.centre) / 0.04) for one in raw]
        answers = [softmax(outputs(view, known) / 0.1) for view in views]
        terms = [
            -(target * answer.log()).sum(1).mean()
            for i, target in enumerate(targets) for v, answer in enumerate(answers) if i != v
        ]  # fmt: skip
        assert len(terms) == 18
        self.centre = 0.9 * self.centre + 0.1 * torch.cat(raw).mean(0)
        mean = torch.cat(targets).mean(0)
        entropy = -torch.cat([target * target.log() for target in targets]).sum(1).mean()
        return Answer(torch.stack(terms).mean(), entropy, -(mean * mean.log()).sum())

    def step(self, views: list[torch.Tensor], number: int, fixed: frozenset[str]) -> tuple[Answer, Tensors]:
        """Return the gradients of one batch as used by the step, for the weights that are not `fixed`."""
        known = {name: weight.detach().clone().requires_grad_() for name, weight in self.student.items()}
        answer = self.loss(views, known)
        answer.loss.backward()
        gradients: Tensors = {}
        for name, weight in known.items():
            assert weight.grad is not None
            if name not in fixed and not (number < FROZEN and "last_layer" in name):
                gradients[name] = weight.grad * min(1.0, CLIP / (weight.grad.norm().item() + 1e-6))
        rate = PEAK * number if number < WARM else half_cosine(PEAK, 1e-6, (number - WARM) / (EPOCHS - WARM))
        for name, gradient in gradients.items():
            decay = 0.0 if name.endswith("bias") else half_cosine(0.04, 0.4, number / EPOCHS)
            self.student[name] = self.adamw(name, gradient, rate, decay)
        kept = half_cosine(0.996, 1.0, number / EPOCHS)
        self.teacher = {name: kept * weight + (1 - kept) * self.student[name] for name, weight in self.teacher.items()}
        return answer, gradients

    def adamw(self, name: str, gradient: torch.Tensor, rate: float, decay: float) -> torch.Tensor:
        """Loshchilov and Hutter's decay and Adam's step."""
        zero = torch.zeros_like(gradient)
        mean, square, count = self.moments.get(name, (zero, zero, 0))
        mean, square, count = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient.square(), count + 1
        self.moments[name] = mean, square, count
        way = mean / (1 - 0.9**count) / ((square / (1 - 0.999**count)).sqrt() + 1e-8)
        return (1 - rate * decay) * self.student[name] - rate * way


def by_formula(run: dino.Run) -> Tensors:
    """Return student and teacher with equal weights; all but the last layer, which uses float32, in float64."""
    run.loss.double()
    student, teacher = run.networks.student.double(), run.networks.teacher.double()
    for number, (name, weight) in enumerate(student.named_parameters()):
        values = wave(number + 2, *weight.shape)
        if not name.endswith("weight_g"):
            weight.data = 0.6 * values
        elif weight.requires_grad:  # otherwise the rows are unit vectors
            weight.data = 1.5 + 0.3 * values
    teacher.load_state_dict(student.state_dict())
    for network in (student, teacher):
        network.head.last_layer.float()
    return {name: weight.detach().double().clone() for name, weight in student.named_parameters()}


def compare(run: dino.Run, paper: Paper, start: Tensors, gradients: Tensors, number: int) -> None:
    student, teacher = (dict(one.named_parameters()) for one in (run.networks.student, run.networks.teacher))
    close(f"centre after step {number}", run.loss.center[0], paper.centre, SINGLE)
    for name, weight in student.items():
        if weight.grad is None:
            assert name not in gradients, f"{name} has no gradient, step {number}"
            continue
        close(f"gradient norm of {name}, step {number}", weight.grad.norm(), gradients[name].norm(), SINGLE)
        close(f"gradient of {name}, step {number}", weight.grad, gradients[name], 10 * SINGLE)
    for whose, found, wanted in (("student", student, paper.student), ("teacher", teacher, paper.teacher)):
        for name, weight in found.items():
            if "last_layer" in name:
                close(f"{whose} after step {number}, {name}", weight, wanted[name], 1e-6)
            else:
                close(
                    f"{whose} after step {number}, way of {name}",
                    weight - start[name],
                    wanted[name] - start[name],
                    1e-3,
                )


@pytest.mark.parametrize("normed", [True, False], ids=["unit rows", "learnt lengths"])
def test_four_steps_are_the_papers(normed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two whole and eight local views: 18 pairs. The last layer is frozen for two steps; each gradient is clipped."""
    params = DinoParams(
        epochs=EPOCHS, batch=BATCH, base_lr=PEAK * 256 / BATCH, warmup_epochs=WARM, freeze_last_layer=FROZEN, clip=CLIP,
        out_dim=OUTPUTS, hidden_dim=HIDDEN, bottleneck_dim=BOTTLENECK, norm_last_layer=normed, held_out=0,
    )  # fmt: skip
    pool = read_market_folder(write_market_folder(tmp_path / "pool", identities=2, seed=1)).train.hide()
    ctx, lines = make_context(PretrainContext, tmp_path / "out", params, image_size=SIZE, pool=pool, backbone=Pooled)
    run = dino.Run(ctx)
    paper = Paper(by_formula(run))
    start = dict(paper.student)
    fixed = frozenset({"head.last_layer.weight_g"} if normed else ())
    answers: list[Answer] = []

    def views() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        number = len(answers)
        whole = wave(30 + 2 * number, 2 * BATCH, 3, *SIZE)
        local = wave(31 + 2 * number, LOCAL * BATCH, 3, SIZE[0] // 2, SIZE[1] // 2)
        answer, gradients = paper.step([*whole.chunk(2), *local.chunk(LOCAL)], number, fixed)
        answers.append(answer)
        yield whole, local
        compare(run, paper, start, gradients, number)

    monkeypatch.setattr(run, "views", views)
    run.train()
    assert len(lines) == len(answers) == EPOCHS
    for number, (line, answer) in enumerate(zip(lines, answers, strict=True)):
        close(f"loss of step {number}", line["loss"], answer.loss, SINGLE)
        close(f"mean entropy of the targets, step {number}", line["teacher_entropy"], answer.entropy, SINGLE)
        close(f"entropy of the mean target, step {number}", line["mean_entropy"], answer.mean_entropy, SINGLE)
    close("backbone that is kept", run.result().get_parameter("weight"), paper.teacher["backbone.weight"], SINGLE)
