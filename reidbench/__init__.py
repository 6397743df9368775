"""reidbench: cross person re-identification methods, data sets and seeds into leaderboards that can be defended.

All that a plugin needs is here, and nothing of it imports torch. Imports the modules at this folder's top and data;
nothing below imports it. Begin with `hookspecs.py`, then `components.py`.
"""

from __future__ import annotations

from .components import (
    AddedLater,
    Component,
    FileParam,
    FolderParam,
    Metric,
    Paper,
    Params,
    Preset,
    Published,
    SameContent,
    Uses,
)
from .contexts import (
    AdaptContext,
    Checkpoint,
    Context,
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

__version__ = "0.2.0.dev0"

__all__ = [
    "AdaptContext",
    "AddedLater",
    "Checkpoint",
    "Component",
    "Context",
    "Dataset",
    "Embedded",
    "EvaluateContext",
    "FileParam",
    "FinetuneContext",
    "FolderParam",
    "HiddenSplit",
    "Metric",
    "Metrics",
    "Paper",
    "Params",
    "PrepareContext",
    "Preset",
    "PretrainContext",
    "Published",
    "SameContent",
    "Sample",
    "SelectContext",
    "Selection",
    "Split",
    "Uses",
    "hookimpl",
]
