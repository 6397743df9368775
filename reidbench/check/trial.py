"""One observed run of a stage: plain, with disturbed generators, or interrupted after its first epoch."""

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

DISTURBANCE = 987654321  # seed of generators on which no result may depend


class Interrupted(BaseException):
    """Raised to end a component like a kill; `except Exception` does not catch it."""


class TrialCheckpoint(TrainingCheckpoint):
    """Checkpoint that records the epochs, and interrupts or disturbs them."""

    disturbed = ""  # "all": all generators in every epoch; "numpy": at the start, those that no layer uses
    stop = False

    def __init__(self, file: Path, extra: Any) -> None:
        super().__init__(file, extra=extra)
        self.calls: list[list[int]] = []  # epochs of each call of `epochs`

    def epochs(self, total: int, **state: Any) -> Iterator[int]:
        """Yield epochs like the harness; with `stop`, raise Interrupted once the first epoch is saved."""
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
    """A run of a stage into `folder`, with a separate scratch folder next to it."""

    def __init__(self, inputs: Inputs, folder: Path) -> None:
        super().__init__(inputs, folder)
        self.own_scratch = folder.with_name(f"{folder.name}-scratch")
        self.disturbed = ""
        self.stop = self.warm = False
        self.checkpoint: TrialCheckpoint | None = None
        self.embedder: Any = None  # returned by the component
        self.before: dict[str, Any] = {}

    def call(self, context: Context[Any]) -> Any:
        """Run the component like the harness, with a recording checkpoint and disturbed generators."""
        self.own_scratch.mkdir(exist_ok=True)
        if context.checkpoint is not None:
            self.checkpoint = TrialCheckpoint(self.own_scratch / "checkpoint", self.record)
            self.checkpoint.stop, self.checkpoint.disturbed = self.stop, self.disturbed
            context = replace(context, checkpoint=self.checkpoint)
        if self.disturbed:
            # Torch layers draw weights from the global generator, which the harness has seeded.
            disturb(torch_too=not self.spec.kind.torch)
        self.before = settings(self.warm)
        answer = super().call(replace(context, scratch=self.own_scratch, log_file=self.own_scratch / "log"))
        self.embedder = answer if self.spec.kind.leaves == "embedder" else None
        return answer

    def watched(self) -> dict[str, str]:
        """Run the stage. Return digests of its files and metrics. Raises Broken for stray files, changed settings."""
        self.folder.mkdir()
        harness = self.inputs.store.scratch(self.stage.key)  # created here, so that it does not count as stray
        self.inputs.store.log_file(self.stage.key)  # creates the log folder, for the same reason
        with written_files([self.folder, self.own_scratch, harness]) as strays, limited_threads(1):
            try:
                metrics = perform(self, {})
                alien = changed(self.before, settings(self.warm))
            finally:
                if self.before:
                    restore(self.before)
        need(not alien, f"global state: changed {', '.join(alien[:3])} without restoring it")
        need(not strays, f"files: wrote {', '.join(strays[:3])}, outside ctx.out and ctx.scratch")
        return {**digests(self.folder), "metrics": json.dumps(metrics, sort_keys=True)}


def disturb(*, torch_too: bool) -> None:
    """Seed the global generators with a value that the harness never uses."""
    random.seed(DISTURBANCE)
    np.random.seed(DISTURBANCE)
    if torch_too:
        import torch

        torch.manual_seed(DISTURBANCE)


def digests(folder: Path) -> dict[str, str]:
    """Return the content hash of each file under a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): fingerprint_content(path) for path in files}


def first_difference(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """Return the name of a file that differs, or ""."""
    return next((name for name in sorted({*one, *other}) if one.get(name) != other.get(name)), "")
