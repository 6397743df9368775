"""The clock is set back: claims neither hold for ever nor are lost, and no result depends on the time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reidbench.store import locks
from reidbench.store.artifacts import Store

DAY = 86_400.0

# Python imports a module of this name at start: here it moves the clock by what a file says at each moment.
CLOCK = """
import os, time
_time, _time_ns = time.time, time.time_ns


def _offset():
    try:
        with open(os.environ["FAULTS_CLOCK"]) as file:
            return float(file.read() or 0)
    except (KeyError, OSError):
        return 0.0


time.time = lambda: _time() + _offset()
time.time_ns = lambda: _time_ns() + int(_offset() * 1e9)
"""


def elsewhere(store: Store, key: str, mtime: float) -> Path:
    """A claim of another host with its last heartbeat at a time."""
    file = store.root / "claims" / f"{key}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"host": "elsewhere", "pid": 1, "start": "1"}))
    os.utime(file, (mtime, mtime))
    return file


@pytest.mark.parametrize("shift", [0, DAY, -DAY, -400 * DAY])
def test_no_clock_kills_a_claim_or_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: float) -> None:
    """Only a heartbeat that is seen not to move is dead; the clock may have jumped either way."""
    monkeypatch.setattr(locks, "DEAD_AFTER", 0.5)
    store = Store(tmp_path)
    elsewhere(store, "k", time.time() + shift)
    assert store.claimed("k")
    with store.claim("k") as mine:
        assert not mine
    time.sleep(0.7)
    assert not store.claimed("k")
    with store.claim("k") as mine:
        assert mine


def test_a_beat_starts_the_wait_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    store = Store(tmp_path)
    file = elsewhere(store, "k", 1000.0)
    for seconds in range(0, 1000, 5):
        clock[0] = seconds
        if seconds % 100 == 0:
            os.utime(file, (seconds, 1000 + seconds))
        assert store.claimed("k")
    for seconds in range(1000, 1000 + 100 + 5, 5):  # the last beat was at 900
        clock[0] = seconds
        assert store.claimed("k") == (seconds <= 900 + locks.DEAD_AFTER)


def test_a_watcher_that_slept_has_seen_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are stopped for an hour, and the watcher wakes first."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    store = Store(tmp_path)
    elsewhere(store, "k", 1000.0)
    assert store.claimed("k")
    clock[0] = 3600.0
    assert store.claimed("k")


def test_a_living_owner_keeps_its_claim_when_the_clock_is_set_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    file = elsewhere(store, "k", time.time() + DAY)
    for _ in range(3):
        assert store.claimed("k")
        os.utime(file)  # its heart beats, now with the new time
    with store.claim("k") as mine:
        assert not mine


@pytest.mark.parametrize("shift", [-DAY, DAY])
def test_on_this_host_no_clock_decides(tmp_path: Path, shift: float) -> None:
    store = Store(tmp_path)
    with store.claim("k") as mine:
        assert mine
        file = tmp_path / "claims" / "k.json"
        os.utime(file, (time.time() + shift, time.time() + shift))
        assert store.claimed("k")
        with store.claim("k") as second:
            assert not second
    assert not store.claimed("k")


def test_a_hosts_own_clock_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats are stamped by the file server: a host whose clock is an hour ahead takes nothing over."""
    store = Store(tmp_path)
    elsewhere(store, "k", time.time())
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert store.claimed("k")
    with store.claim("k") as mine:
        assert not mine


def test_who_slept_too_long_leaves_the_new_owners_claim_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.claim("k") as mine:
        assert mine
        file = elsewhere(store, "k", time.time())  # taken over meanwhile
        taken = file.read_text()
    assert file.read_text() == taken
    assert store.claimed("k")


@pytest.mark.long
def test_a_run_whose_clock_is_set_back_and_forth(
    bench: Any, watch: Any, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None]
) -> None:
    bench.matrix("{none: {finetune: none}, toy: {finetune: {use: faulty, epochs: 4, seconds: 0.3}}}")
    bench.run(bench.folder / "whole")
    bench.epochs()
    (bench.folder / "site" / "sitecustomize.py").write_text(CLOCK)
    clock = bench.folder / "clock"
    store = bench.folder / "store"
    monkeypatch.setenv("FAULTS_CLOCK", str(clock))
    kept: dict[str, tuple[int, int]] = {}
    for shift, more, killed in ((0, 2, True), (-DAY, 2, True), (-400 * DAY, 1, False)):
        run = bench.start(store)
        while len(watch.published(store)) < len(kept) + more and run.poll() is None:
            time.sleep(0.02)
        assert run.poll() is None
        clock.write_text(str(shift - 3600))  # also while it runs
        if killed:
            time.sleep(0.3)
            run.kill()
        run.communicate()
        watch.all_gone(store)
        assert {key: watch.published(store)[key] for key in kept} == kept
        kept = watch.published(store)
    assert run.returncode == 0
    assert bench.table(store) == bench.table(bench.folder / "whole")
    assert len(bench.epochs()) <= 4 + 2
    seconds = [Store(store).manifest(key).manifest["seconds"] for key in watch.published(store)]
    assert min(seconds) >= 0
    figure(f"clock set back by up to 400 days during {len(kept)} stages: identical table, no stage made twice")
