"""Trackers of one run: they follow its display, and receive its rows at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from reidbench.execution.remaining import Remaining
from reidbench.execution.runner import Display, Follower
from reidbench.execution.standings import Best
from reidbench.matrix.benchmark import Benchmark, Choice
from reidbench.matrix.stage import Plan, Stage
from reidbench.registry.plugins import Registry
from reidbench.report import Leaderboard, write
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store
from reidbench.store.logs import logged, step_of

from .channel import Channel
from .facts import StageFacts, is_tracked, row_facts, run_facts

ENDS = {"done": "done", "failed": "failed", "stopped": "stopped", "damaged": "stopped"}  # by status of a stage's result


class Trackers:
    """Sends the events of a run to all its trackers. A failing tracker is reported once, by `note`."""

    def __init__(self, channels: Sequence[Channel], store: Store, note: Callable[[str], None]) -> None:
        self.channels, self.store, self.note = channels, store, note
        self.done: set[str] = set()  # stages whose entry is complete

    def tell(self, call: str, **facts: Any) -> None:
        """Send a call to all trackers."""
        for channel in self.channels:
            channel.send({"call": call, **facts})

    def following(self, display: Display, plan: Plan) -> Display:
        """Return a display that also informs the trackers about the stages of a plan."""
        return Followed(display, plan, self) if self.channels else display

    def conclude(self, plan: Plan, board: Leaderboard) -> None:
        """Send cached stages of a plan, the results of its rows, and the end of the run."""
        if not self.channels:
            return
        facts = StageFacts(plan, self.store)
        for key, stage in plan.stages.items():
            if is_tracked(stage) and key not in self.done:
                self._cached(facts, stage)
        self.tell("rows", rows=[asdict(row_facts(plan, result)) for result in board.results])
        lost = any(result.status not in ("ok", "not-applicable") for result in board.results)
        self.tell("ended", status="failed" if lost else "finished", leaderboard=write(board, "md"))

    def _cached(self, facts: StageFacts, stage: Stage) -> None:
        """Send the entry of a stage that this run did not execute, from the store."""
        if not self.store.has(stage.key):  # it failed, or no missing result needed it
            return
        try:
            artifact = self.store.manifest(stage.key)
            lines = logged(artifact)
        except KeyError:  # another driver has just removed it
            return
        except (BadArtifact, OSError) as error:
            self.note(f"{stage.label} is not tracked: {error}")
            return
        self.tell("stage_started", stage=asdict(facts.of(stage)))
        for number, (step, values) in enumerate(lines):
            self.tell("logged", key=stage.key, line=number, step=step, metrics=values)
        seconds = artifact.manifest.get("seconds")
        self.tell("stage_ended", key=stage.key, status="cached", seconds=seconds, error="")


@contextmanager
def tracking(
    chosen: Sequence[Choice],
    benchmark: Benchmark,
    store: Store,
    registry: Registry,
    note: Callable[[str], None],
) -> Iterator[Trackers]:
    """Start the chosen trackers, and wait for them at the end of the block; unless concluded, it was interrupted."""
    channels: list[Channel] = []
    try:
        for choice in chosen:
            opening = {
                "name": choice.name,
                "params": choice.params.model_dump(mode="json"),
                "without": sorted(registry.disabled),
                "run": asdict(run_facts(benchmark, store, registry)),
            }
            channels.append(Channel(choice.name, opening, note))
        yield Trackers(channels, store, note)
    finally:
        for channel in channels:
            channel.finish()
        for channel in channels:
            channel.close()


class Followed:
    """Display of one plan's run that also informs trackers.

    A stage's entry opens with its first event, since another driver may already be running it.
    """

    def __init__(self, display: Display, plan: Plan, trackers: Trackers) -> None:
        self.display, self.trackers = display, trackers
        self.facts = StageFacts(plan, trackers.store)
        self._open: set[str] = set()
        self._lock = threading.Lock()  # events of stages come from several threads

    def begin(self, stages: int) -> None:
        """Show the number of stages to run."""
        self.display.begin(stages)

    def more(self, stages: int) -> None:
        """Add stages that run again."""
        self.display.more(stages)

    def started(self, stage: Stage) -> None:
        """Show that a stage starts."""
        self.display.started(stage)

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Show an event of a running stage, and send its log lines."""
        self.display.event(stage, event)
        if not is_tracked(stage):
            return
        self._opened(stage)
        if event["event"] == "log":
            line, metrics = event["line"], event["metrics"]
            try:
                step = step_of(line, metrics)
            except ValueError:  # not a step; the stage's log keeps it
                step = line
            self.trackers.tell("logged", key=stage.key, line=line, step=step, metrics=metrics)

    def ended(self, stage: Stage, status: str, seconds: float, error: str) -> None:
        """Show that a stage has ended, and close its entry."""
        self.display.ended(stage, status, seconds, error)
        if not is_tracked(stage) or (status not in ENDS and stage.key not in self._open):
            return
        self._opened(stage)
        self._open.discard(stage.key)
        if status == "done":
            self.trackers.done.add(stage.key)
        words = {
            "status": ENDS.get(status, "stopped"),
            "seconds": seconds,
            "error": error if status == "failed" else "",
        }
        self.trackers.tell("stage_ended", key=stage.key, **words)

    def _opened(self, stage: Stage) -> None:
        with self._lock:
            if stage.key not in self._open:
                self._open.add(stage.key)
                self.trackers.tell("stage_started", stage=asdict(self.facts.of(stage)))

    def note(self, text: str) -> None:
        """Show a note."""
        self.display.note(text)

    def follow(self, remaining: Callable[[], Remaining], best: Callable[[str], list[Best]]) -> None:
        """Pass on the estimates to a display that shows them."""
        if isinstance(self.display, Follower):
            self.display.follow(remaining, best)
