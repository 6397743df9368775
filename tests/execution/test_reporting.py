"""Progress of running stages, as a run writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.execution import reporting
from reidbench.execution.reporting import Pace, Reports
from reidbench.store import progress
from reidbench.store.artifacts import Store


def event(done: float, total: float) -> dict[str, object]:
    return {"event": "progress", "done": done, "total": total}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the module sees, in a list of one."""
    now = [100.0]
    monkeypatch.setattr(reporting.time, "monotonic", lambda: now[0])
    return now


def test_the_pace_is_of_this_process(clock: list[float]) -> None:
    """A stage that resumes at epoch 10 has not done 10 epochs in no time."""
    pace = Pace()
    pace.heard(event(10, 20))
    assert pace.progress.remaining is None
    clock[0] += 6
    pace.heard(event(12, 20))
    assert pace.progress.pace == pytest.approx(3.0)
    assert pace.progress.remaining == pytest.approx(24.0)


def test_another_count_starts_another_pace(clock: list[float]) -> None:
    pace = Pace()
    for done, total in ((0, 4), (4, 4)):
        pace.heard(event(done, total))
        clock[0] += 10
    pace.heard(event(0, 1000))
    assert pace.progress.remaining is None
    clock[0] += 1
    pace.heard(event(100, 1000))
    assert pace.progress.remaining == pytest.approx(9.0)


def test_logs_stay_with_the_progress_and_odd_events_change_nothing(clock: list[float]) -> None:
    pace = Pace()
    assert pace.heard(event(1, 2))
    assert pace.heard({"event": "log", "metrics": {"loss": 2.0}})
    assert (pace.progress.done, pace.progress.metrics) == (1, {"loss": 2.0})
    for odd in (event(float("nan"), 2), event(-1, 2), event(True, 2), {"event": "note", "text": "x"}, {"event": "log"}):
        assert not pace.heard(odd)
    assert pace.progress.done == 1


def test_it_is_written_now_and_then_and_removed_at_the_end(tmp_path: Path, clock: list[float]) -> None:
    store = Store(tmp_path)
    store.prepare()
    reports = Reports(store)
    reports.started("k")
    for done in range(1, 5):
        reports.heard("k", event(done, 100))
        clock[0] += 0.9
    assert progress.read(store, "k").done == 4  # after 2.7 seconds: the second write
    reports.heard("k", event(5, 100))
    assert progress.read(store, "k").done == 4
    assert reports.of("k").done == 5
    reports.ended("k")
    assert list((tmp_path / progress.FOLDER).iterdir()) == []
    assert reports.of("k").total == 0
