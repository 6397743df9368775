"""Estimates of the remaining time, from stages like those that are left."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.execution.remaining import Remaining, Times, duration
from reidbench.matrix.benchmark import Benchmark
from reidbench.matrix.stage import Plan, Stage
from reidbench.store.artifacts import Store
from reidbench.store.progress import Progress

STAGES = {key: Stage(key * 32, "finetune", "bot", {}, seed=n, label=f"bot {n}") for n, key in enumerate("abcd")}
OTHER = Stage("e" * 32, "finetune", "mgn", {}, label="mgn")


@pytest.fixture
def times(tmp_path: Path) -> Times:
    """A plan of four equal stages and another; the first of them is done, in 10 seconds."""
    store = Store(tmp_path)
    store.prepare()
    with store.publishing("a" * 32) as (_, manifest):
        manifest |= {"stage": {"label": "bot 0"}, "seconds": 10.0, "notes": []}
    plan = Plan(Benchmark.__new__(Benchmark), {stage.key: stage for stage in [*STAGES.values(), OTHER]}, [])
    return Times(plan, store)


def test_stages_take_what_others_like_them_took(times: Times) -> None:
    waiting = ["b" * 32, "c" * 32, "d" * 32]
    assert times.remaining(waiting, {}, 1) == Remaining(30.0, 0)
    assert times.remaining(waiting, {}, 2) == Remaining(15.0, 0)
    assert times.remaining(waiting, {}, 8) == Remaining(10.0, 0)  # none ends before it is done
    assert times.remaining([*waiting, OTHER.key], {"x": None}, 1) == Remaining(30.0, 2)
    times.took(STAGES["b"], 20.0)
    assert times.usual(STAGES["c"]) == pytest.approx(15.0)


def test_a_running_stage_goes_by_its_own_pace(times: Times) -> None:
    assert times.left(STAGES["b"], Progress(), 4.0) == pytest.approx(6.0)
    assert times.left(STAGES["b"], Progress(), 400.0) == 0.0
    assert times.left(STAGES["b"], Progress(5, 10, 2.0), 10.0) == pytest.approx(10.0)
    assert times.left(OTHER, Progress(), 4.0) is None
    assert times.usual(OTHER) is None
    assert times.left(OTHER, Progress(5, 10, 2.0), 10.0) == pytest.approx(10.0)
    assert times.usual(OTHER) == pytest.approx(20.0)  # others like it are expected to take as long


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "1 h"), (3600, "1 h"), (12000, "3 h 20 min"), (187200, "2 d 4 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_words_name_what_is_unknown() -> None:
    assert Remaining(720, 0).words == "about 12 min"
    assert Remaining(720, 1).words == "about 12 min, plus 1 stage without an estimate"
    assert Remaining(0, 3).words == "unknown (3 stages without an estimate)"
