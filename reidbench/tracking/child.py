"""Process of a tracker: `python -m reidbench.tracking.child` reads messages as JSON lines and calls the tracker.

Standard output takes what it reports to the run, as JSON lines; what the tracker prints goes to standard error. When
the input ends before the run did, the run was interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from reidbench.hookspecs import TRACKER
from reidbench.registry import plugins
from reidbench.trackers import TrackContext, TrackedRow, TrackedRun, TrackedStage, Tracker

Say = Callable[[dict[str, str]], None]
Fact = TypeVar("Fact", TrackedRun, TrackedStage, TrackedRow)


def main() -> None:
    """Serve the run that started this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides when to end
    reports = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(report: dict[str, str]) -> None:
        reports.write(json.dumps(report) + "\n")
        reports.flush()

    try:
        serve(map(json.loads, sys.stdin), say)
    except BaseException as error:  # any exception of a plugin ends only its tracker
        traceback.print_exc()
        say({"failed": plugins.describe(error)})
    os._exit(0)  # all is sent or reported, and a plugin's threads and exit handlers might wait for its server


def serve(messages: Iterable[dict[str, Any]], say: Say) -> None:
    """Build the tracker that the first message names, and pass on the others."""
    messages = iter(messages)
    opening = next(messages)
    component = plugins.load(frozenset(opening["without"])).get(TRACKER, opening["name"])
    run = _fact(TrackedRun, opening["run"])
    params = component.params(**opening["params"])
    tracker: Tracker = component.load()(TrackContext(params, run, lambda text: say({"note": str(text)})))
    served = _Served(tracker)
    for message in messages:
        getattr(served, message.pop("call"))(**message)
        say({})  # it makes progress
    served.over()


def _fact(kind: type[Fact], values: dict[str, Any]) -> Fact:
    """Return a fact from JSON values, which have lists for tuples."""
    built: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in values.items()}
    return kind(**built)


class _Served:
    """Calls a tracker with the facts of messages."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.open: dict[str, TrackedStage] = {}
        self.done = False

    def stage_started(self, stage: dict[str, Any]) -> None:
        found = _fact(TrackedStage, stage)
        self.open[found.key] = found
        self.tracker.stage_started(found)

    def logged(self, key: str, line: int, step: int, metrics: dict[str, float]) -> None:
        self.tracker.logged(self.open[key], line, step, metrics)

    def stage_ended(self, key: str, status: str, seconds: float | None, error: str) -> None:
        self.tracker.stage_ended(self.open.pop(key), status, seconds, error)

    def rows(self, rows: list[dict[str, Any]]) -> None:
        self.tracker.rows([_fact(TrackedRow, row) for row in rows])

    def ended(self, status: str, leaderboard: str) -> None:
        for key in list(self.open):
            self.stage_ended(key, "stopped", None, "")
        self.done = True
        self.tracker.ended(status, leaderboard)

    def over(self) -> None:
        """End a run that ended without a word."""
        if not self.done:
            self.ended("interrupted", "")


if __name__ == "__main__":
    main()
