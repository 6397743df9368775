"""Momentum contrast (He et al., CVPR 2020): two encoders, a queue of keys, InfoNCE, and MoCo v2's step."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from reidbench.training.devices import gather, this_share
from reidbench.training.networks.heads import Encoder
from reidbench.training.networks.splitnorm import batch_norm_in_parts
from reidbench.training.random import stream


def cosine_per_epoch(optimiser: torch.optim.Optimizer, epochs: int) -> LambdaLR:
    """lr(e) = lr * (1 + cos(pi e / epochs)) / 2, stepped once per epoch, without warm-up."""
    return LambdaLR(optimiser, lambda epoch: 0.5 * (1 + math.cos(math.pi * epoch / epochs)))


class KeyQueue(nn.Module):
    """`banks` queues of `size` keys with one pointer: column j of every bank comes from the same image.

    `keys` is [banks, D, size]; columns are unit vectors, random at first. Each bank has a separate generator in
    `generators`, so that adding banks does not change the first.
    """

    keys: torch.Tensor
    pointer: torch.Tensor

    def __init__(self, size: int, dim: int, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        banks = [torch.randn(dim, size, generator=generator) for generator in generators]
        self.size = size
        self.register_buffer("keys", F.normalize(torch.stack(banks), dim=1))
        self.register_buffer("pointer", torch.zeros(1, dtype=torch.long))

    @torch.no_grad()
    def enqueue(self, keys: torch.Tensor) -> None:
        """Write keys [banks, B, D] over the oldest ones, wrapping around; the last `size` keys are kept.

        On several devices B is one share, and the keys of all are written, so that the queues stay equal. The official
        code asserts that B divides the size, which does not hold for UP-ReID's 800 and 65536.
        """
        if this_share().ranks > 1:
            keys = gather(keys.transpose(0, 1)).transpose(0, 1)
        count = keys.shape[1]
        start = int(self.pointer)
        kept = min(count, self.size)
        columns = (torch.arange(count - kept, count, device=self.keys.device) + start) % self.size
        self.keys[:, :, columns] = keys[:, count - kept :].transpose(1, 2).to(self.keys.dtype)
        self.pointer.fill_((start + count) % self.size)


class MomentumEncoders(nn.Module):
    """The online encoder f_q and its momentum copy f_k, with shuffle-BN on one or several devices.

    f_k has no gradient. Its parameters follow f_q's; its batch-norm statistics are separate. Both normalise `splits`
    parts of the whole batch separately, which are distributed over the devices; f_k also receives its images in another
    order, across devices, so that query and key share no statistics.
    """

    def __init__(self, encoder: Encoder, *, momentum: float, splits: int) -> None:
        super().__init__()
        self.online = batch_norm_in_parts(encoder, splits)
        self.target = copy.deepcopy(self.online)
        self.target.requires_grad_(False)
        self.momentum = momentum

    @torch.no_grad()
    def update(self) -> None:
        """theta_k <- m theta_k + (1 - m) theta_q: parameters only, and before the keys of the step are computed."""
        targets: list[torch.Tensor] = list(self.target.parameters())
        torch._foreach_lerp_(targets, list(self.online.parameters()), 1 - self.momentum)

    @torch.no_grad()
    def encode_keys(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Keys [B, D] of images [B, 3, H, W], encoded in a random order and returned in the original one.

        The order covers the whole batch: a device encodes images of all devices, with separate statistics.
        """
        share = this_share()
        images = gather(images)
        order = torch.randperm(len(images), generator=generator).to(images.device)
        keys = gather(self.target(images[share.of(order)]))
        return share.of(keys[order.argsort()])


def info_nce(
    queries: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor, temperature: float
) -> torch.Tensor:
    """-log S / (S + sum_j exp(q.n_j / t)) with S = sum_p exp(q.p / t), for each query: [..., B].

    queries [..., B, D], positives [..., B, P, D], negatives [..., D, N], all unit vectors. Several positives are summed
    inside one logarithm; one positive gives MoCo's loss. Computed in float32, also under autocast.
    """
    with torch.autocast(queries.device.type, enabled=False):
        queries = queries.float()
        near = (queries.unsqueeze(-2) * positives.float()).sum(-1) / temperature  # [..., B, P]
        far = queries @ negatives.float() / temperature  # [..., B, N]
        return torch.cat([near, far], -1).logsumexp(-1) - near.logsumexp(-1)


class Views(NamedTuple):
    """One batch: two augmented views and the unaugmented images, normalised, [B, 3, H, W] each."""

    first: torch.Tensor
    second: torch.Tensor
    original: torch.Tensor


class StepOutput(NamedTuple):
    """A step's loss, the keys to enqueue [banks, B, D], and values for the log."""

    loss: torch.Tensor
    keys: torch.Tensor
    facts: dict[str, torch.Tensor]


class ContrastiveStep(nn.Module):
    """Base of steps: `forward(views) -> StepOutput`. Checkpoints include `generators`; `queue` receives the keys."""

    encoders: MomentumEncoders
    queue: KeyQueue
    generators: dict[str, torch.Generator]

    def forward(self, views: Views) -> StepOutput:
        """Loss of one batch; the caller runs backward and the optimiser step, and only then enqueues."""
        raise NotImplementedError


def moco_state(step: ContrastiveStep) -> dict[str, torch.Tensor]:
    """Both encoders and the queues, named as in MoCo's checkpoints; further banks are `queue_patch` [M, D, N]."""
    state: dict[str, torch.Tensor] = {}
    for name, encoder in (("q", step.encoders.online), ("k", step.encoders.target)):
        for key, tensor in encoder.state_dict().items():
            inner = key.removeprefix("backbone.") if key.startswith("backbone.") else f"fc.{key.removeprefix('head.')}"
            state[f"module.encoder_{name}.{inner}"] = tensor
    state["module.queue"] = step.queue.keys[0]
    if len(step.queue.keys) > 1:
        state["module.queue_patch"] = step.queue.keys[1:]
    state["module.queue_ptr"] = step.queue.pointer
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}


class MocoStep(ContrastiveStep):
    """MoCo v2: queries of the first view against keys of the second view and the queue."""

    def __init__(self, encoders: MomentumEncoders, *, dim: int, queue: int, temperature: float, seed: int) -> None:
        super().__init__()
        self.encoders = encoders
        self.queue = KeyQueue(queue, dim, [stream(seed, "queue")])
        self.temperature = temperature
        self.generators = {"shuffle": stream(seed, "shuffle")}

    def forward(self, views: Views) -> StepOutput:
        """Compute queries, update the key encoder, compute keys, then logits against the queue before this step."""
        queries = self.encoders.online(views.first)
        self.encoders.update()
        keys = self.encoders.encode_keys(views.second, self.generators["shuffle"])
        loss = info_nce(queries, keys[:, None], self.queue.keys[0], self.temperature).mean()
        return StepOutput(loss, keys[None], {})
