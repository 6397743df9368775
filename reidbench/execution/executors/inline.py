"""Stages in this process, one after another: for debugging, and where processes cannot be started."""

from __future__ import annotations

import importlib
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

from reidbench.stages.run import TORCH_FREE, Busy, describe, run_stage
from reidbench.store.artifact import DamagedArtifact

from .base import OnEvent, Result
from .leftovers import no_leftovers
from .surroundings import restored


class Inline:
    """One stage at a time, in this process, which is as before after each of them (see `surroundings`).

    What a stage starts and leaves running is ended after it (see `leftovers`).
    """

    slots = 1

    def __init__(self) -> None:
        self._ended: list[Result] = []

    def submit(self, spec: Mapping[str, Any], on_event: OnEvent) -> None:
        """Run the stage now. Raises KeyboardInterrupt for Ctrl-C; one that a plugin raises is its stage's failure."""
        if spec["stage"]["kind"] not in TORCH_FREE:
            importlib.import_module("torch")  # before its threads are limited and its settings noted
        with no_leftovers(), restored():
            self._ended.append(_run(spec, on_event))

    def wait(self) -> Iterable[Result]:
        """The stages that ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """Nothing runs between calls."""


def _run(spec: Mapping[str, Any], on_event: OnEvent) -> Result:
    key = spec["stage"]["key"]
    interrupted = _watch_interrupts()
    try:
        run_stage(spec, lambda event: on_event(key, event))
    except Busy:
        return Result(key, "busy")
    except DamagedArtifact as error:
        return Result(key, "damaged", str(error), damaged=error.key)
    except BaseException as error:  # whatever a plugin raises costs one cell
        if isinstance(error, KeyboardInterrupt) and interrupted():
            raise
        return Result(key, "failed", describe(error), traceback.format_exc())
    return Result(key, "done")


def _watch_interrupts() -> Callable[[], bool]:
    """A function that says whether Ctrl-C has come since; the handler that was there is still called."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        return lambda: False  # here no signal becomes a KeyboardInterrupt
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        before(number, frame)

    signal.signal(signal.SIGINT, note)  # until `restored` puts the other back
    return lambda: came
