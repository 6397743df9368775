"""One stage run under observation: as it is, beside disturbed generators, or interrupted after its first epoch."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.contexts import Context
from reidbench.data import fingerprint_content
from reidbench.stages.actions import perform
from reidbench.stages.inputs import Inputs
from reidbench.stages.stagerun import StageRun
from reidbench.stages.worker import limited_threads
from reidbench.training import TrainingCheckpoint

from .report import need
from .watch import changed, restore, settings, written_files

DISTURBANCE = 987654321  # seeds what no result may depend on


class Interrupted(BaseException):
    """Ends a component where a kill would; no `except Exception` of its own catches it."""


class TrialCheckpoint(TrainingCheckpoint):
    """Counts the epochs that are run, and interrupts or disturbs them."""

    disturbed = ""  # "all" in every epoch, or only what no layer draws from, at the start: "numpy"
    stop = False

    def __init__(self, file: Path, extra: Any) -> None:
        super().__init__(file, extra=extra)
        self.calls: list[list[int]] = []  # the epochs that each call of `epochs` gave

    def epochs(self, total: int, **state: Any) -> Iterator[int]:
        """As the harness's own; when it is to stop, it does so once the first epoch is saved."""
        ran: list[int] = []
        self.calls.append(ran)
        for epoch in super().epochs(total, **state):
            if self.stop and ran:
                raise Interrupted
            if self.disturbed == "all":
                disturb(torch_too=True)
            ran.append(epoch)
            yield epoch


class Trial(StageRun):
    """A stage run into `folder`, with a scratch folder of its own beside it."""

    def __init__(self, inputs: Inputs, folder: Path) -> None:
        super().__init__(inputs, folder)
        self.own_scratch = folder.with_name(f"{folder.name}-scratch")
        self.disturbed = ""
        self.stop = self.warm = False
        self.checkpoint: TrialCheckpoint | None = None
        self.embedder: Any = None  # that the component returned
        self.before: dict[str, Any] = {}

    def call(self, context: Context[Any]) -> Any:
        """As the harness does, with a checkpoint that counts, and generators that are disturbed."""
        self.own_scratch.mkdir(exist_ok=True)
        if context.checkpoint is not None:
            self.checkpoint = TrialCheckpoint(self.own_scratch / "checkpoint", self.record)
            self.checkpoint.stop, self.checkpoint.disturbed = self.stop, self.disturbed
            context = replace(context, checkpoint=self.checkpoint)
        if self.disturbed:
            # Torch's own layers draw their weights from its global generator, which the harness has seeded.
            disturb(torch_too=not self.spec.kind.torch)
        self.before = settings(self.warm)
        answer = super().call(replace(context, scratch=self.own_scratch, log_file=self.own_scratch / "log"))
        self.embedder = answer if self.spec.kind.leaves == "embedder" else None
        return answer

    def watched(self) -> dict[str, str]:
        """Run; digests of what it left, and its metrics. Raises Broken for files or settings that are not its own."""
        self.folder.mkdir()
        harness = self.inputs.store.scratch(self.stage.key)  # made here, so that its making is not seen as a stray
        self.inputs.store.log_file(self.stage.key)  # so is the folder of logs
        with written_files([self.folder, self.own_scratch, harness]) as strays, limited_threads(1):
            try:
                metrics = perform(self, {})
                alien = changed(self.before, settings(self.warm))
            finally:
                if self.before:
                    restore(self.before)
        need(not alien, f"global state: it changed {', '.join(alien[:3])} and did not change it back")
        need(not strays, f"files: it wrote {', '.join(strays[:3])}, outside of ctx.out and ctx.scratch")
        return {**digests(self.folder), "metrics": json.dumps(metrics, sort_keys=True)}


def disturb(*, torch_too: bool) -> None:
    """Set the global generators to what the harness would never set them to."""
    random.seed(DISTURBANCE)
    np.random.seed(DISTURBANCE)
    if torch_too:
        import torch

        torch.manual_seed(DISTURBANCE)


def digests(folder: Path) -> dict[str, str]:
    """The content hash of each file under a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): fingerprint_content(path) for path in files}


def first_difference(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """The name of a file that is not the same in both, or nothing."""
    return next((name for name in sorted({*one, *other}) if one.get(name) != other.get(name)), "")
