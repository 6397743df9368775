"""reidbench: cross person re-identification methods, data sets and seeds into leaderboards that can be defended.

All that a plugin needs is here, beside `run` and `load` for a program or a notebook, and nothing of it imports torch.
Imports the modules at this folder's top, data and api, each at the first use of a name of it; nothing below imports it.
Begin with `hookspecs.py`, then `components.py`.
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
    "Uses",
    "Workload",
    "hookimpl",
    "load",
    "run",
]

# Each name is imported at its first use: `reidbench --help` needs none of them, nor pydantic and numpy behind them.
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
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_HOME[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
