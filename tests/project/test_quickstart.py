"""Results of `make demo`: the order that any sound benchmark of re-identification must find, in every seed."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from scipy import stats

from reidbench.report import Leaderboard
from reidbench.testing import run_matrix

QUICKSTART = Path(__file__).parents[2] / "benchmarks" / "quickstart.yaml"


def maps(board: Leaderboard, method: str, task: str) -> list[float]:
    return [result.metrics["mAP"] for result in board.cell(method, task, "cosine")]


def low_end(better: list[float], worse: list[float]) -> float:
    """Lower end of the 95 % t-interval of the paired differences over seeds."""
    differences = [a - b for a, b in zip(better, worse, strict=True)]
    return float(stats.ttest_1samp(differences, 0).confidence_interval(0.95).low)


@pytest.mark.long
def test_untrained_then_across_then_within(tmp_path: Path) -> None:
    board = run_matrix(QUICKSTART.read_text(), tmp_path, jobs=2)
    assert {result.status for result in board.results} == {"ok"}
    for target, source in itertools.permutations(("plaza", "station")):
        across_task = f"{source}->{target}"
        untrained = maps(board, "untrained", across_task)
        across = maps(board, "bot", across_task)
        within = maps(board, "bot", target)
        colours = maps(board, "colour-histogram", target)
        assert len(within) == 3
        assert len(colours) == 1  # it uses no seed
        for low, middle, high in zip(untrained, across, within, strict=True):
            assert low < middle < high
            assert 0.35 <= high <= 0.95
        assert low_end(across, untrained) > 0
        assert low_end(within, across) > 0
        # "far below": under half of the trained result, in every seed
        assert max(colours) < 0.5 * min(within)
        assert not any(map(math.isnan, untrained))
