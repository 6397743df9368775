"""Linear growth: ten times the rows take ten times as long, in every format (a row of 10,000 against a row of 1,000).

The HTML page is measured by its lines, one for all seeds of a method on a task: 100 against 1,000 of them, with the
images, curves and provenance of each. Ranks over tasks are measured with the results of 500 queries per row, read from
files. A site is also measured by lines, of one matrix without images and lists.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.perf.harness.store_measure import make_whole

TASKS, SEEDS, ROUNDS, QUERIES = 10, 10, 3, 500
TEXTS = ("md", "csv", "json", "latex")
MOST = 1.3  # a row of many against a row of few
MILLISECONDS = 5  # per line of the page


def board_of(folder: Path, methods: int, seeds: int) -> tuple[Any, Any, Any]:
    """A leaderboard of complete results, with its plan and store."""
    from reidbench import report
    from reidbench.matrix import plan
    from reidbench.matrix.reading import reader
    from reidbench.registry import plugins
    from reidbench.store.artifacts import Store

    assert make_whole(folder, methods, TASKS, seeds) == methods * TASKS * seeds
    the_plan, store = plan.expand(reader.read(folder / "all.yaml", plugins.load())), Store(folder / "store")
    board = report.collect(the_plan, store)
    assert all(result.status == "ok" for result in board.results)
    return board, the_plan, store


def milliseconds(write: Callable[[], Any], things: int) -> float:
    """CPU milliseconds per item, the median of several runs."""
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        assert write()
        taken.append(time.process_time() - began)
    return 1000 * statistics.median(taken) / things


def test_texts(benchmark: Any, figure: Any, tmp_path: Path) -> None:
    from reidbench import report

    few, many = (board_of(tmp_path / f"{methods}", methods, SEEDS)[0] for methods in (10, 100))

    def measure() -> dict[str, tuple[float, float]]:
        return {
            form: (
                milliseconds(lambda form=form: report.write(few, form), len(few.results)),  # type: ignore[misc]
                milliseconds(lambda form=form: report.write(many, form), len(many.results)),  # type: ignore[misc]
            )
            for form in TEXTS
        }

    for form, (of_few, of_many) in benchmark.pedantic(measure, rounds=1, iterations=1).items():
        figure(f"{form}: a row of 10,000", of_many, "CPU ms")
        figure(f"{form}: a row of 10,000 against a row of 1,000", of_many / of_few, "x", most=MOST)


def measured(folder: Path, methods: int) -> Any:
    """A leaderboard of random results with per-query files, of similar methods."""
    from reidbench.matrix.stage import Row
    from reidbench.report.results import Leaderboard, Result, summarise

    rng, results = np.random.default_rng(0), []
    folder.mkdir()
    for number, (m, t, seed) in enumerate(itertools.product(range(methods), range(TASKS), range(SEEDS))):
        ap = rng.random(QUERIES)
        np.savez(folder / f"{number}.npz", ap=ap)
        row = Row(f"m{m}", f"t{t}", "cosine", seed, None, str(number), protocol="AP step")
        results.append(Result(row, "ok", {"mAP": float(ap.mean())}))

    def read(key: str) -> dict[str, Any]:
        with np.load(folder / f"{key}.npz") as loaded:
            return dict(loaded)

    return Leaderboard("Ranks", tuple(results), tuple(summarise(results)), queries=read)


def test_ranks(benchmark: Any, figure: Any, tmp_path: Path) -> None:
    from reidbench import report

    few, many = (measured(tmp_path / f"{methods}", methods) for methods in (10, 100))

    def measure() -> list[float]:
        return [
            milliseconds(lambda board=board: report.ranks_of(board, "mAP").comparisons, len(board.results))  # type: ignore[misc]
            for board in (few, many)
        ]

    of_few, of_many = benchmark.pedantic(measure, rounds=1, iterations=1)
    figure("ranks over tasks: a row of 10,000", of_many, "CPU ms")
    figure("ranks over tasks: a row of 10,000 against a row of 1,000", of_many / of_few, "x", most=MOST)


def by_camera(board: Any) -> list[Any]:
    """Every row by camera, with labels already loaded."""
    from reidbench.report.breakdown.parts import Breaking
    from reidbench.report.breakdown.rows import Labels

    breaking = Breaking(board, None, "mAP")  # type: ignore[arg-type]
    labels = Labels(np.arange(QUERIES) // 5, np.arange(QUERIES) % 6)
    breaking.targets = SimpleNamespace(of=lambda row: labels)  # type: ignore[assignment]
    cells = dict.fromkeys((one.row.method, one.row.task, one.row.evaluator) for one in board.results)
    found = [breaking.down(cell, "camera") for cell in cells]
    assert all(len(one.parts) == 6 for one in found)
    return found


def test_queries(benchmark: Any, figure: Any, tmp_path: Path) -> None:
    from reidbench.report.breakdown.compare import tallies

    few, many = (measured(tmp_path / f"{methods}", methods) for methods in (10, 100))
    works = {"by camera": by_camera, "queries won and lost": lambda board: list(tallies(board, "m0", "mAP"))}

    def measure() -> dict[str, list[float]]:
        return {
            name: [
                milliseconds(lambda board=board, work=work: work(board), len(board.results))  # type: ignore[misc]
                for board in (few, many)
            ]
            for name, work in works.items()
        }

    for name, (of_few, of_many) in benchmark.pedantic(measure, rounds=1, iterations=1).items():
        figure(f"{name}: a row of 10,000", of_many, "CPU ms")
        figure(f"{name}: a row of 10,000 against a row of 1,000", of_many / of_few, "x", most=MOST)


def test_page(benchmark: Any, figure: Any, tmp_path: Path) -> None:
    from reidbench import report

    def measure() -> list[float]:
        found = []
        for methods in (10, 100):
            board, the_plan, store = board_of(tmp_path / f"{methods}", methods, 1)
            page = lambda made=(board, the_plan, store): report.write_board(*made, "html", report.Options())  # noqa: E731
            page()  # templates and scripts are read once
            found.append(milliseconds(page, methods * TASKS))
        return found

    few, many = benchmark.pedantic(measure, rounds=1, iterations=1)
    figure("html: a line of 1,000", many, "CPU ms", most=MILLISECONDS)
    figure("html: a line of 1,000 against a line of 100", many / few, "x", most=MOST)


def test_site(benchmark: Any, figure: Any, tmp_path: Path) -> None:
    from reidbench import report
    from reidbench.report.html.site import pages
    from reidbench.report.html.site.sources import Given

    def measure() -> list[float]:
        found = []
        for methods in (10, 100):
            board, the_plan, store = board_of(tmp_path / f"{methods}", methods, 1)
            given = Given(tmp_path / f"{methods}" / "all.yaml", the_plan, store, board)
            site = lambda given=given: pages.build([given], report.Options(ranked=0)).files  # noqa: E731
            site()  # templates and scripts are read once
            found.append(milliseconds(site, methods * TASKS))
        return found

    few, many = benchmark.pedantic(measure, rounds=1, iterations=1)
    figure("site: a line of 1,000", many, "CPU ms", most=2 * MILLISECONDS)
    figure("site: a line of 1,000 against a line of 100", many / few, "x", most=MOST)
