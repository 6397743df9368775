"""`kill -9` at any moment, of drivers, workers, guards and servers: nothing finished is lost, nothing is made twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

JOBS = 2
EPOCHS = 3
KILLED = "the worker was killed by SIGKILL"


class Killer:
    """Kills at moments drawn from a seed: after some time, or just after something was written."""

    def __init__(self, watch: Any, seed: int, kills: int) -> None:
        self.watch = watch
        self.random = random.Random(seed)
        self.left = kills
        self.count: Counter[str] = Counter()
        self.orphans = 0.0  # the longest that a worker outlived its driver, in seconds

    def strike(self, run: subprocess.Popen[str], store: Path) -> bool:
        """Wait for the next moment and kill. False when the run ends before, or this kill leaves the driver alive."""
        kind = self.random.choices(["driver", "worker", "all", "guard", "server"], [5, 3, 2, 1, 2])[0]
        if not self._moment(run, store, needs_worker=kind in ("worker", "guard")):
            return False
        workers = self.watch.workers(store)
        if kind in ("worker", "guard", "server"):
            found = workers if kind == "worker" else self.watch.below(run.pid, f"reidbench.execution.executors.{kind}")
            if not found:
                return False
            _kill(self.random.choice(sorted(found)))
        else:
            run.kill()
            for worker in workers if kind == "all" else ():
                _kill(worker)
            run.communicate()
            self.orphans = max(self.orphans, self.watch.all_gone(store))
        self.count[kind] += 1
        self.left -= 1
        return kind in ("driver", "all")

    def _moment(self, run: subprocess.Popen[str], store: Path, *, needs_worker: bool) -> bool:
        """Whether the run still lives when the moment has come."""
        by_time = self.random.random() < 0.5
        delay = self.random.uniform(0.2, 3.5) if by_time else self.random.uniform(0, 0.05)
        began, seen = time.monotonic(), _written(store)
        while run.poll() is None:
            passed = time.monotonic() - began
            if needs_worker and not self.watch.workers(store):
                time.sleep(0.02)
            elif by_time:
                time.sleep(min(0.05, max(delay - passed, 0)))
                if passed >= delay:
                    return run.poll() is None
            elif _written(store) != seen or passed > 4:
                time.sleep(delay)
                return run.poll() is None
            else:
                time.sleep(0.005)
        return False


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _written(store: Path) -> set[str]:
    """Stages in progress, their progress, and finished stages."""
    names = set()
    for folder in ("tmp", "objects", "claims", "scratch"):
        if (store / folder).is_dir():
            names |= {f"{folder}/{name}" for name in os.listdir(store / folder)}
    for checkpoint in store.glob("scratch/*/checkpoint"):
        with contextlib.suppress(FileNotFoundError):  # its stage is finished
            names.add(f"{checkpoint} {checkpoint.stat().st_mtime_ns}")
    return names


def finish(bench: Any, watch: Any, killer: Killer, store: Path) -> int:
    """Run one store to its end, killing as often as is left; how many kills it took."""
    before = killer.left
    kept: dict[str, tuple[int, int]] = {}
    while True:
        run = bench.start(store, JOBS)
        struck = False
        while killer.left and run.poll() is None and not struck:
            struck = killer.strike(run, store)
        _, error = run.communicate()
        watch.all_gone(store)
        published = watch.published(store)
        assert {key: published.get(key) for key in kept} == kept, "a finished stage ran again, or its artifact was lost"
        watch.whole(store)
        kept = published
        if struck:
            continue
        if run.returncode == 0:
            return before - killer.left
        # What ends by itself without success had a worker or its guard killed: a row says so.
        assert run.returncode == 1, error
        assert KILLED in error
        reasons = {error for status, error in bench.rows(store).values() if status != "ok"}
        assert all(reason.endswith(KILLED) for reason in reasons if reason != "not run yet"), reasons


def kill_over_and_over(bench: Any, watch: Any, seed: int, kills: int, seeds: list[int], methods: str) -> str:
    """Kill so often, over as many stores as it takes; the figure."""
    bench.matrix(methods, seeds=str(seeds))
    bench.run(bench.folder / "whole")
    table = bench.table(bench.folder / "whole")
    assert "failed" not in table
    bench.epochs()
    killer = Killer(watch, seed, kills)
    stores = begun = needed = artifacts = 0
    while killer.left:
        store = bench.folder / f"killed-{stores}"
        struck = finish(bench, watch, killer, store)
        assert bench.table(store) == table
        assert not list((store / "tmp").iterdir())
        assert watch.published(store).keys() == watch.published(bench.folder / "whole").keys()
        epochs = bench.epochs()
        assert set(epochs) == {f"{seed} {epoch}" for seed in seeds for epoch in range(EPOCHS)}
        # A kill costs at most the epoch that each of the workers was in.
        assert len(epochs) <= len(seeds) * EPOCHS + JOBS * struck
        stores, begun, needed = stores + 1, begun + len(epochs), needed + len(seeds) * EPOCHS
        artifacts += watch.whole(store)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(killer.count.items()))
    return (
        f"kill -9: {sum(killer.count.values())} kills ({kinds}) over {stores} stores: {stores} identical tables, "
        f"{artifacts} artifacts each published once, {begun} epochs begun where {needed} were needed, "
        f"workers outlived a driver by at most {killer.orphans:.1f} s"
    )


@pytest.mark.slow
def test_a_run_killed_three_times(bench: Any, watch: Any, figure: Callable[[str], None]) -> None:
    toy = "{toy: {finetune: {use: faulty, epochs: 3, seconds: 0.2}}}"
    figure(
        kill_over_and_over(bench, watch, 277, 3, [0], toy)  # a server, a driver, then a worker
    )


@pytest.mark.long
def test_a_hundred_kills_at_random_moments(bench: Any, watch: Any, figure: Callable[[str], None]) -> None:
    methods = "{none: {finetune: none}, toy: {finetune: {use: faulty, epochs: 3, seconds: 0.2}}}"
    kills = int(os.environ.get("REIDBENCH_TEST_KILLS", "100"))
    figure(kill_over_and_over(bench, watch, 2, kills, [0, 1], methods))
