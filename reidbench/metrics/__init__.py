"""The definitions: ranking, re-ranking, neighbours, pseudo labels and statistics on plain numpy arrays."""

from __future__ import annotations

from reidbench.metrics.errors import MetricError
from reidbench.metrics.matches import InvalidQueries
from reidbench.metrics.neighbours import Neighbours, nearest_neighbours, search
from reidbench.metrics.pseudo_labels import cluster, dbscan, jaccard_graph
from reidbench.metrics.ranking import Ranking, rank, rank_blocks, rank_distances
from reidbench.metrics.report import Comparison, Report, compare, render
from reidbench.metrics.reranking import Reranking, rerank, rerank_blocks
from reidbench.metrics.rules import Rules
from reidbench.metrics.statistics import (
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
    "Report",
    "Reranking",
    "Rules",
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
