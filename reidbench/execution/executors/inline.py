"""Stages in this process, one after another: for debugging, and where processes cannot be started."""

from __future__ import annotations

import importlib
import signal
import threading
import traceback
from collections.abc import Callable, Iterable
from types import FrameType

from reidbench.execution.executor import OneResult, OnEvent
from reidbench.stages.run import Busy, run_stage
from reidbench.stages.spec import StageSpec
from reidbench.stages.worker import describe
from reidbench.store.artifacts import DamagedArtifact

from .surroundings import restored


class Inline:
    """One stage at a time, in this process, which is as before after each of them (see `surroundings`)."""

    slots = 1
    winds_down = False  # the stage that runs is a call of this process, and Ctrl-C ends it

    def __init__(self) -> None:
        self._ended: list[OneResult] = []

    def submit(self, spec: StageSpec, on_event: OnEvent) -> None:
        """Run the stage now. Raises KeyboardInterrupt for Ctrl-C; one that a plugin raises is its stage's failure."""
        if spec.kind.torch:
            importlib.import_module("torch")  # before its threads are limited and its settings noted
        with restored():
            self._ended.append(_run(spec, on_event))

    def wait(self) -> Iterable[OneResult]:
        """The stages that ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def wind_down(self) -> None:
        """Nothing runs between calls."""

    def stop(self) -> None:
        """Nothing runs between calls."""


def _run(spec: StageSpec, on_event: OnEvent) -> OneResult:
    key = spec.stage.key
    interrupted = _watch_interrupts()
    try:
        run_stage(spec, lambda event: on_event(key, event))
    except Busy:
        return OneResult(key, "busy")
    except DamagedArtifact as error:
        return OneResult(key, "damaged", str(error), damaged=error.key)
    except BaseException as error:  # whatever a plugin raises costs one cell
        if isinstance(error, KeyboardInterrupt) and interrupted():
            raise
        return OneResult(key, "failed", describe(error), traceback.format_exc())
    return OneResult(key, "done")


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
