"""Executor interface, the only part of executors that the runner knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from reidbench.stages.spec import StageSpec

OnEvent = Callable[[str, dict[str, Any]], None]  # (stage key, event)


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
    """Takes specs, returns results.

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
