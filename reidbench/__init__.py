"""reidbench: cross person re-identification methods, data sets and seeds into leaderboards that can be defended.

What a plugin needs stands here, and nothing of it imports torch.
"""

from __future__ import annotations

from .components import (
    Component,
    FileParam,
    FolderParam,
    Metric,
    Metrics,
    Paper,
    Params,
    Published,
    SameContent,
    Selection,
    Uses,
)
from .data import Dataset, HiddenSplit, Sample, Split
from .hookspecs import hookimpl

__version__ = "0.1.0"

__all__ = [
    "Component",
    "Dataset",
    "FileParam",
    "FolderParam",
    "HiddenSplit",
    "Metric",
    "Metrics",
    "Paper",
    "Params",
    "Published",
    "SameContent",
    "Sample",
    "Selection",
    "Split",
    "Uses",
    "hookimpl",
]
