"""Spec of a stage: everything that a process needs to run it, with any executor."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from reidbench.data.pictures.size import ImageSize
from reidbench.files.cache import cache_folder
from reidbench.matrix.benchmark import Devices
from reidbench.matrix.kinds import OF_STAGE, TRAINED, Kind
from reidbench.matrix.stage import DataInput, Plan, Stage
from reidbench.store.artifacts import Store


class PlannedData(BaseModel):
    """Data set as known when the plan was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    use: str
    params: dict[str, Any]
    root: str | None
    content: str


class StageSpec(BaseModel):
    """Planned stage with the benchmark's settings, the locations of store and data, and the disabled plugins."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    stage: Stage
    start: Stage | None  # the previous training, whose weights the stage starts from
    trained_on: tuple[DataInput, ...]  # training data of earlier stages
    store: Path
    cache: Path
    without: tuple[str, ...]
    workers: int
    roots: dict[str, str | None]  # by key of a data stage
    data_stages: dict[str, PlannedData]  # by key
    threads: int
    precision: str
    devices: Devices  # of the benchmark; `Inputs.devices` are those of the stage

    @classmethod
    def of(cls, plan: Plan, stage: Stage, store: Store, without: Collection[str] = (), workers: int = 0) -> StageSpec:
        """Return the spec of one stage of a plan."""
        data = {given.key: plan.stages[given.key] for given in stage.data}
        benchmark = plan.benchmark
        before = [plan.stages[key] for role, key in stage.parents if role in TRAINED]
        return cls(
            stage=replace(stage, changed={}),  # only for messages of the driver
            start=replace(before[-1], changed={}) if before else None,
            trained_on=tuple(plan.trained_on(stage.key)),
            store=store.root.absolute(),
            cache=cache_folder(),
            without=tuple(sorted(without)),
            workers=workers,
            roots={key: one.root for key, one in data.items()},
            data_stages={
                key: PlannedData(use=one.use, params=one.params, root=one.root, content=one.content)
                for key, one in data.items()
            },
            threads=benchmark.threads,
            precision=benchmark.precision,
            devices=benchmark.devices,
        )

    @property
    def kind(self) -> Kind:
        """The stage's entry in the table of kinds."""
        return OF_STAGE[self.stage.kind]

    @property
    def size(self) -> ImageSize:
        """Image size and resizing of the stage."""
        return self.stage.size

    def dump(self) -> dict[str, Any]:
        """Return the spec as JSON values; `StageSpec.model_validate` reads them."""
        return self.model_dump(mode="json", exclude={"stage": {"changed"}, "start": {"changed"}})
