"""Progress of a run in a notebook: one escaped block, and no other output."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from reidbench.api import display
from reidbench.execution import progress
from reidbench.execution.remaining import Remaining
from reidbench.execution.runner import Follower
from reidbench.execution.standings import Best
from reidbench.matrix.stage import Stage

STAGE = Stage("k", "finetune", "bot", {}, label="finetune bot [plaza, seed 0]")
HOSTILE = Stage("h", "finetune", "x", {}, label="finetune <script>x</script>\x1b[31m")


class Page:
    """IPython.display as far as it is used: what is shown, and each change of it."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []

    def show(self, one: Any, display_id: bool) -> Page:
        assert display_id
        self.update(one)
        return self

    def update(self, one: Any) -> None:
        self.shown.append((repr(one), one._repr_html_()))


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    """A notebook: IPython with a shell that has a kernel."""
    found = Page()
    ipython, shown = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    shown.display = found.show  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    monkeypatch.setattr(display, "EVERY", -1.0)
    return found


def test_a_run_in_a_notebook(page: Page) -> None:
    with display.display(True) as shown:
        shown.begin(2)
        shown.more(1)
        for stage in (STAGE, HOSTILE):
            shown.started(stage)
            shown.event(stage, {"event": "progress", "done": 3, "total": 20})
        shown.event(STAGE, {"event": "note", "text": "two files left out"})
        assert page.shown[-1][0].splitlines() == [
            "0 of 3 stages",
            "  finetune bot [plaza, seed 0]: 3 of 20",
            "  finetune <script>x</script>\\x1b[31m: 3 of 20",
            "note: finetune bot [plaza, seed 0]: two files left out",
        ]
        assert "<script>" not in page.shown[-1][1]
        assert '<progress value="3" max="20"></progress> finetune bot' in page.shown[-1][1]
        shown.ended(STAGE, "busy", 0.1, "")
        shown.ended(STAGE, "done", 2.5, "")
        shown.ended(HOSTILE, "failed", 1.0, "RuntimeError: <b>no</b>\x07")
    assert page.shown[-1][0].splitlines() == [
        "2 of 3 stages",
        "note: finetune bot [plaza, seed 0]: two files left out",
        "note: finetune <script>x</script>\\x1b[31m: failed: RuntimeError: <b>no</b>\\x07",
    ]
    assert "&lt;b&gt;no&lt;/b&gt;" in page.shown[-1][1]


def test_the_block_shows_losses_remaining_time_and_the_best_row(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "ESTIMATED", -1.0)
    best = [Best("plaza", "cosine", "<b>t", "no labels", "mAP", "%", 0.5, 1, 3)]
    with display.display(True) as shown:
        assert isinstance(shown, Follower)
        shown.begin(2)
        shown.follow(lambda: Remaining(120.0, 0), lambda key: best)
        shown.started(STAGE)
        shown.event(STAGE, {"event": "log", "metrics": {"loss": 0.51234}})
        shown.event(STAGE, {"event": "progress", "done": 3, "total": 20})
        assert page.shown[-1][0].splitlines() == [
            "0 of 2 stages; remaining: about 2 min",
            "  finetune bot [plaza, seed 0], loss 0.512: 3 of 20",
        ]
        shown.ended(STAGE, "done", 2.5, "")
        assert "best so far: plaza: <b>t, mAP 50.0 % (1 of 3 seeds; no labels)" in page.shown[-1][0]
        assert "plaza: &lt;b&gt;t" in page.shown[-1][1]


def test_progress_that_comes_often_changes_the_page_seldom(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "EVERY", 1e9)
    with display.display(True) as shown:
        shown.begin(1)
        shown.started(STAGE)
        before = len(page.shown)
        for done in range(1000):
            shown.event(STAGE, {"event": "progress", "done": done, "total": 1000})
        shown.event(STAGE, {"event": "progress", "done": float("nan"), "total": "x"})
        assert len(page.shown) == before
        shown.note("now")
        assert "999 of 1000" in page.shown[-1][0]


def test_nothing_to_run(page: Page) -> None:
    with display.display(True) as shown:
        shown.begin(0)
    assert page.shown[-1][0] == "nothing to run: all stages are cached"


@pytest.mark.parametrize("shell", [None, SimpleNamespace()])
def test_a_terminal_is_no_notebook(page: Page, shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPython in a terminal has a shell without a kernel."""
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: shell)
    with display.display(True) as shown:
        assert isinstance(shown, progress.Lines | progress.Bars)
    assert page.shown == []


def test_silence(capfd: pytest.CaptureFixture[str]) -> None:
    with display.display(False) as shown:
        shown.begin(1)
        shown.started(STAGE)
        shown.note("something")
        shown.ended(STAGE, "failed", 1.0, "no")
    assert capfd.readouterr() == ("", "")
