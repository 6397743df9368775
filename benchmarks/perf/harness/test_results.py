"""Results in Python: a frame in less than a second, and linear growth with the number of rows.

`python -m benchmarks.perf.harness.test_results` prints the figures in `benchmarks/scale.md`. Artifacts have only
manifests, as in `scale_measure`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reidbench
from benchmarks.perf.harness.scale_measure import stored
from benchmarks.perf.harness.test_plan import write_matrix
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins

CALLS: dict[str, Callable[[Any], Any]] = {
    "frame": lambda results: results.frame(),
    "summary": lambda results: results.summary(),
    "leaderboard": lambda results: results.leaderboard(),
    "markdown": lambda results: results.markdown(),
    "_repr_html_": lambda results: results._repr_html_(),
}
SIZES = {300: {"methods": 3, "tasks": 5, "seeds": 10}, 1000: {"methods": 2}, 10_000: {"methods": 20}}
ROUNDS = 5


def cpu(run: Callable[[], Any]) -> float:
    """CPU seconds of the fastest of several rounds."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        run()
        found.append(time.process_time() - began)
    return min(found)


def measured(rows: int, folder: Path) -> tuple[dict[str, float], Any]:
    """CPU seconds of `load` and of each call on its result, and the result."""
    file = write_matrix(folder, **SIZES[rows])
    store = stored(plan.expand(reader.read(file, plugins.load())), folder / "store")
    results = reidbench.load(file, store=store.root, progress=False)
    assert len(results.frame()) == rows
    assert (results.frame()["status"] == "ok").all()
    seconds = {"load": cpu(lambda: reidbench.load(file, store=store.root, progress=False))}
    return seconds | {name: cpu(lambda call=call: call(results)) for name, call in CALLS.items()}, results


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[dict[str, float], Any]]:
    pytest.importorskip("pandas")
    return {rows: measured(rows, tmp_path_factory.mktemp(f"rows-{rows}")) for rows in SIZES}


def test_a_frame_of_300_rows(figures: Any, figure: Any, benchmark: Any) -> None:
    """From the store: reading it, and the frame, without imports."""
    seconds = figures[300][0]
    benchmark.pedantic(lambda: figures[300][1].frame(), rounds=3)
    figure("load and frame of a store of 300 rows", seconds["load"] + seconds["frame"], "CPU s", most=1)


@pytest.mark.parametrize("call", ["load", *CALLS])
def test_ten_times_the_rows(call: str, figures: Any, figure: Any, benchmark: Any) -> None:
    small, large = figures[1000][0][call], figures[10_000][0][call]
    benchmark.pedantic(lambda: large, rounds=1)
    figure(f"{call}: a row of 10,000 against a row of 1,000", large / small / 10, "x", most=1.5)


def main() -> None:
    """Print the figures as Markdown."""
    found = {}
    for rows in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            found[rows], _ = measured(rows, Path(folder))
    print("| call | " + " | ".join(f"{rows:,} rows" for rows in SIZES) + " | a row of 10,000 against one of 1,000 |")
    print("|---|" + "---|" * (len(SIZES) + 1))
    for name in ("load", *CALLS):
        cells = [f"{found[rows][name]:.4f}" for rows in SIZES]
        print(f"| {name} | {' | '.join(cells)} | {found[10_000][name] / found[1000][name] / 10:.2f} |")


if __name__ == "__main__":
    main()
