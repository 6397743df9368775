"""Display of a run: bars with remaining time on a terminal, plain lines otherwise."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from reidbench.execution import progress
from reidbench.execution.remaining import Remaining
from reidbench.execution.runner import Follower
from reidbench.execution.standings import Best
from reidbench.matrix.stage import Stage

STAGE = Stage("k", "finetune", "bot", {}, label="finetune bot [plaza, seed 0]")
HOSTILE = Stage("h", "finetune", "x", {}, label="finetune [red]x\x1b[31m")


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, force_terminal=terminal, width=120), stream


def play(shown: progress.Bars | progress.Lines) -> None:
    """A run of three stages: one done, one failed, one that another driver made."""
    with shown:
        shown.begin(2)
        shown.more(1)
        for stage in (STAGE, HOSTILE):
            shown.started(stage)
            shown.event(stage, {"event": "progress", "done": 3, "total": 20})
            shown.event(stage, {"event": "note", "text": "two files left out"})
        shown.ended(STAGE, "busy", 0.1, "")
        shown.ended(STAGE, "done", 2.5, "")
        shown.ended(HOSTILE, "failed", 1.0, "RuntimeError: [bold]no\x07")
        shown.ended(STAGE, "there", 0.0, "")


def test_lines_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    place, stream = console(terminal=False)
    shown = progress.make(place)
    assert isinstance(shown, progress.Lines)
    play(shown)
    assert stream.getvalue().splitlines() == [
        "2 stages to run",
        "        finetune bot [plaza, seed 0]: 3 of 20",
        "note: finetune bot [plaza, seed 0]: two files left out",
        "        finetune [red]x\\x1b[31m: 3 of 20",
        "note: finetune [red]x\\x1b[31m: two files left out",
        "[1/3] finetune bot [plaza, seed 0]: done in 2.5 s",
        "[2/3] finetune [red]x\\x1b[31m: failed: RuntimeError: [bold]no\\x07",
        "[3/3] finetune bot [plaza, seed 0]: there",
    ]


def test_bars_on_a_terminal() -> None:
    place, stream = console(terminal=True)
    shown = progress.make(place)
    assert isinstance(shown, progress.Bars)
    play(shown)
    text = stream.getvalue()
    assert "all stages" in text
    assert "3/3" in text
    assert "two files left out" in text
    assert "failed: RuntimeError: [bold]no" in text  # shown as text, not obeyed
    assert "\x07" not in text


def test_nothing_to_run() -> None:
    for terminal in (True, False):
        place, stream = console(terminal=terminal)
        with progress.make(place) as shown:
            shown.begin(0)
        assert "nothing to run" in stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", [1, 2, 10, 80, 200])
def test_progress_in_things_that_cannot_be_drawn(terminal: bool, width: int) -> None:
    odd: tuple[Any, ...] = (float("nan"), float("inf"), "a", None, -1, 10**400, True, [1])
    stage = Stage("k", "finetune", "x", {}, label="finetune x [tiny, seed 0]")
    stream = io.StringIO()
    with progress.make(Console(file=stream, force_terminal=terminal, width=width)) as shown:
        shown.begin(1)
        shown.started(stage)
        for value in odd:
            shown.event(stage, {"event": "progress", "done": value, "total": 10})
            shown.event(stage, {"event": "progress", "done": 1, "total": value})
        shown.event(stage, {"event": "progress", "done": 3, "total": 10})
        shown.ended(stage, "done", 1.0, "")
    assert "nan" not in stream.getvalue()


class Found:
    """The estimates and best rows of a run, in numbers of calls."""

    estimates = 0

    def remaining(self) -> Remaining:
        self.estimates += 1
        return Remaining(600.0, 0)

    def best(self, key: str) -> list[Best]:
        return [Best("plaza", "cosine", "b\x1bt", "no labels", "mAP", "%", 0.5, 1, 3)]


@pytest.mark.parametrize("width", [80, 200])
def test_the_terminal_shows_loss_remaining_time_and_the_best_row(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    place = Console(file=stream, force_terminal=True, width=width)
    monkeypatch.setattr(progress, "ESTIMATED", 0.0)
    found = Found()
    with progress.make(place) as shown:
        assert isinstance(shown, progress.Bars)
        assert isinstance(shown, Follower)
        shown.begin(4)
        shown.follow(found.remaining, found.best)
        shown.started(STAGE)
        shown.event(STAGE, {"event": "log", "metrics": {"loss": 0.51234, "epoch": 3.0}})
        shown.event(STAGE, {"event": "progress", "done": 3, "total": 20})
        shown.event(STAGE, {"event": "log", "metrics": "odd"})
        shown.progress.refresh()
        shown.event(STAGE, {"event": "log", "metrics": {"loss": 0.51234}})
        shown.progress.refresh()
        shown.ended(STAGE, "done", 2.5, "")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "loss 0.512" in text
    assert "10 min left" in text
    assert "best so far: plaza: b\\x1bt, mAP 50.0 % (1 of 3 seeds; no labels)" in text
    assert max(map(len, re.split(r"[\r\n]+", text))) <= width
    assert found.estimates > 1


def test_lines_name_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    place, stream = console(terminal=False)
    with progress.make(place) as shown:
        shown.started(STAGE)
        shown.event(STAGE, {"event": "log", "metrics": {"loss": 0.51234}})
        shown.event(STAGE, {"event": "progress", "done": 3, "total": 20})
    assert stream.getvalue() == f"        {STAGE.label}: 3 of 20, loss 0.512\n"
