"""A trained fine-tuning as a teacher: its classifier on disk, its logits, and a student's divergence from them."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from reidbench import FinetuneContext
from reidbench.errors import ReidbenchError
from reidbench.training import BackboneEmbedder, Preprocess
from reidbench.training.networks.splitnorm import join_batch_norm

from .heads import CosineHead
from .params import DistillParams

CLASSIFIER = "classifier.safetensors"  # weight [classes, dim], and the scale of cosines, 0 for a linear head


def write_classifier(folder: Path, head: nn.Linear | CosineHead) -> None:
    """Write the weights and the scale of a head next to its embedder."""
    scale = head.scale if isinstance(head, CosineHead) else 0.0
    save_file({"weight": head.weight.detach().cpu().contiguous(), "scale": torch.tensor(scale)}, folder / CLASSIFIER)


def read_classifier(folder: Path) -> nn.Linear | CosineHead:
    """Rebuild a head from its file, without a margin."""
    found = load_file(folder / CLASSIFIER)
    weight, scale = found["weight"], float(found["scale"])
    if scale > 0:
        return CosineHead(weight, scale, 0.0)
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    with torch.no_grad():
        linear.weight.copy_(weight)
    return linear


def plain_logits(head: nn.Module, vectors: torch.Tensor) -> torch.Tensor:
    """Map vectors [B, dim] to logits [B, classes] of a head without its margin."""
    logits: torch.Tensor = head.scale * head.cosines(vectors) if isinstance(head, CosineHead) else head(vectors)
    return logits


def divergence(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Half the sum of both Kullback-Leibler divergences of softmax(logits / T), times T^2: [B, C] twice to a scalar.

    The mean over B. fast-reid calls it a Jensen-Shannon divergence; one direction is that of Hinton et al. (2015).
    """
    own, other = (F.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    both = ((own.exp() - other.exp()) * (own - other)).sum(1).mean()
    return temperature**2 / 2 * both


class Teacher:
    """A frozen embedder with its classifier, whose batch norm uses the batch's statistics, as in fast-reid."""

    def __init__(self, embedder: BackboneEmbedder, head: nn.Linear | CosineHead, params: DistillParams) -> None:
        self.embedder, self.head, self.params = embedder, head, params
        self.embedder.train().requires_grad_(False)
        self.head.requires_grad_(False)

    @classmethod
    def of(cls, ctx: FinetuneContext[DistillParams]) -> Teacher:
        """Return the network trained for the field `teacher`, on the device of the stage."""
        teacher = cls(ctx.network("teacher"), read_classifier(ctx.prepared["teacher"]), ctx.params)
        for network in (teacher.embedder, teacher.head):
            ctx.fabric.to_device(network)
        join_batch_norm(teacher.embedder.backbone)
        return teacher

    def check(self, preprocess: Preprocess, classes: int) -> None:
        """Raise ReidbenchError if the student's images or identities are not the teacher's."""
        own = self.embedder.preprocess
        if (own.size, own.mean, own.std) != (preprocess.size, preprocess.mean, preprocess.std):
            raise ReidbenchError(
                f"the teacher reads images of {own.described()}, the student of {preprocess.described()}: "
                "give both steps the same image size, and networks with the same pixel statistics"
            )
        if len(self.head.weight) != classes:
            raise ReidbenchError(
                f"the teacher distinguishes {len(self.head.weight)} identities, the source has {classes}: train both "
                "on the same source"
            )

    @torch.no_grad()
    def before_neck(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images [B, 3, H, W] to vectors [B, dim] before the neck, without gradient."""
        return self.embedder.before_neck(images)

    def loss(self, student: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """Compute the divergence of a student's logits [B, C] from the teacher's for its vectors [B, dim], a scalar."""
        with torch.no_grad():
            own = plain_logits(self.head, self.embedder.neck(before))
        return divergence(student, own, self.params.temperature)
