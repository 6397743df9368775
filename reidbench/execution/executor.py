"""What an executor is: the runner knows this, and none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from reidbench.stages.spec import StageSpec

OnEvent = Callable[[str, dict[str, Any]], None]  # (stage key, event)


@dataclass(frozen=True)
class OneResult:
    """How a stage ended.

    done, busy (another driver makes it), damaged (the bytes of the artifact with the key `damaged` are wrong), failed,
    or stopped at a checkpoint after `wind_down`. A failed one may have `died`: ended from outside, so that it
    may well succeed when it is tried again.
    """

    key: str
    status: Literal["done", "busy", "damaged", "failed", "stopped"]
    error: str = ""
    traceback: str = ""
    damaged: str = ""
    died: bool = False


class Executor(Protocol):
    """Takes specs, gives results.

    At the first Ctrl-C the runner calls `wind_down` where the executor `winds_down`, and goes on to call `wait`;
    elsewhere, and at the second Ctrl-C, it calls `stop`.
    """

    slots: int
    winds_down: bool

    def submit(self, spec: StageSpec, on_event: OnEvent) -> None:
        """Start a stage. Called only while fewer than `slots` are running."""

    def wait(self) -> Iterable[OneResult]:
        """The stages that ended; waits a moment when none has."""

    def wind_down(self) -> None:
        """Let running stages go on to their end, or to where they come back as stopped."""

    def stop(self) -> None:
        """End everything that runs, now."""
