"""What method plugins share (torch): networks, embedders, losses, samplers, augmentation, checkpoints."""

from __future__ import annotations

from .augment import Augment
from .backbone import Backbone, Features
from .branching import divide, set_stride
from .checkpoint import TrainingCheckpoint
from .crops import row_overlap
from .embedder import BackboneEmbedder, BNNeck, Embedder, Preprocess
from .heads import BatchDrop, Encoder, ProjectionHead, Reduction
from .loading import Batches, embed, image_source, read_ahead
from .losses import BatchHardTriplet, CenterLoss, LabelSmoothingCrossEntropy, cosine_distances
from .moco import (
    ContrastiveStep,
    KeyQueue,
    MocoStep,
    MomentumEncoders,
    StepOutput,
    Views,
    cosine_per_epoch,
    info_nce,
    stream,
)
from .pointwise import StridedPointwise
from .samplers import IdentitySampler
from .schedules import warmup_multistep
from .splitnorm import reestimate_batch_norm, split_batch_norm
from .update import Update
from .views import ViewAugment
from .weights import LoadReport, load_weights, read_state, to_layout, write_weights

__all__ = [
    "Augment",
    "BNNeck",
    "Backbone",
    "BackboneEmbedder",
    "BatchDrop",
    "BatchHardTriplet",
    "Batches",
    "CenterLoss",
    "ContrastiveStep",
    "Embedder",
    "Encoder",
    "Features",
    "IdentitySampler",
    "KeyQueue",
    "LabelSmoothingCrossEntropy",
    "LoadReport",
    "MocoStep",
    "MomentumEncoders",
    "Preprocess",
    "ProjectionHead",
    "Reduction",
    "StepOutput",
    "StridedPointwise",
    "TrainingCheckpoint",
    "Update",
    "ViewAugment",
    "Views",
    "cosine_distances",
    "cosine_per_epoch",
    "divide",
    "embed",
    "image_source",
    "info_nce",
    "load_weights",
    "read_ahead",
    "read_state",
    "reestimate_batch_norm",
    "row_overlap",
    "set_stride",
    "split_batch_norm",
    "stream",
    "to_layout",
    "warmup_multistep",
    "write_weights",
]
