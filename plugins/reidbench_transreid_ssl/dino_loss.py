"""DINO's loss with its centre, its schedules, and the detection of collapse (Caron et al., ICCV 2021, 3.1 and 5.3)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.training.devices import average

WHOLE = 2  # number of views that the teacher sees
NEAR = 0.01  # fraction of ln K: an entropy closer than this to 0 or ln K counts as equal to it


class LossOutput(NamedTuple):
    """The loss, and for the log: the mean entropy of the teacher's outputs, and the entropy of their mean, in nats."""

    loss: torch.Tensor
    entropy: torch.Tensor
    mean_entropy: torch.Tensor


class DinoLoss(nn.Module):
    """Cross-entropies of teacher and student over all pairs of different views; the centre is updated afterwards."""

    center: torch.Tensor  # spelled as in DINO's checkpoints

    def __init__(self, outputs: int, *, student_temperature: float, centre_momentum: float) -> None:
        super().__init__()
        self.student_temperature = student_temperature
        self.centre_momentum = centre_momentum
        self.register_buffer("center", torch.zeros(1, outputs))

    def forward(self, student: torch.Tensor, teacher: torch.Tensor, teacher_temperature: float) -> LossOutput:
        """Raw outputs student [V B, K] and teacher [2 B, K], view after view, the two whole ones first.

        The loss is the mean over the 2 V - 2 pairs (whole view i of the teacher, view v of the student, i != v) and
        over the images of -sum_k q_i log p_v, with q = softmax((t - centre) / teacher's temperature) without gradient
        and p = softmax(s / student's temperature). In float32, at any precision of the networks. On several devices the
        loss and the first entropy are those of this device's share of the images; centre and mean are those of all
        images.
        """
        targets = ((teacher.detach().float() - self.center) / teacher_temperature).softmax(1)
        batch = len(targets) // WHOLE
        logs = F.log_softmax(student.float() / self.student_temperature, 1).view(-1, batch, student.shape[1])
        whole = targets.view(WHOLE, batch, -1)
        pairs = WHOLE * len(logs) - WHOLE
        every = logs.sum(0)  # of all views; each target's own view is subtracted below
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
    """Return -sum_k p log p in nats, over the last dimension."""
    terms: torch.Tensor = torch.special.entr(probabilities)
    return terms.sum(-1)


def collapse(entropy: float, mean_entropy: float, outputs: int) -> str:
    """Return the kind of collapse of the teacher's outputs in words, or "".

    Uniform outputs each have an entropy of ln K. One output for all images gives an entropy of 0 for the mean over
    images. (Low entropy of single images is not a collapse: sharp targets of small K have it, and differ between
    images.)
    """
    most = math.log(outputs)
    if entropy > (1 - NEAR) * most:
        return f"the teacher's outputs are uniform (entropy {entropy:.3f} of ln K = {most:.3f})"
    if mean_entropy < NEAR * most:
        return f"the teacher gives one output for all images (entropy of the mean {mean_entropy:.3f})"
    return ""


def cosine_schedule(step: int, steps: int, start: float, end: float, *, warmup: int = 0) -> float:
    """Return the value at `step` of `steps`: from 0 to `start` in `warmup` steps, then a half cosine towards `end`.

    The warm-up reaches both ends, at steps 0 and warmup - 1; the cosine starts at `start` and would reach `end` at step
    `steps`.
    """
    if step < warmup:
        return start * step / max(warmup - 1, 1)
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def warmed_up(epoch: int, start: float, end: float, epochs: int) -> float:
    """Return the teacher's temperature in `epoch`: `start` to `end` linearly over the first `epochs`, then `end`."""
    return end if epoch >= epochs else start + (end - start) * epoch / max(epochs - 1, 1)
