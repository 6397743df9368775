"""Executor in this process, one stage after another: for debugging, and for systems that cannot start processes."""

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
from reidbench.store.artifact import DamagedArtifact

from .leftovers import no_leftovers
from .surroundings import restored


class Inline:
    """Runs one stage at a time in this process, whose state is restored after each (see `surroundings`).

    Processes that a stage leaves running are killed after it (see `leftovers`).
    """

    slots = 1
    winds_down = False  # the running stage is a call in this process, and Ctrl-C ends it

    def __init__(self) -> None:
        self._ended: list[OneResult] = []

    def submit(self, spec: StageSpec, on_event: OnEvent) -> None:
        """Run the stage now. Raises KeyboardInterrupt for Ctrl-C; one raised by a plugin is its stage's failure."""
        if spec.kind.torch:
            importlib.import_module("torch")  # before its threads are limited and its settings recorded
        with no_leftovers(), restored():
            self._ended.append(_run(spec, on_event))

    def wait(self) -> Iterable[OneResult]:
        """Return the stages that ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def wind_down(self) -> None:
        """Do nothing; no stage runs between calls."""

    def stop(self) -> None:
        """Do nothing; no stage runs between calls."""


def _run(spec: StageSpec, on_event: OnEvent) -> OneResult:
    key = spec.stage.key
    interrupted = _watch_interrupts()
    try:
        run_stage(spec, lambda event: on_event(key, event))
    except Busy:
        return OneResult(key, "busy")
    except DamagedArtifact as error:
        return OneResult(key, "damaged", str(error), damaged=error.key)
    except BaseException as error:  # any exception of a plugin affects one cell only
        if isinstance(error, KeyboardInterrupt) and interrupted():
            raise
        return OneResult(key, "failed", describe(error), traceback.format_exc())
    return OneResult(key, "done")


def _watch_interrupts() -> Callable[[], bool]:
    """Return a function that returns whether Ctrl-C was pressed since; the previous handler is still called."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        return lambda: False  # in this thread no signal becomes a KeyboardInterrupt
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        before(number, frame)

    signal.signal(signal.SIGINT, note)  # until `restored` restores the previous handler
    return lambda: came
