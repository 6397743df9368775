"""Executor interface, the only part of executors that the runner knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from reidbench.stages.spec import StageSpec

OnEvent = Callable[[str, dict[str, Any]], None]  # (stage key, event)
QUEUED, STARTED = "queued", "started"  # events of an executor whose stages may wait in a queue before they run


@dataclass(frozen=True)
class Settings:
    """Settings of a run for its executor.

    `jobs` is the number of concurrent stages, None for the executor's default. Each stage may use `time_limit` seconds
    and `memory_limit` GiB; None means no limit. An executor that cannot apply a limit raises ReidbenchError.
    """

    jobs: int | None = None
    time_limit: float | None = None
    memory_limit: float | None = None


@dataclass(frozen=True)
class OneResult:
    """Result of a stage.

    done, busy (another driver makes it), damaged (the artifact with the key `damaged` has wrong bytes), failed, or
    stopped at a checkpoint after `wind_down`. A failed one may have `died`: it was killed from outside and may succeed
    on a retry.
    """

    key: str
    status: Literal["done", "busy", "damaged", "failed", "stopped"]
    error: str = ""
    traceback: str = ""
    damaged: str = ""
    died: bool = False


class Executor(Protocol):
    """Takes specs, returns results. Plugins add executors by the hook `reidbench_executors`.

    A stage must run in the way of `reidbench.stages.run`, which claims its key, so no stage runs twice at once, and
    publishes its artifact. If a stage may wait in a queue, the executor sends the events `{"event": "queued"}` after
    `submit` and `{"event": "started"}` when the stage runs; the time between is not time of the stage.

    At the first Ctrl-C the runner calls `wind_down` if the executor `winds_down`, and continues to call `wait`;
    otherwise, and at the second Ctrl-C, it calls `stop`.
    """

    slots: int
    winds_down: bool

    def submit(self, spec: StageSpec, on_event: OnEvent) -> None:
        """Start a stage. Called only while fewer than `slots` are running."""

    def wait(self) -> Iterable[OneResult]:
        """Return the stages that ended; waits briefly if there are none."""

    def wind_down(self) -> None:
        """Let running stages finish, or return as stopped at a checkpoint."""

    def stop(self) -> None:
        """Kill everything that runs, immediately."""
