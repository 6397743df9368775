"""Cost of a plan's training stages at full scale: steps, images, memory, and disk space of their artifacts."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from reidbench.components import Amount, Component, ContentHashed, Params, Workload, load_attribute
from reidbench.errors import ReidbenchError
from reidbench.matrix.benchmark import canonical, marker
from reidbench.matrix.devices import devices_for
from reidbench.matrix.kinds import OF_STAGE
from reidbench.matrix.stage import Plan, Stage
from reidbench.registry.plugins import Registry, describe
from reidbench.stages.networks import build_backbone
from reidbench.store.artifacts import Store
from reidbench.words import VALIDATION

from .amounts import amounts_of
from .lists import Lists


@dataclass(frozen=True)
class Line:
    """Training stages that differ only in their seeds; None means unknown."""

    label: str
    stages: int
    size: tuple[int, int]
    workload: Workload | None  # of one stage
    memory: int | None  # bytes per device
    note: str = ""  # error of the workload function
    stage: Stage | None = None  # the first stage


@dataclass(frozen=True)
class Disk:
    """Bytes of networks and features, and the number of stages of unknown size."""

    known: int
    unknown: int


class Scale:
    """Training stages of `full`, whose short forms are in a store; `own` names the data sets that are not stand-ins."""

    def __init__(self, full: Plan, short: Plan, store: Store, registry: Registry, own: Collection[str]) -> None:
        self.full = full
        self.store = store
        self.registry = registry
        self.own = own
        self.lists = Lists(full.benchmark)
        self.short_of = counterparts(full, short)
        self.bytes_of = cache(self._bytes)

    def lines(self) -> list[Line]:
        """Return a line for each training stage; stages that differ only in their seeds share one."""
        alike = without_seeds(self.full)
        trained = {key: stage for key, stage in self.full.stages.items() if self._trains(stage)}
        counts = Counter(alike[key] for key in trained)
        first = {alike[key]: stage for key, stage in reversed(trained.items())}
        return [self._line(first[name], counts[name]) for name in counts]

    def _chosen(self, stage: Stage) -> tuple[Component, Params]:
        component = self.registry.get(OF_STAGE[stage.kind].component, stage.use)
        return component, component.params(**stage.params)

    def _trains(self, stage: Stage) -> bool:
        kind = OF_STAGE[stage.kind]
        if not kind.component:
            return False
        component, params = self._chosen(stage)
        return bool(component.workload) or (bool(kind.leaves) and not kind.trains_nothing(component, params))

    def _line(self, stage: Stage, stages: int) -> Line:
        label = stage.label if stages == 1 else re.sub(r"\bseed \d+", f"{stages} seeds", stage.label)
        line = Line(label, stages, stage.image_size, None, None, stage=stage)
        component, params = self._chosen(stage)
        if not component.workload:
            return line
        amounts = self._amounts(stage)
        if not amounts.keys() >= {given.role for given in stage.data} - {VALIDATION}:
            return line
        try:
            workload: Workload = load_attribute(component.workload)(params, amounts)
        except Exception as error:
            return replace(line, note=f"the steps of {component.name} are unknown: {describe(error)}")
        return replace(line, workload=workload, memory=self._memory(stage, params, workload))

    def _amounts(self, stage: Stage) -> dict[str, Amount]:
        """Return the amounts of a stage; for a pool, the images that its selection keeps."""
        found = amounts_of(stage, self.lists, self.own)
        selection = dict(stage.parents).get("select")
        if selection and "pool" in found:
            kept = self._kept(self.full.stages[selection], found["pool"].images)
            if kept is None:
                return {}
            found["pool"] = replace(found["pool"], images=kept)
        return found

    def _kept(self, selection: Stage, pool: int) -> int | None:
        """Return the number of images that a selection keeps: by `count`, by `keep`, or by the share in its short form.

        A selection that reads a user's list has no known share, so its number is None without a count.
        """
        if count := selection.params.get("count"):
            return min(int(count), pool)
        fields = self._chosen(selection)[0].params.model_fields.values()
        if any(marker(info, ContentHashed) for info in fields):
            return None
        if keep := selection.params.get("keep"):
            return math.ceil(float(keep) * pool)
        metrics = self._metrics(selection.key)
        return round(pool * metrics["selected"] / metrics["pool"]) if metrics else None

    def _memory(self, stage: Stage, params: Params, workload: Workload) -> int | None:
        """Return the bytes per device, if the network is known. An accumulated batch is computed in parts."""
        short = self.short_of.get(stage.key)
        if short is None or short.backbone is None:
            return None
        devices = devices_for(stage.kind, self._chosen(stage)[0], params, self.full.benchmark.devices)
        parts = devices * int(getattr(params, "accumulate", 1))
        network = canonical({**short.backbone, "image_size": stage.image_size})
        return self.bytes_of(network, math.ceil(workload.images / parts))

    def _bytes(self, network: str, images: int) -> int | None:
        from .memory import training_bytes

        described = json.loads(network)
        try:
            return training_bytes(build_backbone(self.registry, described), described["image_size"], images)
        except (ReidbenchError, RuntimeError):  # reported by its stage, or an operation without meta support
            return None

    def _metrics(self, key: str) -> Mapping[str, Any]:
        """Return the metrics of a stage's short form; {} if it has not run."""
        short = self.short_of.get(key)
        return self.store.manifest(short.key).metrics if short and self.store.has(short.key) else {}

    # ------------------------------------------------------------------ disk
    def disk(self) -> Disk:
        """Return the disk space: networks as large as in the short form, 32-bit features of all test images."""
        kinds = [stage for stage in self.full.stages.values() if OF_STAGE[stage.kind].leaves or stage.kind == "embed"]
        sizes = [self._features(one) if one.kind == "embed" else self._network(one) for one in kinds]
        known = [size for size in sizes if size is not None]
        return Disk(sum(known), len(sizes) - len(known))

    def _network(self, stage: Stage) -> int | None:
        short = self.short_of.get(stage.key)
        if short is None or not self.store.has(short.key):
            return None
        return sum(file.stat().st_size for file in self.store.path(short.key).glob("*.safetensors"))

    def _features(self, stage: Stage) -> int | None:
        images, metrics = self.test_images(stage), self._metrics(stage.key)
        return images * int(metrics["dim"]) * 4 if images and metrics else None

    def test_images(self, stage: Stage) -> int | None:
        """Return the number of query and gallery images of an embed stage, if known."""
        amount = amounts_of(stage, self.lists, self.own).get("target")
        return amount.images if amount else None


def without_seeds(plan: Plan) -> dict[str, str]:
    """Return a string for each stage, by key, that is the same for stages that differ only in seeds."""
    found: dict[str, str] = {}
    for key, stage in plan.stages.items():  # parents come first
        data = [[given.role, given.data, given.part, given.identities, given.subset_seed] for given in stage.data]
        parents = [[role, found[parent]] for role, parent in stage.parents]
        own = [
            stage.kind,
            stage.use,
            stage.params,
            stage.backbone,
            stage.image_size,
            stage.pictures,
            data,
            sorted(parents),
        ]
        found[key] = f"{stage.kind}-{hashlib.sha256(canonical(own).encode()).hexdigest()}"
    return found


def counterparts(full: Plan, short: Plan) -> dict[str, Stage]:
    """Return the stage of the short plan for each key of the full plan: of the same cell, and of its parents."""
    ends = {(row.method, row.task, row.evaluator): row.key for row in short.rows if row.key}
    pairs = [(row.key, ends.get((row.method, row.task, row.evaluator))) for row in full.rows if row.key]
    found: dict[str, Stage] = {}
    while pairs:
        key, other = pairs.pop()
        if key and other and key not in found:
            found[key] = short.stages[other]
            own, others = full.stages[key].parents, short.stages[other].parents
            pairs += [(mine, theirs) for (_, mine), (_, theirs) in zip(own, others, strict=True)]
    return found
