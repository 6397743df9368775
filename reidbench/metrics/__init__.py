"""The definitions: ranking, re-ranking, neighbours, pseudo labels and statistics on plain numpy arrays.

Imports numpy, scipy, scikit-learn and faiss, nothing of reidbench. Begin with `ranking/ranking.py`.
"""

from __future__ import annotations

from .errors import MetricError
from .neighbours.neighbours import Neighbours, nearest_neighbours, search
from .pseudo_labels import cluster, dbscan, jaccard_graph
from .ranking.matches import InvalidQueries
from .ranking.ranking import Ranking, rank, rank_blocks, rank_distances
from .ranking.rules import Rules
from .report import Comparison, ScoreReport, compare, render
from .reranking import Reranking, rerank, rerank_blocks
from .statistics import (
    Difference,
    Interval,
    beyond_noise,
    bootstrap,
    over_seeds,
    paired_bootstrap,
    paired_seeds,
    tied_with_best,
    welch,
)

__all__ = [
    "Comparison",
    "Difference",
    "Interval",
    "InvalidQueries",
    "MetricError",
    "Neighbours",
    "Ranking",
    "Reranking",
    "Rules",
    "ScoreReport",
    "beyond_noise",
    "bootstrap",
    "cluster",
    "compare",
    "dbscan",
    "jaccard_graph",
    "nearest_neighbours",
    "over_seeds",
    "paired_bootstrap",
    "paired_seeds",
    "rank",
    "rank_blocks",
    "rank_distances",
    "render",
    "rerank",
    "rerank_blocks",
    "search",
    "tied_with_best",
    "welch",
]
