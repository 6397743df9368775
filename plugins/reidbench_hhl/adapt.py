"""HHL (Zhong et al., ECCV 2018): source classification, and one triplet loss for camera and domain invariance."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from reidbench import AdaptContext
from reidbench.data.pictures.images import HasImages
from reidbench.data.pictures.size import ImageSize
from reidbench.metrics import pseudo_labels
from reidbench.training import (
    Backbone,
    BackboneEmbedder,
    Means,
    Preprocess,
    Update,
    embed,
    image_source,
    labelled_source,
    seeded,
    stream,
)
from reidbench.training.batches.crops import CROPS, boxes_of, crop_and_resize, draw_boxes, draw_chances
from reidbench.training.batches.originals import Originals
from reidbench.training.batches.reading import made_ahead, upload
from reidbench.training.contrastive.views import normalised
from reidbench.training.translation.passes import Passes

from .batches import IdentityPasses, one_of_each
from .composition import Composition
from .invariance import distances
from .losses import batch_hard, triplet_rows
from .params import HHLParams
from .styles import Fakes


class UnitEmbedder(BackboneEmbedder):
    """HHL's feature at test time: the backbone's pooled vector at unit length."""

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map normalised images to features [B, dim]."""
        return F.normalize(super().forward(images, camids).float(), dim=1)


class Network(nn.Module):
    """Backbone, a shared layer, and two branches: a classifier after dropout, and an embedding."""

    def __init__(self, backbone: Backbone, classes: int, params: HHLParams, drops: torch.Generator) -> None:
        super().__init__()
        self.backbone = backbone
        self.shared = nn.Linear(backbone.dim, params.width)
        self.norm = nn.BatchNorm1d(params.width)
        self.classifier = nn.Linear(params.width, classes)
        self.embedding = nn.Linear(params.width, params.embedding)
        self.dropout = params.dropout
        self.drops = drops
        nn.init.kaiming_normal_(self.shared.weight, mode="fan_out")
        nn.init.zeros_(self.shared.bias)
        for layer in (self.classifier, self.embedding):
            nn.init.normal_(layer.weight, std=0.001)
            nn.init.zeros_(layer.bias)

    def forward(self, images: torch.Tensor, branch: str) -> torch.Tensor:
        """Map [B, 3, H, W] to logits [B, classes] (`branch` "classes") or embeddings [B, embedding], not normalised."""
        hidden = F.relu(self.norm(self.shared(self.backbone(images).vector)))
        if branch == "embedding":
            return self.embedding(hidden)  # type: ignore[no-any-return]
        if self.training and self.dropout > 0:  # drawn on the CPU, so that the device does not change the result
            kept = torch.rand(hidden.shape, generator=self.drops) >= self.dropout
            hidden = hidden * kept.to(hidden) / (1 - self.dropout)
        return self.classifier(hidden)  # type: ignore[no-any-return]

    def groups(self, params: HHLParams) -> dict[str, list[nn.Parameter]]:
        """Return every trained parameter once: the backbone's, and those of new layers."""
        new: list[nn.Module] = [self.classifier]
        if params.train_embedding:
            new += [self.shared, self.norm, self.embedding]
        return {
            "base": list(self.backbone.parameters()),
            "new": [parameter for module in new for parameter in module.parameters()],
        }


class Batch(NamedTuple):
    """Augmented images of a step on the device, [B, 3, H, W], and the labels of the source images.

    `source` [P x K] and `target` [n_t x (1 + C)], each image followed by its fakes, are the rows of the triplets, None
    if the loss does not use them; `members` [P x K] are the labels of `source`.
    """

    classified: torch.Tensor
    labels: torch.Tensor
    source: torch.Tensor | None
    members: torch.Tensor
    target: torch.Tensor | None


def adapt(ctx: AdaptContext[HHLParams]) -> UnitEmbedder:
    """Train on the labelled source and the target's camera styles; return the backbone as embedder.

    Raises DataError if the source has fewer than two identities, or if a batch asks for more images than exist.
    """
    run = HHL(ctx)
    run.train()
    return run.embedder


class HHL:
    """One training run: its data, networks and samplers."""

    def __init__(self, ctx: AdaptContext[HHLParams]) -> None:
        self.ctx = ctx
        self.params = ctx.params
        source = labelled_source(ctx, "hhl")
        self.labels = torch.from_numpy(source.labels())
        self.classes = source.num_pids
        self._networks()
        self.fakes = Fakes(ctx.prepared["style"], ctx.target, ctx.image_size, ctx.workers)
        self.composition = Composition.of(self.params, self.fakes.styles)
        self.crops_originals = ImageSize.given(ctx.image_size).crop_from == "original" and self.params.crop == "rect"
        self.fetch_source: Callable[[np.ndarray], torch.Tensor | Originals] = (
            partial(self.stored, source)
            if self.crops_originals
            else image_source(source, ctx.image_size, workers=ctx.workers)
        )
        self.fetch_target = image_source(ctx.target, ctx.image_size, workers=ctx.workers)
        self._samplers()

    def _networks(self) -> None:
        ctx, params = self.ctx, self.params
        self.drops = stream(ctx.seed, "dropout")
        self.draws = stream(ctx.seed, "augment")
        backbone = ctx.backbone()
        self.preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
        with seeded(ctx.seed, "heads"):
            self.network: Network = ctx.fabric.to_device(Network(backbone, self.classes, params, self.drops))
        self.embedder = UnitEmbedder(backbone, self.preprocess)
        self.optimiser: torch.optim.Optimizer = torch.optim.SGD(
            [{"params": group, "name": name} for name, group in self.network.groups(params).items()],
            lr=params.lr,
            momentum=params.momentum,
            weight_decay=params.weight_decay,
            nesterov=params.momentum > 0,
        )
        self.update = Update(ctx.fabric, self.optimiser)

    def _samplers(self) -> None:
        params, composition, seed = self.params, self.composition, self.ctx.seed
        self.classified = Passes(len(self.labels), composition.classified, seed, "source images to classify")
        if composition.identities:
            self.triplets = IdentityPasses(self.labels.numpy(), composition.identities, params.images, seed)
        if composition.real:
            self.targets = Passes(len(self.ctx.target), composition.real, seed, "target images")
        self.clusters: np.ndarray | None = None

    def stored(self, images: HasImages, rows: np.ndarray) -> Originals:
        """Return images in their stored size."""
        return Originals.read(images, rows, self.ctx.workers, self.ctx.fabric.device)

    # ------------------------------------------------------------------ training
    def train(self) -> None:
        """Train all remaining epochs, each as long as a pass of the classification batches."""
        state = {"network": self.network, "optimiser": self.optimiser, "drops": self.drops, "draws": self.draws}
        for epoch in self.ctx.checkpoint.epochs(self.params.epochs, **state):
            start = self._probe("at_start") if epoch == 0 else {}
            self.set_rate(epoch)
            self._cluster()
            self.network.train()
            means = Means()
            steps = range(epoch * len(self.classified), (epoch + 1) * len(self.classified))
            for batch in made_ahead(map(self.batch, steps), self.ctx.workers):
                means.add(self.step(batch))
            line = means.values() | {"lr": self.optimiser.param_groups[1]["lr"], "steps": len(self.classified)}
            if epoch + 1 == self.params.epochs:
                line |= self._probe("at_end")
            self.ctx.log({**start, **line})

    def set_rate(self, epoch: int) -> None:
        """Divide the rates by 10 after each `lr_step` of the epochs; the backbone's is `base_factor` of the others'."""
        params = self.params
        rate = params.lr * 0.1 ** (epoch // max(1, round(params.lr_step * params.epochs)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate * (params.base_factor if group["name"] == "base" else 1)

    def batch(self, step: int) -> Batch:
        """Return the images of a step; their augmentation is drawn in the order of the fields."""
        rows = self.classified.at(step)
        classified = self.augment(self.fetch_source(rows))
        source, members = None, self.labels[:0]
        if self.composition.identities:
            chosen = self.triplets.at(step)
            source, members = self.augment(self.fetch_source(chosen)), self.labels[chosen]
        of_target = self.stored_target if self.crops_originals else self.target_pixels
        target = self.augment(of_target(step)) if self.composition.real else None
        return Batch(classified, self.labels[rows], source, members, target)

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Take one step: up to three forward passes, the target's last, and one backward pass."""
        loss, facts = self.loss(batch)
        self.update(loss)
        return {"loss": loss.detach(), **facts}

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """L_cross + beta L_triplet; each kind of image has its own forward pass and batch statistics."""
        to_device = self.ctx.fabric.to_device
        logits = self.forward(batch.classified, "classes")
        cross = F.cross_entropy(logits, to_device(batch.labels))
        facts = {"cross": cross.detach()}
        embeddings, target = self._embeddings(batch.source), self._embeddings(batch.target)
        if self.params.loss in ("none", "forward"):
            return cross, facts
        features = torch.cat([embeddings, target])
        wanted = triplet_rows(self.params.loss, self.composition, to_device(batch.members), self.classes)
        triplet, crossed = batch_hard(features, wanted, self.params.margin)
        facts |= {"triplet": triplet.detach(), "negatives_across_domains": crossed}
        return cross + self.params.beta * triplet, facts

    def _embeddings(self, images: torch.Tensor | None) -> torch.Tensor:
        if images is None:
            return torch.zeros(0, self.params.embedding, device=self.ctx.fabric.device)
        return self.forward(images, "embedding")

    def target_rows(self, step: int) -> np.ndarray:
        """Return the target images [n_t] of a step."""
        if self.clusters is not None:
            return one_of_each(self.clusters, self.composition.real, self.ctx.seed, step)
        return self.targets.at(step)

    def target_pixels(self, step: int) -> torch.Tensor:
        """Return uint8 [n_t x (1 + C), H, W, 3]; real image and fakes are then augmented independently."""
        rows = self.target_rows(step)
        pixels = self.fetch_target(rows)[:, None]
        if self.composition.fakes:
            pixels = torch.cat([pixels, self.fakes.fetch(rows, self.draws)], 1)
        return pixels.flatten(0, 1)

    def stored_target(self, step: int) -> Originals:
        """Return the same images in their stored size."""
        rows = self.target_rows(step)
        groups = [[picture] for picture in self.stored(self.ctx.target, rows).pictures]
        if self.composition.fakes:
            for group, places in zip(groups, self.fakes.places(rows, self.draws), strict=True):
                group += self.stored(self.fakes.files, places).pictures
        return Originals([picture for group in groups for picture in group], self.ctx.fabric.device)

    def forward(self, images: torch.Tensor, branch: str) -> torch.Tensor:
        """Map augmented images [B, 3, H, W] to the output of a branch, in float32."""
        with self.update.precision():
            return self.network(images, branch).float()  # type: ignore[no-any-return]

    def augment(self, pixels: torch.Tensor | Originals) -> torch.Tensor:
        """Crop, flip and normalise uint8 [B, H, W, 3], or stored images, to [B, 3, H, W] on the device.

        Random numbers are drawn for each image, on the CPU.
        """
        if isinstance(pixels, Originals):
            boxes = boxes_of(CROPS["rect"], draw_chances(len(pixels.pictures), self.draws), pixels.sizes)
            cut = pixels.cut(boxes, self.ctx.image_size)
            images = normalised(cut, self.preprocess.mean, self.preprocess.std)
        else:
            images = self.preprocess.normalise(upload(pixels, self.ctx.fabric.device))
        if self.params.crop == "rect" and not self.crops_originals:
            boxes = draw_boxes(CROPS["rect"], len(images), self.ctx.image_size, self.draws)
            images = crop_and_resize(images, boxes)
        flipped = torch.rand(len(images), generator=self.draws) < self.params.flip
        return torch.where(flipped.to(images.device)[:, None, None, None], images.flip(3), images)

    # ------------------------------------------------------------------ outside training
    def _cluster(self) -> None:
        """For `sampling: cluster`: run k-means once an epoch on the target's current features."""
        if self.params.sampling != "cluster" or not self.composition.real:
            return
        features = embed(
            self.embedder, self.ctx.target, self.ctx.target.camids,
            device=self.ctx.fabric.device, workers=self.ctx.workers,
        )  # fmt: skip
        count = self.params.clusters or self.composition.real
        self.clusters = pseudo_labels.k_means(features, count, self.ctx.seed)

    def _probe(self, when: str) -> dict[str, float]:
        """Return the distances by which crop, flip and camera style move a feature (the paper's Table 1), to log."""
        count = min(self.params.probe, len(self.ctx.target))
        if count == 0:
            return {}
        found = distances(self.embedder, self.fetch_target, self.fakes, count, self.ctx)
        return {f"{name}_distance_{when}": value for name, value in found.items()}
