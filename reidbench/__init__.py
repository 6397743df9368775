"""reidbench: cross person re-identification methods, data sets and seeds into leaderboards that can be defended.

All that a plugin needs is here, and nothing of it imports torch. Imports the modules at this folder's top and data;
nothing below imports it. Begin with `hookspecs.py`, then `components.py`.
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
