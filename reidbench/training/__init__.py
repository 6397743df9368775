"""Building blocks for training: networks, batches, optimisation, weights, checkpoints and devices. Requires torch.

Imports data, metrics and errors, but no plans, stores or plugins. Begin with `networks/embedder.py` and
`batches/loading.py`. The names below are imported on first use, so that the torch-free parameters of this package do
not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batches.augment import Augment as Augment
    from .batches.crops import row_overlap as row_overlap
    from .batches.loading import Batches as Batches
    from .batches.loading import embed as embed
    from .batches.reading import image_source as image_source
    from .batches.reading import read_ahead as read_ahead
    from .batches.samplers import ClassSampler as ClassSampler
    from .batches.samplers import Endless as Endless
    from .batches.samplers import IdentitySampler as IdentitySampler
    from .batches.samplers import OnceSampler as OnceSampler
    from .batches.samplers import ShuffledSampler as ShuffledSampler
    from .checkpoint import TrainingCheckpoint as TrainingCheckpoint
    from .contrastive.moco import ContrastiveStep as ContrastiveStep
    from .contrastive.moco import KeyQueue as KeyQueue
    from .contrastive.moco import MocoStep as MocoStep
    from .contrastive.moco import MomentumEncoders as MomentumEncoders
    from .contrastive.moco import StepOutput as StepOutput
    from .contrastive.moco import Views as Views
    from .contrastive.moco import cosine_per_epoch as cosine_per_epoch
    from .contrastive.moco import info_nce as info_nce
    from .contrastive.views import ViewAugment as ViewAugment
    from .networks.attention import NonLocal as NonLocal
    from .networks.attention import NonLocalStages as NonLocalStages
    from .networks.backbone import Backbone as Backbone
    from .networks.backbone import Features as Features
    from .networks.branching import divide as divide
    from .networks.branching import set_stride as set_stride
    from .networks.embedder import BackboneEmbedder as BackboneEmbedder
    from .networks.embedder import BNNeck as BNNeck
    from .networks.embedder import Embedder as Embedder
    from .networks.embedder import Preprocess as Preprocess
    from .networks.embedder import SplitEmbedder as SplitEmbedder
    from .networks.heads import BatchDrop as BatchDrop
    from .networks.heads import Encoder as Encoder
    from .networks.heads import ProjectionHead as ProjectionHead
    from .networks.heads import Reduction as Reduction
    from .networks.heads import identity_heads as identity_heads
    from .networks.modality import OneModality as OneModality
    from .networks.modality import modality_numbers as modality_numbers
    from .networks.pointwise import StridedPointwise as StridedPointwise
    from .networks.pooling import GeM as GeM
    from .networks.pooling import generalised_mean as generalised_mean
    from .networks.splitnorm import reestimate_batch_norm as reestimate_batch_norm
    from .networks.splitnorm import split_batch_norm as split_batch_norm
    from .optim.loop import Loop as Loop
    from .optim.loop import Means as Means
    from .optim.losses import BatchHardTriplet as BatchHardTriplet
    from .optim.losses import CenterLoss as CenterLoss
    from .optim.losses import LabelSmoothingCrossEntropy as LabelSmoothingCrossEntropy
    from .optim.losses import WeightedTriplet as WeightedTriplet
    from .optim.losses import cosine_distances as cosine_distances
    from .optim.schedules import warmup_multistep as warmup_multistep
    from .optim.update import Update as Update
    from .optim.update import trained as trained
    from .random import seeded as seeded
    from .random import stream as stream
    from .supervised.epochs import epoch_choice as epoch_choice
    from .supervised.fit import fit as fit
    from .supervised.fit import labelled_source as labelled_source
    from .supervised.losses import IdentityLosses as IdentityLosses
    from .weights.files import read_state as read_state
    from .weights.fit import LoadReport as LoadReport
    from .weights.layouts import to_layout as to_layout
    from .weights.resnets import load_weights as load_weights
    from .weights.resnets import write_weights as write_weights

_PLACES = {  # module -> its public names
    "batches.augment": "Augment",
    "batches.crops": "row_overlap",
    "batches.loading": "Batches embed",
    "batches.reading": "image_source read_ahead",
    "batches.samplers": "ClassSampler Endless IdentitySampler OnceSampler ShuffledSampler",
    "checkpoint": "TrainingCheckpoint",
    "contrastive.moco": "ContrastiveStep KeyQueue MocoStep MomentumEncoders StepOutput Views cosine_per_epoch info_nce",
    "contrastive.views": "ViewAugment",
    "networks.attention": "NonLocal NonLocalStages",
    "networks.backbone": "Backbone Features",
    "networks.branching": "divide set_stride",
    "networks.embedder": "BackboneEmbedder BNNeck Embedder Preprocess SplitEmbedder",
    "networks.heads": "BatchDrop Encoder ProjectionHead Reduction identity_heads",
    "networks.modality": "OneModality modality_numbers",
    "networks.pointwise": "StridedPointwise",
    "networks.pooling": "GeM generalised_mean",
    "networks.splitnorm": "reestimate_batch_norm split_batch_norm",
    "optim.loop": "Loop Means",
    "optim.losses": "BatchHardTriplet CenterLoss LabelSmoothingCrossEntropy WeightedTriplet cosine_distances",
    "optim.schedules": "warmup_multistep",
    "optim.update": "Update trained",
    "random": "seeded stream",
    "supervised.epochs": "epoch_choice",
    "supervised.fit": "fit labelled_source",
    "supervised.losses": "IdentityLosses",
    "weights.files": "read_state",
    "weights.fit": "LoadReport",
    "weights.layouts": "to_layout",
    "weights.resnets": "load_weights write_weights",
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names.split()}

__all__ = sorted(_PLACE_OF)


def __getattr__(name: str) -> Any:
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_PLACE_OF[name]}", __name__), name)
