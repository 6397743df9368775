"""reidbench: a benchmark suite for person re-identification with plugins for methods, data sets and evaluators.

This module has everything that a plugin needs, and `run` and `load` for programs and notebooks. It does not import
torch. Names are imported on first use from the top-level modules, data and api; no package below imports it.
Start with `hookspecs.py`, then `components.py`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.calls import load, run
    from .api.results import Results
    from .components import (
        AddedLater,
        Amount,
        Component,
        FileParam,
        FilesParam,
        FolderParam,
        InPlace,
        Metric,
        Paper,
        Params,
        Preset,
        Published,
        SameContent,
        Secret,
        Uses,
        Workload,
    )
    from .contexts import (
        AdaptContext,
        Checkpoint,
        Context,
        EmbedContext,
        Embedded,
        EvaluateContext,
        FinetuneContext,
        Metrics,
        PrepareContext,
        PretrainContext,
        SelectContext,
        Selection,
    )
    from .data import Dataset, HiddenSplit, Sample, Split
    from .hookspecs import hookimpl
    from .trackers import TrackContext, TrackedRow, TrackedRun, TrackedStage, Tracker

__version__ = "0.2.0"

__all__ = [
    "AdaptContext",
    "AddedLater",
    "Amount",
    "Checkpoint",
    "Component",
    "Context",
    "Dataset",
    "EmbedContext",
    "Embedded",
    "EvaluateContext",
    "FileParam",
    "FilesParam",
    "FinetuneContext",
    "FolderParam",
    "HiddenSplit",
    "InPlace",
    "Metric",
    "Metrics",
    "Paper",
    "Params",
    "PrepareContext",
    "Preset",
    "PretrainContext",
    "Published",
    "Results",
    "SameContent",
    "Sample",
    "Secret",
    "SelectContext",
    "Selection",
    "Split",
    "TrackContext",
    "TrackedRow",
    "TrackedRun",
    "TrackedStage",
    "Tracker",
    "Uses",
    "Workload",
    "hookimpl",
    "load",
    "run",
]

# Imported on first use, so that `reidbench --help` imports neither pydantic nor numpy.
_HOMES = {
    "api.calls": "load run",
    "api.results": "Results",
    "components": (
        "AddedLater Amount Component FileParam FilesParam FolderParam InPlace Metric Paper Params Preset Published "
        "SameContent Secret Uses Workload"
    ),
    "contexts": (
        "AdaptContext Checkpoint Context EmbedContext Embedded EvaluateContext FinetuneContext Metrics PrepareContext "
        "PretrainContext SelectContext Selection"
    ),
    "data": "Dataset HiddenSplit Sample Split",
    "hookspecs": "hookimpl",
    "trackers": "TrackContext TrackedRow TrackedRun TrackedStage Tracker",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_HOME[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
