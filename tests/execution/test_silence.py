"""A stage that logs nothing for ten minutes is remarked on; one that says something is not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from reidbench.execution import silence


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_ten_minutes_of_silence_and_ten_more(tmp_path: Path, clock: list[float]) -> None:
    watch = silence.Silence(lambda text: None)
    watch.started("k", "finetune bot", tmp_path / "k.log")
    said = []
    for minute in range(25):
        clock[0] = 1000.0 + 60 * minute
        said += [(minute, text) for text in watch.look()]
    assert [minute for minute, _ in said] == [10, 20]
    assert said[0][1].startswith("finetune bot has logged nothing for 10 minutes; it may hang")
    assert said[1][1].startswith("finetune bot has logged nothing for 20 minutes")
    assert str(tmp_path / "k.log") in said[0][1]


@pytest.mark.parametrize("sign", ["event", "output"])
def test_every_sign_starts_the_time_over(tmp_path: Path, clock: list[float], sign: str) -> None:
    watch = silence.Silence(lambda text: None)
    log = tmp_path / "k.log"
    watch.started("k", "finetune bot", log)
    said = []
    for minute in range(40):
        clock[0] = 1000.0 + 60 * minute
        if minute % 9 == 0 and minute <= 27:
            if sign == "event":
                watch.heard("k")
            else:
                log.write_text("x" * minute)
        said += [minute for _ in watch.look()]
    assert said == [37]


def test_a_stage_that_has_ended_is_not_silent(tmp_path: Path, clock: list[float]) -> None:
    watch = silence.Silence(lambda text: None)
    for key in "ab":
        watch.started(key, f"stage {key}", tmp_path / key)
    watch.ended("a")
    watch.heard("a")  # an event that comes late
    clock[0] += 601
    assert [text.split(" has ")[0] for text in watch.look()] == ["stage b"]


def test_a_thread_says_it_while_a_stage_blocks_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "QUIET", 0.05)
    said: list[str] = []
    watch = silence.Silence(said.append)
    with watch.watching():
        watch.started("k", "finetune bot", tmp_path / "k.log")
        deadline = time.monotonic() + 20
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
    assert said
    assert said[0].startswith("finetune bot has logged nothing for ")
