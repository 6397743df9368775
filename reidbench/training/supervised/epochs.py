"""Select the epoch to keep, and stop early, by mAP on held-out images, never on test images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from reidbench.contexts import Context
from reidbench.data import Split
from reidbench.errors import ReidbenchError
from reidbench.metrics import rank
from reidbench.training.batches.loading import embed
from reidbench.training.devices import states_of_all, this_share
from reidbench.training.networks.embedder import Embedder
from reidbench.training.optim.loop import Loop
from reidbench.training.params import EpochParams

Pairs = Sequence[tuple[Split, Split]]


class EpochChoice:
    """Evaluates the embedder after an epoch; its state is part of the checkpoint.

    The value of an epoch is mAP by the default rules, averaged over the sources. Features that rank nothing (not
    finite, of length 0, or all equal) count as 0. Of equal values the earlier epoch is kept. Epochs before `since`,
    which train another form of the embedder, are not evaluated.
    """

    def __init__(
        self, ctx: Context[Any], embedder: Embedder, params: EpochParams, validation: Pairs, since: int = 0
    ) -> None:
        self.ctx, self.embedder, self.params, self.validation, self.since = ctx, embedder, params, validation, since
        self.value = -1.0
        self.epoch = -1
        self.looks = 0
        self.weights: dict[str, torch.Tensor] = {}

    def look(self, loop: Loop, epoch: int) -> None:
        """Evaluate the embedder if this epoch, from 0, is due; stop the loop if there is no more gain."""
        if epoch < self.since or ((epoch + 1) % self.params.validate_every and epoch + 1 < loop.total):
            return
        value = self.measured()
        loop.facts["validation_mAP"] = value
        self.looks += 1
        if value > self.value:
            self.value, self.epoch = value, epoch
            if self.params.choose_epoch == "best":
                state = self.embedder.state_dict()
                self.weights = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
        loop.stopped = 0 < self.params.patience <= epoch - self.epoch

    def settle(self, loop: Loop) -> None:
        """Restore the best epoch's weights if it is to be kept, and note the result."""
        if self.weights:
            self.embedder.load_state_dict(self.weights)
        best = f"epoch {self.epoch + 1} with {100 * self.value:.1f} % mAP on validation, of {self.looks} that it saw"
        done = f"stopped after epoch {loop.done} of {loop.total}" if loop.stopped else f"ran all {loop.total} epochs"
        kept = "the best" if self.params.choose_epoch == "best" else "the last"
        self.ctx.note(f"{done} and kept {kept}; the best was {best}")

    def measured(self) -> float:
        """mAP of the embedder; on several devices that of the first."""
        value = float(np.mean([self._of_one(query, gallery) for query, gallery in self.validation]))
        return float(states_of_all(value)[0]) if this_share().ranks > 1 else value

    def _of_one(self, query: Split, gallery: Split) -> float:
        how: Any = {"device": self.ctx.fabric.device, "workers": self.ctx.workers}
        of_query, of_gallery = (embed(self.embedder, split, split.camids, **how) for split in (query, gallery))
        rows = np.concatenate([of_query, of_gallery])
        if not np.isfinite(rows).all() or not rows.any(axis=1).all():
            return 0.0
        found = rank(of_query, query.pids, query.camids, of_gallery, gallery.pids, gallery.camids)
        return 0.0 if found.nothing_ranked else found.mAP

    def state_dict(self) -> dict[str, Any]:
        """State for resuming."""
        return {name: getattr(self, name) for name in ("value", "epoch", "looks", "weights")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the output of `state_dict`."""
        for name, value in state.items():
            setattr(self, name, value)


def epoch_choice(ctx: Context[Any], embedder: Embedder, since: int = 0) -> EpochChoice | None:
    """EpochChoice among epochs from `since` on that a fine-tuner's parameters request; None if not requested.

    Raises ReidbenchError if there are no validation images.
    """
    params = ctx.params
    if not isinstance(params, EpochParams) or not params.looks:
        return None
    validation: Pairs = getattr(ctx, "validation", ())
    if not validation:
        raise ReidbenchError("choose_epoch and patience require validation images: add `validate: {identities: 0.2}`")
    return EpochChoice(ctx, embedder, params, validation, since)
