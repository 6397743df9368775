"""The step of UP-ReID: MoCo v2, contrast of patches by position, and consistency with the plain image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from reidbench import PretrainContext
from reidbench.training import (
    Backbone,
    ContrastiveStep,
    KeyQueue,
    MomentumEncoders,
    StepOutput,
    Views,
    info_nce,
    stream,
)
from reidbench.training.contrastive.pretraining import pretrain as run
from reidbench.training.devices import gather

from .mmd import mmd
from .params import UpReidParams
from .patches import mirror, mixed_banks, split_patches


def pretrain(ctx: PretrainContext[UpReidParams]) -> Backbone:
    """Train on the pool by UP-ReID and return the online backbone."""
    return run(ctx, UpReidStep)


class UpReidStep(ContrastiveStep):
    """L = lambda_g L_g + lambda_p mean_i L_p,i + w L_consist, on M + 1 banks with one pointer.

    With lambda_g = 1, lambda_p = 0 and w = 0 it is MoCo v2's step, bit for bit: neither patches nor plain images are
    encoded then, and their random numbers come from separate streams.
    """

    def __init__(self, encoders: MomentumEncoders, params: UpReidParams, seed: int) -> None:
        super().__init__()
        self.encoders = encoders
        self.params = params
        banks = ["queue", *(f"queue of patch {i}" for i in range(params.patches))] if params.patch_weight else ["queue"]
        self.queue = KeyQueue(params.queue, params.dim, [stream(seed, name) for name in banks])
        purposes = ("shuffle", "patch shuffle", "original shuffle")
        self.generators = {name: stream(seed, name) for name in purposes}
        self.mirror = mirror(params.rows, params.columns)

    def forward(self, views: Views) -> StepOutput:
        """Encode queries of view, patches and plain image; update the key encoder; encode the keys of all three."""
        params, encoders = self.params, self.encoders
        queries = encoders.online(views.first)
        patch_queries = self._patches(views.first, encoders.online) if params.patch_weight else None
        original = encoders.online(views.original) if params.consistency_weight else None

        encoders.update()
        keys = encoders.encode_keys(views.second, self.generators["shuffle"])
        loss = info_nce(queries, keys[:, None], self.queue.keys[0], params.temperature).mean()
        facts = {"global_loss": loss}
        loss = params.global_weight * loss
        banks = keys[None]

        if patch_queries is not None:
            encode_keys = partial(encoders.encode_keys, generator=self.generators["patch shuffle"])
            patch_keys = self._patches(views.second, encode_keys)
            patch_loss = self.patch_losses(patch_queries, patch_keys).mean()
            loss = loss + params.patch_weight * patch_loss
            facts["patch_loss"] = patch_loss
            banks = torch.cat([banks, patch_keys.transpose(0, 1)])
        if original is not None:
            original_keys = encoders.encode_keys(views.original, self.generators["original shuffle"])
            consistency = self.consistency(queries, keys, original, original_keys)
            loss = loss + params.consistency_weight * consistency
            facts["consistency"] = consistency
        return StepOutput(loss, banks, facts)

    def patch_losses(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Return L_p,i for each position and image [M, B], from queries and keys [B, M, D].

        Positives are the other view's patch at the same position, at the mirrored one, or both inside one logarithm;
        negatives are the bank of the position. (A flip of either view swaps the two positives.)
        """
        at = {"same": keys, "symmetric": keys[:, self.mirror.to(keys.device)]}
        positives = torch.stack([at[place] for place in self.params.positives], 2)  # [B, M, P, D]
        banks = self.queue.keys[1:]
        negatives = mixed_banks(banks) if self.params.negatives == "mixed" else banks
        return info_nce(queries.transpose(0, 1), positives.transpose(0, 1), negatives, self.params.patch_temperature)

    def consistency(
        self, queries: torch.Tensor, keys: torch.Tensor, original: torch.Tensor, original_keys: torch.Tensor
    ) -> torch.Tensor:
        """MMD between the similarities q k^T of views and those of plain images, [B, B] each.

        It is not a mean over images: on several devices each device computes it on the whole batch. In float32, also
        under autocast: similarities of a batch are close to each other, and the loss consists of their differences.
        """
        vectors = (gather(one).float() for one in (queries, keys, original, original_keys))
        queries, keys, original, original_keys = vectors
        with torch.autocast(queries.device.type, enabled=False):
            augmented = queries @ keys.t()
            plain = original @ original_keys.t()
        if self.params.detach_original:
            plain = plain.detach()
        if self.params.samples == "flat":
            augmented, plain = augmented.reshape(-1, 1), plain.reshape(-1, 1)
        return mmd(augmented, plain, self.params.kernels, self.params.kernel_sum)

    def _patches(self, view: torch.Tensor, encode: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Return unit vectors [B, M, D] of the patches of augmented views [B, 3, H, W]."""
        patches = split_patches(view, self.params.rows, self.params.columns)
        return encode(patches.flatten(0, 1)).view(*patches.shape[:2], -1)
