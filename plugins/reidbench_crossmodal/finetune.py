"""Training of two-stream, after the visible-infrared baseline of AGW (Ye et al., TPAMI 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from reidbench import FinetuneContext
from reidbench.data import Split
from reidbench.errors import DataError
from reidbench.training import Batches, Loop, Preprocess, epoch_choice, fit, labelled_source, trained, warmup_multistep
from reidbench.training.batches.augment import Augmentation, bot_augment

from .batches import Greyed, ModalitySampler
from .losses import CrossModalLosses
from .network import TwoStreamEmbedder
from .params import TwoStreamParams

VISIBLE = "visible"  # modality with colours
NAMED = 3  # most persons that a note names


@dataclass(frozen=True)
class Source:
    """Images of persons who are seen in all modalities; `words` are the modalities, in alphabetical order."""

    split: Split
    words: tuple[str, ...]

    @cached_property
    def numbers(self) -> np.ndarray:
        """The index [N] of each image's modality in `words`."""
        return np.searchsorted(self.words, self.split.modality or ())


def two_sided(ctx: FinetuneContext[TwoStreamParams]) -> Source:
    """Return the source without images of unknown modality and persons who lack one; notes count and name them.

    Raises DataError if fewer than two modalities or persons remain.
    """
    split = _known(ctx, labelled_source(ctx, "two-stream"))
    words = tuple(sorted(set(split.modality or ())))
    if len(words) < 2:
        seen = f"all are {words[0]}" if words else "no image has one"
        raise DataError(f"two-stream needs a source with images of at least two modalities, but {seen}")
    column = np.array(split.modality)
    persons = {int(pid): sorted(set(column[split.pids == pid])) for pid in np.unique(split.pids)}
    lacking = [pid for pid, seen in persons.items() if len(seen) < len(words)]
    left = np.flatnonzero(~np.isin(split.pids, lacking))
    if lacking:
        named = [f"pid {pid} only in {' and '.join(persons[pid])}" for pid in lacking[:NAMED]]
        more = f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else ""
        count = f"{len(lacking)} of {len(persons)} persons, with {len(split) - len(left)} images,"
        ctx.note(f"{count} are not seen in every modality and left out of the training: {', '.join(named)}{more}")
    if len(persons) - len(lacking) < 2:
        raise DataError(
            f"two-stream needs at least two persons seen in every modality ({', '.join(words)}), but its source "
            f"has {len(persons) - len(lacking)}"
        )
    return Source(split.subset(left), words)


def _known(ctx: FinetuneContext[TwoStreamParams], split: Split) -> Split:
    """Return the images with a known modality."""
    known = np.flatnonzero([bool(word) for word in split.modality or ("",) * len(split)])
    if len(known) < len(split):
        ctx.note(f"{len(split) - len(known)} of {len(split)} images have no known modality and are left out")
    return split.subset(known)


def finetune(ctx: FinetuneContext[TwoStreamParams]) -> TwoStreamEmbedder:
    """Train on the labelled source and return an embedder with the feature after the BNNeck.

    Raises DataError if the source has fewer than two persons who are seen in every modality, of at least two.
    """
    params, source = ctx.params, two_sided(ctx)
    labels = source.split.labels()
    generator = torch.Generator().manual_seed(ctx.seed)
    backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = TwoStreamEmbedder(backbone, preprocess, source.words, params.shared_from, params.pool)
    losses = CrossModalLosses(params, source.split.num_pids, backbone.dim)
    optimiser = _optimiser(params, embedder, losses)
    schedule = warmup_multistep(
        optimiser,
        params.epochs,
        warmup=params.warmup,
        warmup_factor=params.warmup_factor,
        milestones=params.milestones,
        gamma=params.gamma,
    )
    sampler = ModalitySampler(labels, source.numbers, params.identities, params.images, generator)
    augment, device = _augment(params, source.words, preprocess), ctx.fabric.device
    batches = Batches(source.split, preprocess, sampler, augment, generator, ctx.workers, device=device)
    networks = {"embedder": embedder, "losses": losses}
    loop = Loop(ctx, params.epochs, networks, {"optimiser": optimiser}, schedule, generator=generator)
    numbers = torch.from_numpy(source.numbers)

    def vectors(images: torch.Tensor, indices: torch.Tensor) -> list[torch.Tensor]:
        before = embedder.before_neck(images, numbers[indices].to(images.device))
        return [before, embedder.neck(before)]

    fit(loop, batches, labels, vectors, lambda found, of: losses(*found, of), choice=epoch_choice(ctx, embedder))
    return embedder


def _augment(params: TwoStreamParams, words: tuple[str, ...], preprocess: Preprocess) -> Augmentation:
    plain = bot_augment(params.flip, params.pad, params.erase, preprocess.size[0])
    if not params.grey:
        return plain
    if VISIBLE not in words:
        raise DataError(f"grey needs {VISIBLE} images, but the source has {' and '.join(words)} images; remove grey")
    may = np.repeat([word == VISIBLE for word in words], params.images)
    return Greyed(plain, params.grey, may.tolist(), preprocess)


def _optimiser(params: TwoStreamParams, embedder: TwoStreamEmbedder, losses: CrossModalLosses) -> torch.optim.Optimizer:
    """Return the optimiser; stem and stages have a share of the learning rate."""
    pool = [embedder.pool] if embedder.pool is not None else []
    groups = [
        {"params": trained(embedder.streams, *pool), "lr": params.lr * params.network_rate},
        {"params": trained(embedder.neck, losses), "lr": params.lr},
    ]
    if params.optimiser == "sgd":
        momentum, nesterov = params.momentum, params.momentum > 0  # torch refuses Nesterov without momentum
        return torch.optim.SGD(
            groups, lr=params.lr, momentum=momentum, weight_decay=params.weight_decay, nesterov=nesterov
        )
    return torch.optim.Adam(groups, lr=params.lr, weight_decay=params.weight_decay)
