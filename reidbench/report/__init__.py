"""From the store to a leaderboard: results, summaries and output formats.

Imports matrix, store and metrics. Begin with `results.py`, then `standings.py`; `output.py` writes.
"""

from __future__ import annotations

from .breakdown.differences import Paired, differences
from .claims.verdicts import Claims, Judged, judge
from .options import Options
from .output import FORMATS, refuse_mixed, table, write, write_board
from .ranks.cells import Ranks, ranks_of
from .ranks.comparison import Comparison
from .results import METRICS, SCORE, Leaderboard, Result, Summary, collect
from .standings import Place, leaders, places
from .units import NAMES

__all__ = [
    "FORMATS",
    "METRICS",
    "NAMES",
    "SCORE",
    "Claims",
    "Comparison",
    "Judged",
    "Leaderboard",
    "Options",
    "Paired",
    "Place",
    "Ranks",
    "Result",
    "Summary",
    "collect",
    "differences",
    "judge",
    "leaders",
    "places",
    "ranks_of",
    "refuse_mixed",
    "table",
    "write",
    "write_board",
]
