"""Student and teacher of DINO, and operations on their weights: groups, clipping, freezing, the teacher's average."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from reidbench.training import Backbone
from reidbench.training.networks.droppath import set_drop_path

from .dino_head import DinoHead

LAST = "last_layer"


class Network(nn.Module):
    """A backbone and a head; views of the same size pass through the backbone together."""

    def __init__(self, backbone: Backbone, head: DinoHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, *views: torch.Tensor) -> torch.Tensor:
        """Map views [N_i, 3, h_i, w_i], sorted by size, to outputs [sum N_i, K]."""
        return self.head(torch.cat([self.backbone(images).vector for images in views]))  # type: ignore[no-any-return]


class Networks(nn.Module):
    """The student, and a teacher with the same initial weights, without gradients and without dropped paths.

    The teacher stays in training mode, as in the official code: batch norm uses the statistics of its batch and keeps
    separate running ones.
    """

    def __init__(self, backbone: Backbone, head: DinoHead, *, drop_path: float) -> None:
        super().__init__()
        self.student = Network(backbone, head)
        self.teacher = copy.deepcopy(self.student)
        self.teacher.requires_grad_(False)
        set_drop_path(self.student.backbone, drop_path)
        set_drop_path(self.teacher.backbone, 0.0)

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """teacher <- m teacher + (1 - m) student: parameters only, not buffers."""
        targets: list[torch.Tensor] = list(self.teacher.parameters())
        torch._foreach_lerp_(targets, list(self.student.parameters()), 1 - momentum)


def decay_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Return two optimiser groups of the trained parameters: matrices with weight decay, biases and vectors without.

    Position embedding and class token have three dimensions and decay.
    """
    trained = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
    plain = [weight for name, weight in trained if name.endswith(".bias") or weight.ndim == 1]
    taken = {id(weight) for weight in plain}
    decayed = [weight for _, weight in trained if id(weight) not in taken]
    return [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]


@torch.no_grad()
def clip_each(weights: Iterable[torch.Tensor], most: float) -> None:
    """Scale down the gradient of each tensor separately to norm `most`; not the norm of all gradients together."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    factors = [(most / (norm + 1e-6)).clamp_max(1) for norm in torch._foreach_norm(gradients)]
    torch._foreach_mul_(gradients, factors)


def freeze_last_layer(network: nn.Module) -> None:
    """Drop the last layer's gradients, so that the optimiser skips it, including its decay."""
    for name, weight in network.named_parameters():
        if LAST in name:
            weight.grad = None


def network_state(networks: Networks, center: torch.Tensor, epochs: int) -> dict[str, torch.Tensor]:
    """Return the state in DINO's names, nested names joined by dots: student., teacher., dino_loss.center, epoch."""
    state = {**networks.state_dict(), "dino_loss.center": center, "epoch": torch.tensor(epochs)}
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
