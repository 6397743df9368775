"""DINO's loss with its centre, its schedules, and what tells a collapse (Caron et al., ICCV 2021, 3.1 and 5.3)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.training.devices import average

WHOLE = 2  # views that the teacher sees
NEAR = 0.01  # of ln K: closer than this to 0 or to ln K counts as being there


class LossOutput(NamedTuple):
    """The loss, and for the log: the mean entropy of the teacher's outputs, and the entropy of their mean, in nats."""

    loss: torch.Tensor
    entropy: torch.Tensor
    mean_entropy: torch.Tensor


class DinoLoss(nn.Module):
    """Cross-entropies of teacher and student over all pairs of different views; the centre follows after the loss."""

    center: torch.Tensor  # spelt as in DINO's checkpoints

    def __init__(self, outputs: int, *, student_temperature: float, centre_momentum: float) -> None:
        super().__init__()
        self.student_temperature = student_temperature
        self.centre_momentum = centre_momentum
        self.register_buffer("center", torch.zeros(1, outputs))

    def forward(self, student: torch.Tensor, teacher: torch.Tensor, teacher_temperature: float) -> LossOutput:
        """Raw outputs student [V B, K] and teacher [2 B, K], views one after the other, the two whole ones first.

        The mean over the 2 V - 2 pairs (whole view i of the teacher, view v of the student, i != v) and over the
        images of -sum_k q_i log p_v, with q = softmax((t - centre) / teacher's temperature) without gradient and
        p = softmax(s / student's temperature). In float32, whatever the precision of the networks. On several devices
        the loss and the first entropy are of this one's share of the images; centre and mean are of all images.
        """
        targets = ((teacher.detach().float() - self.center) / teacher_temperature).softmax(1)
        batch = len(targets) // WHOLE
        logs = F.log_softmax(student.float() / self.student_temperature, 1).view(-1, batch, student.shape[1])
        whole = targets.view(WHOLE, batch, -1)
        pairs = WHOLE * len(logs) - WHOLE
        every = logs.sum(0)  # of all views, from which each target's own view is taken off
        loss = -((every - logs[:WHOLE]) * whole).sum() / (pairs * batch)
        self._follow(teacher)
        mean = average(targets.mean(0))
        return LossOutput(loss, entropy(targets).mean(), entropy(mean))

    @torch.no_grad()
    def _follow(self, teacher: torch.Tensor) -> None:
        """centre <- m centre + (1 - m) mean of the raw outputs, both whole views and all images."""
        mean = average(teacher.float().mean(0, keepdim=True))
        self.center.mul_(self.centre_momentum).add_(mean, alpha=1 - self.centre_momentum)


def entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """-sum_k p log p in nats, over the last dimension."""
    terms: torch.Tensor = torch.special.entr(probabilities)
    return terms.sum(-1)


def collapse(entropy: float, mean_entropy: float, outputs: int) -> str:
    """What kind of collapse the teacher's outputs are, in words, or "".

    Uniform outputs have an entropy of ln K each. One output for all images has no entropy in the mean over images.
    (Little entropy of each image alone is none: sharp targets of small K have it, and differ between images.)
    """
    most = math.log(outputs)
    if entropy > (1 - NEAR) * most:
        return f"the teacher's outputs are uniform (entropy {entropy:.3f} of ln K = {most:.3f})"
    if mean_entropy < NEAR * most:
        return f"the teacher gives one output for all images (entropy of the mean {mean_entropy:.3f})"
    return ""


def cosine_schedule(step: int, steps: int, start: float, end: float, *, warmup: int = 0) -> float:
    """The value at `step` of `steps`: from 0 to `start` in `warmup` steps, then by a half cosine towards `end`.

    Both ends of the warm-up are reached, at steps 0 and warmup - 1; the cosine starts at `start` and would reach
    `end` at step `steps`.
    """
    if step < warmup:
        return start * step / max(warmup - 1, 1)
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def warmed_up(epoch: int, start: float, end: float, epochs: int) -> float:
    """The teacher's temperature in `epoch`: `start` to `end` evenly over the first `epochs`, then `end`."""
    return end if epoch >= epochs else start + (end - start) * epoch / max(epochs - 1, 1)
