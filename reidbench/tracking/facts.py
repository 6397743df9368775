"""Facts of runs, stages and rows for trackers."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib import metadata
from typing import Any

import reidbench
from reidbench.matrix.benchmark import Benchmark
from reidbench.matrix.kinds import OF_STAGE
from reidbench.matrix.reading.yamlfile import shown
from reidbench.matrix.stage import Plan, Stage
from reidbench.registry.plugins import Registry
from reidbench.report.results import Result
from reidbench.store.artifacts import Store
from reidbench.trackers import Scalar, TrackedRow, TrackedRun, TrackedStage
from reidbench.words import METHODS


def is_tracked(stage: Stage) -> bool:
    """Return whether a stage has an entry in trackers: trainings, selections and preparations."""
    return OF_STAGE[stage.kind].component in METHODS


def run_facts(benchmark: Benchmark, store: Store, registry: Registry) -> TrackedRun:
    """Return the facts of a run that starts now."""
    others = {plugin.name: plugin.version for plugin in registry.plugins.values() if plugin.version != "built in"}
    own = {"reidbench": reidbench.__version__, "python": platform.python_version(), "torch": metadata.version("torch")}
    return TrackedRun(
        title=benchmark.title,
        file=str(benchmark.file.absolute()),
        store=str(store.root.absolute()),
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        versions=own | others,
        methods=tuple(recipe.name for recipe in benchmark.methods),
        tasks=tuple(task.name for task in benchmark.tasks),
        seeds=tuple(benchmark.seeds),
    )


class StageFacts:
    """Facts of the stages of one plan."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store

    def of(self, stage: Stage) -> TrackedStage:
        """Return the facts of a stage."""
        cells = dict.fromkeys(self._cells(stage.key))
        return TrackedStage(
            key=stage.key,
            label=stage.label,
            kind=stage.kind,
            use=stage.use,
            seed=stage.seed,
            params=dict(_params(stage)),
            methods=tuple(dict.fromkeys(method for method, _ in cells)),
            tasks=tuple(dict.fromkeys(task for _, task in cells)),
            data=_data(stage),
            parents=tuple(dict.fromkeys(key for _, key in stage.parents)),
            links={
                "artifact": str(self.store.path(stage.key).absolute()),
                "log": str(self.store.log_file(stage.key).absolute()),
            },
        )

    @cached_property
    def _children(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for key, stage in self.plan.stages.items():
            for parent in stage.needs:
                found.setdefault(parent, []).append(key)
        return found

    @cached_property
    def _rows(self) -> Mapping[str, Sequence[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for row in self.plan.rows:
            found.setdefault(row.key or "", []).append((row.method, row.task))
        return found

    def _cells(self, key: str) -> Iterator[tuple[str, str]]:
        """Yield method and task of each row behind which a stage is."""
        waiting, seen = [key], {key}
        while waiting:
            key = waiting.pop()
            yield from self._rows.get(key, ())
            more = [child for child in self._children.get(key, ()) if child not in seen]
            seen |= set(more)
            waiting += more


def _params(stage: Stage) -> Iterator[tuple[str, Scalar]]:
    yield from _flat(stage.params, "")
    if stage.backbone is not None:
        yield "backbone", stage.backbone["use"]
        yield from _flat(stage.backbone["params"], "backbone.")
    yield "image_size", "{}x{}".format(*stage.image_size)
    yield from stage.pictures.items()


def _flat(params: Mapping[str, Any], before: str) -> Iterator[tuple[str, Scalar]]:
    for name, value in params.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value if isinstance(value, Scalar) else shown(value)


def _data(stage: Stage) -> dict[str, str]:
    found: dict[str, str] = {}
    for given in stage.data:
        found[given.role] = f"{found[given.role]}+{given.data}" if given.role in found else given.data
    return found


def row_facts(plan: Plan, result: Result) -> TrackedRow:
    """Return the facts of a result; its stage is its only embedder."""
    row = result.row
    trained = {key for _, key in plan.embedders(row)}
    return TrackedRow(
        method=row.method,
        task=row.task,
        evaluator=row.evaluator,
        seed=row.seed,
        pretrain_seed=row.pretrain_seed,
        status=result.status,
        metrics=dict(result.metrics),
        error=result.error,
        protocol=row.protocol,
        key=row.key or "",
        stage=next(iter(trained)) if len(trained) == 1 else "",
    )
