"""Multiple Granularity Network (Wang et al., ACM MM 2018), after the reproduction by seathiefwang."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from reidbench import FinetuneContext
from reidbench.training import (
    Augment,
    Backbone,
    Batches,
    Embedder,
    IdentityLosses,
    IdentitySampler,
    Loop,
    OnceSampler,
    Preprocess,
    Reduction,
    divide,
    epoch_choice,
    fit,
    labelled_source,
    set_stride,
    trained,
    warmup_multistep,
)

from .params import MgnParams

NORM_STD = 0.02  # of the batch norm weights, in the published initialisation
STRIPES = (1, 2, 3)  # horizontal parts of the three branches; the branches with 2 and 3 also have a global vector
VECTORS = 8


class BranchedEmbedder(Embedder):
    """Three copies of the backbone's last stages, each with a separate last stride.

    The stem, all but the last two stages and the first block of the second last are shared; the copies start identical
    and are not tied. With `extra_norm` a batch norm follows each copy.
    """

    def __init__(self, strides: Sequence[int], *, backbone: Backbone, extra_norm: bool, **spec: Any) -> None:
        super().__init__(backbone=backbone, extra_norm=extra_norm, **spec)
        shared, last = divide(backbone)
        self.shared = shared
        branches = [copy.deepcopy(last) for _ in strides]
        for branch, stride in zip(branches, strides, strict=True):
            set_stride(branch[-1], stride)
        self.branches = nn.ModuleList(branches)
        self.norms = nn.ModuleList(nn.BatchNorm2d(backbone.dim) if extra_norm else nn.Identity() for _ in strides)
        self._template = (backbone, last)  # in a tuple, so that their weights are not counted twice

    @property
    def backbone(self) -> Backbone:
        """The backbone as one network, with the last stages of the branch with halves."""
        backbone, last = self._template
        last.load_state_dict(self.branches[1].state_dict())
        return backbone.to(next(self.parameters()).device)

    def maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Map normalised images to one map [B, C, h, w] per branch."""
        common = self.shared(images)
        return [norm(branch(common)) for branch, norm in zip(self.branches, self.norms, strict=True)]


class MgnEmbedder(BranchedEmbedder):
    """Eight vectors of `dim` from three copies of the backbone's last stages: [B, 8 dim].

    The last stride is 2 in the branch without stripes, 1 in the others. Pooling is adaptive, so any height works.
    """

    def __init__(
        self,
        backbone: Backbone,
        preprocess: Preprocess | dict[str, Any],
        dim: int = 256,
        pool: str = "avg",
        extra_norm: bool = False,
        flip_test: bool = True,
    ) -> None:
        super().__init__(
            [2 if stripes == 1 else 1 for stripes in STRIPES],
            preprocess=preprocess, backbone=backbone, dim=dim, pool=pool, extra_norm=extra_norm, flip_test=flip_test,
        )  # fmt: skip
        self.reductions = nn.ModuleList(Reduction(backbone.dim, dim, bias=False) for _ in range(VECTORS))
        self.pool = F.adaptive_max_pool2d if pool == "max" else F.adaptive_avg_pool2d
        self.flip_test = flip_test

    def pooled(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Pool the maps of the three branches to [B, C, 1, 1]: three whole ones, then two halves and three thirds."""
        wholes: list[torch.Tensor] = []
        parts: list[torch.Tensor] = []
        for maps, stripes in zip(self.maps(images), STRIPES, strict=True):
            wholes.append(self.pool(maps, (1, 1)))
            if stripes > 1:
                parts += torch.split(self.pool(maps, (stripes, 1)), 1, 2)
        return [*wholes, *parts]

    def reduced(self, pooled: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Reduce the result of `pooled` to vectors [B, dim]."""
        return [reduce(one) for reduce, one in zip(self.reductions, pooled, strict=True)]

    def vectors(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the vectors [B, dim]: three global ones, then two halves and three thirds."""
        return self.reduced(self.pooled(images))

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map normalised images to unit features [B, 8 dim], the sum over the image and its mirror image."""
        features = torch.cat(self.vectors(images), 1)
        if self.flip_test:
            features = features + torch.cat(self.vectors(images.flip(3)), 1)
        return F.normalize(features, dim=1)


@torch.no_grad()
def start_as_published(embedder: MgnEmbedder) -> None:
    """Draw one batch norm scale for all reductions, as the reproduction does: it copies a single reduction."""
    first: Any = embedder.reductions[0]
    nn.init.normal_(first.norm.weight, 1.0, NORM_STD)
    for reduction in embedder.reductions[1:]:
        reduction.load_state_dict(first.state_dict())


class MgnLosses(IdentityLosses):
    """Mean of eight cross-entropies, and mean of the triplet losses of the three global vectors.

    With `classify` "pooled" the global vectors are classified before their reduction, with length `inputs`.
    """

    def __init__(self, params: MgnParams, classes: int, inputs: int = 0) -> None:
        self.before = params.classify == "pooled"
        wholes, parts = len(STRIPES), VECTORS - len(STRIPES)
        dims, smoothing = (
            [inputs if self.before else params.dim] * wholes + [params.dim] * parts,
            params.label_smoothing,
        )
        bias = not self.before
        super().__init__(dims, classes, smoothing=smoothing, margin=params.margin, bias=bias, start=params.start)
        self.triplet_weight = params.triplet_weight

    def forward(self, vectors: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute the weighted sum as {"loss": scalar}: vectors [B, dim] in the embedder's order, labels [B] from 0.

        With `classify` "pooled" the three global vectors before their reduction, [B, inputs], follow.
        """
        wholes = len(STRIPES)
        triplet = self.triplets(vectors[:wholes], labels).mean()
        classified = [*vectors[VECTORS:], *vectors[wholes:VECTORS]] if self.before else vectors
        cross_entropy = self.cross_entropies(self.logits(classified), labels).mean()
        return {"loss": cross_entropy + self.triplet_weight * triplet}


def _seen(params: MgnParams, embedder: MgnEmbedder, images: torch.Tensor) -> list[torch.Tensor]:
    """Return the vectors that the losses use."""
    pooled = embedder.pooled(images)
    before = [one.flatten(1) for one in pooled[: len(STRIPES)]] if params.classify == "pooled" else []
    return [*embedder.reduced(pooled), *before]


def _sampler(params: MgnParams, labels: np.ndarray, generator: torch.Generator) -> OnceSampler | IdentitySampler:
    """Return a sampler that keeps a smaller last batch, as the script does, with two identities or more per part."""
    if params.passes == "images":
        return IdentitySampler(labels, params.identities, params.images, generator)
    return OnceSampler(labels, params.identities, params.images, generator, least=2 * params.accumulate)


def _optimiser(params: MgnParams, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    if params.optimiser == "sgd":
        return torch.optim.SGD(weights, lr=params.lr, weight_decay=params.weight_decay, momentum=params.momentum)
    return torch.optim.Adam(weights, lr=params.lr, weight_decay=params.weight_decay, amsgrad=True)


def finetune(ctx: FinetuneContext[MgnParams]) -> MgnEmbedder:
    """Train with the mean of eight cross-entropies and the weighted mean of three global triplet losses on the source.

    Raises DataError when the source has fewer than two identities.
    """
    params = ctx.params
    source = labelled_source(ctx, "mgn")
    generator = torch.Generator().manual_seed(ctx.seed)
    backbone: Backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = MgnEmbedder(backbone, preprocess, params.dim, params.pool, params.extra_norm, params.flip_test)
    if params.start == "fan-out":
        start_as_published(embedder)
    losses = MgnLosses(params, source.num_pids, backbone.dim)
    optimiser = _optimiser(params, trained(embedder, losses))
    schedule = warmup_multistep(optimiser, params.epochs, warmup=0, milestones=params.milestones, gamma=params.gamma)
    augment = Augment(flip=params.flip, pad=0, erase=params.erase)

    sampler = _sampler(params, source.labels(), generator)
    batches = Batches(source, preprocess, sampler, augment, generator, ctx.workers, device=ctx.fabric.device)
    networks = {"embedder": embedder, "losses": losses}
    loop = Loop(ctx, params.epochs, networks, {"optimiser": optimiser}, schedule, generator=generator)
    fit(
        loop,
        batches,
        source.labels(),
        lambda images, _: _seen(params, embedder, images),
        losses,
        accumulate=params.accumulate,
        choice=epoch_choice(ctx, embedder),
    )
    return embedder
