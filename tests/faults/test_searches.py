"""A search that is killed over and over ends with the trials, the winner and the table of one that was left alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from reidbench import report
from reidbench.execution import executors
from reidbench.execution.runner import Runner
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import write_market_folder
from reidbench.tuning import listing
from reidbench.tuning.resolve import resolve, settle
from tests.support.pictures import blurred

SECONDS = re.compile(r"the trials took \d+ s")


class Searching:
    """One search, run by the command line or in this process."""

    def __init__(self, bench: Any, trials: int) -> None:
        self.bench = bench
        root = blurred(write_market_folder(bench.folder / "persons", identities=8))
        epochs = list(range(1, trials // 2 + 1))
        step = f"use: faulty, search: {{epochs: {epochs}, seconds: [0.02, 0.03]}}, select: source-val"
        bench.matrix(f"{{m: {{finetune: {{{step}}}}}}}\nvalidate: {{identities: 0.5}}")
        bench.file.write_text(bench.file.read_text().replace(str(bench.market), str(root)))
        self.registry = plugins.load()
        self.benchmark = reader.read(bench.file, self.registry)

    def alone(self, store: Path, listener: Any) -> None:
        """Run in this process."""

        def run(plan: Any) -> None:
            Runner(plan, Store(store), executors.Inline(), listener, self.registry.disabled).run()

        run(settle(self.benchmark, Store(store), run).plan)

    def ended(self, store: Path) -> tuple[str, list[dict[str, Any]]]:
        """The table and the trials, without what they took."""
        resolved = resolve(self.benchmark, Store(store))
        text = report.write(report.collect(resolved.plan, Store(store)), "csv")
        trials = [{**trial, "seconds": None} for trial in listing.as_json(resolved)]
        return SECONDS.sub("", text), trials

    def killed_at(self, store: Path, published: int, watch: Any) -> None:
        """Start a run and kill its driver as soon as the store has this number of artifacts."""
        run = self.bench.start(store)
        while len(watch.published(store)) < published:
            assert run.poll() is None, run.communicate()
            time.sleep(0.02)
        run.kill()
        run.communicate()
        watch.all_gone(store)


@pytest.fixture
def listener() -> Any:
    class Silent:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *given: None

    return Silent()


@pytest.mark.slow
def test_a_search_killed_twice_ends_as_one_that_was_left_alone(bench: Any, watch: Any, listener: Any) -> None:
    """The one runs in this process, the other in two at a time; what is finished is made once."""
    searching = Searching(bench, 4)
    searching.alone(bench.folder / "whole", listener)
    whole = searching.ended(bench.folder / "whole")
    assert [trial["winner"] for trial in whole[1]].count(True) == 1
    store = bench.folder / "killed"
    for published in (3, 9):
        searching.killed_at(store, published, watch)
    before = watch.published(store)
    run = bench.start(store)
    _, error = run.communicate()
    assert run.returncode == 0, error
    assert {key: watch.published(store)[key] for key in before} == before
    assert searching.ended(store) == whole


@pytest.mark.slow
def test_a_killed_worker_leaves_its_search_unfinished(bench: Any, watch: Any, listener: Any) -> None:
    """Its trial is neither a failed one nor passed over: the next run tries it again, and the same one wins."""
    searching = Searching(bench, 4)
    searching.alone(bench.folder / "whole", listener)
    store = bench.folder / "killed"
    run = bench.start(store, 1)
    _kill_a_training(run, watch, store)
    out, error = run.communicate()
    assert run.returncode == 1
    assert "m (tuned) on tiny: its search has 3 of 4 trials; trial" in error
    assert "the worker was killed by SIGKILL" in out
    run = bench.start(store, 1)
    _, error = run.communicate()
    assert run.returncode == 0, error
    assert searching.ended(store) == searching.ended(bench.folder / "whole")


def _kill_a_training(run: subprocess.Popen[str], watch: Any, store: Path) -> None:
    """Kill the worker of the first trial that trains."""
    while True:
        assert run.poll() is None, run.communicate()
        trains = list((store / "scratch").glob("*/checkpoint"))
        if trains and (workers := watch.workers(store)):
            os.kill(workers[0], signal.SIGKILL)
            psutil.wait_procs([psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)], timeout=5)
            return
        time.sleep(0.002)


@pytest.mark.long
def test_a_search_of_twelve_trials_killed_at_ten_points(
    bench: Any, watch: Any, listener: Any, figure: Callable[[str], None]
) -> None:
    searching = Searching(bench, 12)
    searching.alone(bench.folder / "whole", listener)
    whole = searching.ended(bench.folder / "whole")
    store, made = bench.folder / "killed", len(watch.published(bench.folder / "whole"))
    points = [1 + number * (made - 2) // 9 for number in range(10)]
    for published in points:
        searching.killed_at(store, published, watch)
    run = bench.start(store)
    _, error = run.communicate()
    assert run.returncode == 0, error
    assert searching.ended(store) == whole
    figure(
        f"kill -9 of a search: 12 trials killed at {len(points)} points of {made} artifacts, the same winner and table"
    )
