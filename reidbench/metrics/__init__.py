"""Metric definitions on plain numpy arrays: ranking, re-ranking, neighbours, pseudo labels and statistics.

Imports numpy, scipy, scikit-learn and optionally faiss, but nothing of reidbench. Begin with `ranking/ranking.py`.
"""

from __future__ import annotations

from .errors import MetricError as MetricError
from .neighbours.neighbours import Neighbours as Neighbours
from .neighbours.neighbours import nearest_neighbours as nearest_neighbours
from .neighbours.neighbours import search as search
from .pseudo_labels import cluster as cluster
from .pseudo_labels import dbscan as dbscan
from .pseudo_labels import jaccard_graph as jaccard_graph
from .ranking.labelled import rank_labelled as rank_labelled
from .ranking.matches import InvalidQueries as InvalidQueries
from .ranking.ranking import rank as rank
from .ranking.ranking import rank_blocks as rank_blocks
from .ranking.ranking import rank_distances as rank_distances
from .ranking.result import Ranking as Ranking
from .ranking.rows import Labelled as Labelled
from .ranking.rows import refuse_idle as refuse_idle
from .ranking.rules import Rules as Rules
from .report import Comparison as Comparison
from .report import ScoreReport as ScoreReport
from .report import compare as compare
from .report import render as render
from .reranking import Reranking as Reranking
from .reranking import rerank as rerank
from .reranking import rerank_blocks as rerank_blocks
from .statistics import Difference as Difference
from .statistics import Interval as Interval
from .statistics import beyond_noise as beyond_noise
from .statistics import bootstrap as bootstrap
from .statistics import over_seeds as over_seeds
from .statistics import paired_bootstrap as paired_bootstrap
from .statistics import paired_seeds as paired_seeds
from .statistics import tied_with_best as tied_with_best
from .statistics import welch as welch
