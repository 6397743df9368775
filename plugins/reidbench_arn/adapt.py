"""The adapter arn (Li et al., CVPR Workshops 2018): codes shared by both domains, and codes private to each."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch

from reidbench import AdaptContext
from reidbench.data import HiddenSplit, Split
from reidbench.errors import DataError, ReidbenchError
from reidbench.training import (
    Augment,
    Batches,
    Endless,
    IdentitySampler,
    Means,
    ShuffledSampler,
    Update,
    labelled_source,
    stream,
    warmup_multistep,
)

from .embedder import ArnEmbedder, starting_embedder
from .network import ArnNetwork
from .params import ArnParams

CURE = (
    "lower lr_code, difference_weight or reconstruction_weight, or use the default forms (reconstruction: mean, "
    "difference: cosine)"
)


def adapt(ctx: AdaptContext[ArnParams]) -> ArnEmbedder:
    """Train on the labelled source and the unlabelled target; return the network E_C(E_I(x)).

    Raises DataError if the source has fewer than two identities or the target fewer than two images, and
    ReidbenchError for more than one device and when losses or weights are no longer finite.
    """
    run = _Run(ctx)
    run.train()
    embedder = run.network.embedder
    if not all(bool(tensor.isfinite().all()) for tensor in embedder.state_dict().values()):
        raise ReidbenchError(f"arn diverged in its last steps: its weights are not finite; {CURE}")
    return embedder


class _Run:
    """One adaptation. Order, augmentation and dropout have separate random streams: all ablations see the same data."""

    def __init__(self, ctx: AdaptContext[ArnParams]) -> None:
        self.ctx = ctx
        self.params = ctx.params
        source = _checked(ctx)
        self.labels = ctx.fabric.to_device(torch.from_numpy(source.labels()))
        network = ArnNetwork(starting_embedder(ctx), source.num_pids, self.params, ctx.seed)
        self.network: ArnNetwork = ctx.fabric.to_device(network)
        self.groups = self.network.groups()
        self.optimiser: torch.optim.Optimizer = torch.optim.SGD(
            [{"params": group, "lr": self.params.rate_of(name), "name": name} for name, group in self.groups.items()],
            momentum=self.params.momentum,
            weight_decay=self.params.weight_decay,
        )
        self.schedule = warmup_multistep(
            self.optimiser,
            self.params.epochs,
            warmup=0,
            milestones=self.params.milestones,
            gamma=self.params.gamma,
        )
        self.streams = {
            f"{domain} {what}": stream(ctx.seed, f"{domain} {what}")
            for domain in ("source", "target")
            for what in ("order", "augmentation")
        }
        size = self.params.target_images or self.params.identities * self.params.images
        order = self.streams["source order"]
        sampler = IdentitySampler(source.labels(), self.params.identities, self.params.images, order)
        self.source = self._batches("source", source, sampler)
        others = ShuffledSampler(len(ctx.target), size, self.streams["target order"])
        forwarded = self.params.uses_target or self.params.target_statistics
        self.target = self._batches("target", ctx.target, others) if forwarded else None
        self.update = Update(ctx.fabric, self.optimiser)

    def _batches(self, domain: str, images: Split | HiddenSplit, sampler: Iterable[np.ndarray]) -> Batches:
        augment = Augment(flip=self.params.flip, pad=self.params.pad, erase=self.params.erase)
        preprocess = self.network.embedder.preprocess
        generator = self.streams[f"{domain} augmentation"]
        steps = Endless(sampler, self.params.iterations)
        device = self.ctx.fabric.device
        return Batches(images, preprocess, steps, augment, generator, self.ctx.workers, device=device)

    def train(self) -> None:
        """Train all remaining epochs; log each loss, the signs of collapse and the learning rates."""
        state = {"network": self.network, "optimiser": self.optimiser, "schedule": self.schedule}
        generators = {**self.streams, "dropout": self.network.generator}
        for epoch in self.ctx.checkpoint.epochs(self.params.epochs, **state, **generators):
            trained = self.params.warmup_groups if epoch < self.params.warmup_epochs else tuple(self.groups)
            line = self._epoch(frozenset(trained))
            _require_finite(line, epoch)
            rates = {f"lr_{group['name']}": group["lr"] for group in self.optimiser.param_groups}
            self.ctx.log({**line, **rates})
            self.schedule.step()

    def _epoch(self, trained: frozenset[str]) -> dict[str, float]:
        self.network.train()
        to_device = self.ctx.fabric.to_device
        source = iter(self.source)
        target = iter(self.target) if self.target is not None else None
        means = Means()
        for _ in range(self.params.iterations):
            images, indices = next(source)
            others = to_device(next(target)[0]) if target is not None else None
            with self.update.precision():
                output = self.network(to_device(images), self.labels[indices], others)
            self.update.backward(output.loss)
            self._keep_back(trained)
            self.update.step()
            means.add(output.facts)
        return means.values()

    def _keep_back(self, trained: frozenset[str]) -> None:
        """Drop the gradients of untrained groups: SGD then skips the parameters, their momentum and weight decay."""
        for name, group in self.groups.items():
            if name not in trained:
                for parameter in group:
                    parameter.grad = None


def _require_finite(line: dict[str, float], epoch: int) -> None:
    """Raise ReidbenchError when training has diverged, which the paper's sums and raw norms make likely."""
    wrong = [name for name, value in line.items() if not math.isfinite(value)]
    if wrong:
        raise ReidbenchError(f"arn diverged in epoch {epoch + 1}: {', '.join(wrong)} not finite; {CURE}")


def _checked(ctx: AdaptContext[ArnParams]) -> Split:
    """Return the source; raise an error if arn cannot run with this data or these devices."""
    source = labelled_source(ctx, "arn", "labelled source")
    if len(ctx.target) < 2:
        raise DataError(f"arn needs two or more target images, but the target has {len(ctx.target)}")
    if ctx.fabric.world_size != 1:
        raise ReidbenchError("arn runs on one device: set `devices: 1`")
    return source
