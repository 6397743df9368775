"""Running stage: its component's context, the call, and what the component logs and notes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from reidbench.components import Params
from reidbench.contexts import Context, EmbedContext
from reidbench.matrix.kinds import EMBEDDERS, OF_STAGE
from reidbench.store.leavings import UnfitLeavings, check_leavings

from . import distributed
from .inputs import Inputs
from .networks import StageError
from .record import Record
from .worker import default_device


class StageRun:
    """Calls a stage's component, whose files go into `folder`. `rank` is its process among `ranks` of one stage."""

    def __init__(self, inputs: Inputs, folder: Path, rank: int = 0, ranks: int = 1) -> None:
        self.inputs = inputs
        self.spec = inputs.spec
        self.stage = inputs.stage
        self.folder = folder
        self.rank = rank
        self.ranks = ranks
        self.record = Record(inputs.emit)
        inputs.note = self.record.note

    @property
    def name(self) -> str:
        """Kind and name of the component, for messages."""
        return f"{self.spec.kind.component} {self.stage.use}"

    def call(self, context: Context[Any]) -> Any:
        """Return the component's answer. Only its own work is timed: its module is imported before."""
        target = self.inputs.component.load()
        owner = self.folder.stat().st_uid
        with self.record.clock.running():
            answer = target(context)
        if self.rank == 0:  # the folders of other ranks are temporary
            try:
                check_leavings(self.folder, owner)
            except UnfitLeavings as error:
                raise StageError(f"{self.name} left {error}") from None
        return answer

    def context(self, **own: Any) -> Context[Any]:
        """Return the component's context: the images of its kind, a backbone, the common fields, and its own."""
        kind = self.spec.kind
        assert kind.context is not None  # all kinds with components have one
        own |= {images.role: self.inputs.given(images) for images in kind.given}
        if kind.step:
            own["backbone"] = self.aside(self.inputs.backbone)
        if kind.given and kind.given[0].hidden:
            own["truth"] = self.inputs.truth(kind.learns_from, own[kind.learns_from])
        return kind.context(**own, **self._common(self.inputs.params))

    def split_context(self) -> EmbedContext[Any]:
        """Return the context of a SplitEmbedder, on the target's query and gallery."""
        trained = self.spec.start
        assert trained is not None  # each embed stage follows one
        component = self.inputs.registry.get(OF_STAGE[trained.kind].component, trained.use)
        common = self._common(self.inputs.params_of(component, trained)) | {"seed": trained.seed}
        model = self.inputs.parent(*EMBEDDERS)
        assert model is not None
        return EmbedContext(images=self.inputs.images("target"), model=model.path, **common)

    def aside(self, given: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a service for a component so that its time does not count as the component's work."""
        return self.record.clock.paused()(given)

    def _common(self, params: Params) -> dict[str, Any]:
        """Return the arguments that all contexts share."""
        shared = scratch = self.inputs.store.scratch(self.stage.key)
        if self.rank > 0:
            scratch = self.folder  # not part of an artifact
        device = "cpu"
        checkpoint: Any = None
        if self.spec.kind.torch:
            from reidbench.training import TrainingCheckpoint

            device = self.device
            checkpoint = TrainingCheckpoint(shared / "checkpoint", extra=self.record, progress=self.inputs.progress)
        prepared = {
            role.removeprefix("prepared."): self.inputs.artifact(key).path
            for role, key in self.stage.parents
            if role.startswith("prepared.")
        }
        return {
            "params": params,
            "image_size": self.spec.size,
            "seed": self.stage.seed,
            "device": device,
            "workers": self.spec.workers,
            "out": self.folder,
            "scratch": scratch,
            "checkpoint": checkpoint,
            "progress": self.inputs.progress,
            "log": self.record.log,
            "record_clusters": self.record.record_clusters,
            "make_fabric": self.aside(self.make_fabric),
            "prepared": prepared,
            "network": self.aside(self.inputs.network),
            "note": self.record.note,
            "log_file": self.inputs.store.log_file(self.stage.key),
        }

    def make_fabric(self) -> Any:
        """Return the Lightning Fabric of this process."""
        return distributed.fabric(self.ranks, self.spec.precision, default_device())

    @property
    def device(self) -> str:
        """Return the device of this process; each of several has its own GPU."""
        device = default_device()
        return f"{device}:{self.rank}" if device == "cuda" and self.ranks > 1 else device
