"""The hooks with which plugins add components: eight kinds for matrix files, trackers, and executors.

A plugin is a module or package with functions decorated with `@hookimpl`. Each hook takes no arguments and returns an
iterable of `reidbench.Component`, usually as a generator. A component only *names* its code
("module:attribute"), so a plugin declares its components without importing torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pluggy import HookimplMarker, HookspecMarker

from .components import Component

hookspec = HookspecMarker("reidbench")
hookimpl = HookimplMarker("reidbench")

Kind = Literal["dataset", "backbone", "selector", "pretrainer", "preparer", "finetuner", "adapter", "evaluator"]
# kind of component in a matrix file -> hook
HOOKS = {
    "dataset": "reidbench_datasets",
    "backbone": "reidbench_backbones",
    "selector": "reidbench_selectors",
    "pretrainer": "reidbench_pretrainers",
    "preparer": "reidbench_preparers",
    "finetuner": "reidbench_finetuners",
    "adapter": "reidbench_adapters",
    "evaluator": "reidbench_evaluators",
}
TRACKER, EXECUTOR = "tracker", "executor"
EVERY_HOOK = {**HOOKS, TRACKER: "reidbench_trackers", EXECUTOR: "reidbench_executors"}


@hookspec
def reidbench_datasets() -> Iterable[Component]:  # type: ignore[empty-body]
    """Labelled data sets and pools. Target: `(params, root: Path | None, cache: Path) -> Dataset`.

    The target may take a fourth parameter `progress`, a function `(done: int, total: int) -> None`.
    """


@hookspec
def reidbench_backbones() -> Iterable[Component]:  # type: ignore[empty-body]
    """Networks. Target: `(params, image_size: tuple[int, int]) -> reidbench.training.Backbone`; height, width.

    The target may take a third parameter `rebuild`, a function from a `reidbench.files.networkfolder.NetworkFolder` and
    the image size to its Embedder; its image size then also has the resize filters.
    """


@hookspec
def reidbench_selectors() -> Iterable[Component]:  # type: ignore[empty-body]
    """Selection of pre-training images from a pool. Target: `(SelectContext) -> Selection`."""


@hookspec
def reidbench_pretrainers() -> Iterable[Component]:  # type: ignore[empty-body]
    """Pre-training without labels. Target: `(PretrainContext) -> Backbone`."""


@hookspec
def reidbench_preparers() -> Iterable[Component]:  # type: ignore[empty-body]
    """Preparation for another component's `Uses` field. Target: `(PrepareContext) -> None`, which writes to `out`."""


@hookspec
def reidbench_finetuners() -> Iterable[Component]:  # type: ignore[empty-body]
    """Supervised training on the source. Target: `(FinetuneContext) -> Embedder`."""


@hookspec
def reidbench_adapters() -> Iterable[Component]:  # type: ignore[empty-body]
    """Adaptation to the unlabelled target. Target: `(AdaptContext) -> Embedder`."""


@hookspec
def reidbench_evaluators() -> Iterable[Component]:  # type: ignore[empty-body]
    """Evaluation. Target: `(EvaluateContext) -> Metrics`; the component declares its metrics in `metrics`."""


@hookspec
def reidbench_trackers() -> Iterable[Component]:  # type: ignore[empty-body]
    """Trackers, which send runs to other programs: for `--track`, never in a matrix file.

    Target: `(TrackContext) -> Tracker`, called in a separate process. The component's `params` are the options of
    `--track-option`; they never change a result, and are in no key.
    """


@hookspec
def reidbench_executors() -> Iterable[Component]:  # type: ignore[empty-body]
    """Executors, which run stages: for `--executor`, never in a matrix file.

    Target: `(options: Params, settings: reidbench.execution.executor.Settings) -> Executor`. The component's `params`
    are the options of `--option`; they never change a result, and are in no key.
    """
