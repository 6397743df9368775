"""The eight places where a plugin adds something.

A plugin is a module (or package) whose functions carry `@hookimpl`. Each hook takes no argument and returns an
iterable of :class:`reidbench.Component`; `yield` is the natural form. A component only *names* its code
("module:attribute"), so a plugin declares everything without importing torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pluggy import HookimplMarker, HookspecMarker

from .components import Component

hookspec = HookspecMarker("reidbench")
hookimpl = HookimplMarker("reidbench")

Kind = Literal["dataset", "backbone", "selector", "pretrainer", "preparer", "finetuner", "adapter", "evaluator"]
# kind of component -> the hook that collects it
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


@hookspec
def reidbench_datasets() -> Iterable[Component]:  # type: ignore[empty-body]
    """Labelled data sets and pools. Target: `(params, root: Path | None, cache: Path, progress) -> Dataset`."""


@hookspec
def reidbench_backbones() -> Iterable[Component]:  # type: ignore[empty-body]
    """Networks. Target: `(params, image_size: (height, width)) -> reidbench.training.Backbone`."""


@hookspec
def reidbench_selectors() -> Iterable[Component]:  # type: ignore[empty-body]
    """Ways to choose pre-training images from a pool. Target: `(SelectContext) -> Selection`."""


@hookspec
def reidbench_pretrainers() -> Iterable[Component]:  # type: ignore[empty-body]
    """Pre-training without labels. Target: `(PretrainContext) -> Backbone`, the network to keep."""


@hookspec
def reidbench_preparers() -> Iterable[Component]:  # type: ignore[empty-body]
    """What another component asks for in a `Uses` field. Target: `(PrepareContext) -> None`, files in `out`."""


@hookspec
def reidbench_finetuners() -> Iterable[Component]:  # type: ignore[empty-body]
    """Supervised training on the source. Target: `(FinetuneContext) -> Embedder`."""


@hookspec
def reidbench_adapters() -> Iterable[Component]:  # type: ignore[empty-body]
    """Learning on the unlabelled target. Target: `(AdaptContext) -> Embedder`."""


@hookspec
def reidbench_evaluators() -> Iterable[Component]:  # type: ignore[empty-body]
    """Retrieval protocols. Target: `(EvaluateContext) -> Metrics`; the component declares them in `metrics`."""
