"""What an executor is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from reidbench.stages.spec import StageSpec

OnEvent = Callable[[str, dict[str, Any]], None]  # (stage key, event)


@dataclass(frozen=True)
class Result:
    """How a stage ended.

    done, busy (another driver makes it), damaged (the bytes of the artifact with the key `damaged` are wrong), failed,
    or stopped at a checkpoint after `wind_down`.
    """

    key: str
    status: str
    error: str = ""
    traceback: str = ""
    damaged: str = ""


class Executor(Protocol):
    """Takes specs, gives results.

    One that can also has `wind_down()`: the runner calls it at the first Ctrl-C, and running stages then go on to
    their end, or come back as stopped, while `wait` is called on. Without it the first Ctrl-C calls `stop`.
    """

    slots: int

    def submit(self, spec: StageSpec, on_event: OnEvent) -> None:
        """Start a stage. Called only while fewer than `slots` are running."""

    def wait(self) -> Iterable[Result]:
        """The stages that ended; waits a moment when none has."""

    def stop(self) -> None:
        """End everything that runs, now."""
