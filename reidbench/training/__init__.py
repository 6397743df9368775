"""What method plugins share (torch): networks, embedders, losses, samplers, augmentation, checkpoints."""

from __future__ import annotations

from .augment import Augment
from .backbone import Backbone, Features
from .checkpoint import TrainingCheckpoint
from .embedder import BackboneEmbedder, BNNeck, Embedder, Preprocess
from .loading import Batches, embed, image_source
from .losses import BatchHardTriplet, CenterLoss, LabelSmoothingCrossEntropy
from .samplers import IdentitySampler
from .schedules import warmup_multistep

__all__ = [
    "Augment",
    "BNNeck",
    "Backbone",
    "BackboneEmbedder",
    "BatchHardTriplet",
    "Batches",
    "CenterLoss",
    "Embedder",
    "Features",
    "IdentitySampler",
    "LabelSmoothingCrossEntropy",
    "Preprocess",
    "TrainingCheckpoint",
    "embed",
    "image_source",
    "warmup_multistep",
]
