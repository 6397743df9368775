"""From the store to a leaderboard: results, summaries, and the formats they are written in."""

from __future__ import annotations

from .differences import Paired, differences
from .formats import FORMATS, write
from .results import METRICS, Leaderboard, Result, Summary, collect, leaders

__all__ = [
    "FORMATS",
    "METRICS",
    "Leaderboard",
    "Paired",
    "Result",
    "Summary",
    "collect",
    "differences",
    "leaders",
    "write",
]
