"""Interface of trackers: the facts of a run, its stages and its rows, and the methods that receive them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from .components import Params

P_co = TypeVar("P_co", bound=Params, covariant=True)
Scalar = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """One run of a matrix file: what is to run, and with what.

    `started` is its time in UTC, ISO 8601. `versions` are those of reidbench, Python and torch, and of each plugin
    from another distribution.
    """

    title: str
    file: str
    store: str
    started: str
    versions: Mapping[str, str] = field(default_factory=dict)
    methods: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrackedStage:
    """One training, selection or preparation with one seed.

    `key` identifies its result: a resumed, repeated or shared stage has the same key, so a tracker continues the entry
    that it has for a key. `params` are the component's parameters, its network and its image size by dotted name,
    without secrets. `methods` and `tasks` are those of all rows that it serves. `data` are its data sets by role,
    `parents` the keys of the stages whose results it reads. `links` are paths of its result and its log; the result
    exists once the stage is done.
    """

    key: str
    label: str
    kind: str
    use: str
    seed: int
    params: Mapping[str, Scalar] = field(default_factory=dict)
    methods: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrackedRow:
    """One result: a method on a task by an evaluator, with its seeds, as in the tables.

    `status` is ok, failed, blocked, not-applicable or missing, and `error` the reason. `metrics` are the evaluator's
    values, fractions where the tables print %. `stage` is the key of the last stage that trained the row's network; ""
    for rows of several networks and for features from files, which belong to no stage.
    """

    method: str
    task: str
    evaluator: str
    seed: int | None
    pretrain_seed: int | None
    status: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    protocol: str = ""
    key: str = ""
    stage: str = ""


@dataclass(frozen=True)
class TrackContext(Generic[P_co]):
    """Argument of a tracker's target: its options, the run, and `note`, which shows a sentence to the user."""

    params: P_co
    run: TrackedRun
    note: Callable[[str], None]


class Tracker:
    """Receives the events of one run, in order, in a separate process. Every method may be left out.

    An exception in any method ends this tracker: the run reports it once and continues.
    """

    def stage_started(self, stage: TrackedStage) -> None:
        """Open the entry of a stage. A stage whose result was cached is opened after all others ended."""

    def logged(self, stage: TrackedStage, line: int, step: int, metrics: Mapping[str, float]) -> None:
        """Take one line of a stage's log, such as the means of an epoch: losses, learning rate.

        `line` counts the lines of the stage from 0, also over restarts; `step` is the line's epoch or round, otherwise
        `line`. A stage that resumes, or starts again, repeats the lines that it had logged before.
        """

    def stage_ended(self, stage: TrackedStage, status: str, seconds: float | None, error: str) -> None:
        """Close the entry of a stage.

        `status` is done, cached (made by another run), failed with an `error`, or stopped: interrupted, and resumable.
        `seconds` is the time in this run, or of a cached stage in the run that made it; None if unknown.
        """

    def rows(self, rows: Sequence[TrackedRow]) -> None:
        """Take all results of the run's rows, after all stages ended. An interrupted run has none."""

    def ended(self, status: str, leaderboard: str) -> None:
        """Close the run: finished, failed (some rows have no result), or interrupted. The leaderboard is Markdown.

        The process ends when this returns, so it waits for everything that is still to be sent.
        """
