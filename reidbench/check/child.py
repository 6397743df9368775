"""Components are tried in a process of their own: one that ends it, by a crash or an exit, is a line like any other.

One child serves many components, since importing torch takes seconds; after a crash another one goes on with the rest.
`python -m reidbench.check FILE` is the child: its task is pickled in FILE, its lines are JSON events.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from reidbench.execution.executors.limits import end, guarded
from reidbench.stages import worker

from .examples import Example
from .report import Line

TIMEOUT = 600.0  # seconds that one step of a check may take
LONGEST = 2e6  # more seconds than that the system cannot wait for at once

Digest = dict[str, object]


@dataclass
class Task:
    """What a child has to try: components by kind and name, in a folder that the parent clears away."""

    plugin: str
    components: list[tuple[str, str]]
    folder: Path
    examples: Mapping[str, Example] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    timeout: float = TIMEOUT


def lines(task: Task) -> Iterator[tuple[Line, Digest | None]]:
    """A line for each component in turn, with the digest of its result where it has one."""
    while task.components:
        done = 0
        for line, digest in _served(task):
            yield line, digest
            done += 1
        del task.components[:done]


def _served(task: Task) -> Iterator[tuple[Line, Digest | None]]:
    """The lines of one child; the last one may say how it ended."""
    waiting = list(task.components)
    with _started(task) as (process, events):
        patience = _Patience(process.pid, task.timeout)
        try:
            for event in _said(events):
                patience.begin(event.get("step", ""))
                if "step" in event:
                    continue
                waiting.pop(0)
                yield Line(event["kind"], event["name"], event["status"], event["text"]), event["digest"]
            code = process.wait()
        finally:
            patience.stop()
    if waiting:
        yield Line(*waiting[0], "failed", f"run: {patience.exhausted or ending(code)}"), None


def _said(events: TextIO) -> Iterator[dict[str, Any]]:
    for text in events:
        try:
            yield json.loads(text)
        except ValueError:  # half a line: it ended while it wrote
            return


class _Patience:
    """Kills a child that takes longer than `seconds` with one step."""

    def __init__(self, pid: int, seconds: float) -> None:
        self.pid, self.seconds = pid, seconds
        self.exhausted = ""  # the sentence, once it was killed
        self.timer: threading.Timer | None = None
        self.begin("")

    def begin(self, step: str) -> None:
        """A step begins, or what lies between the steps."""
        self.stop()
        self.timer = threading.Timer(self.seconds, self._end, (step or "getting ready",))
        self.timer.daemon = True
        self.timer.start()

    def stop(self) -> None:
        """Nothing is waited for any more."""
        if self.timer is not None:
            self.timer.cancel()

    def _end(self, step: str) -> None:
        self.exhausted = f"{step} took longer than {self.seconds:g} s, and was ended; --timeout gives more"
        end(self.pid)


def ending(code: int) -> str:
    """How a process ended, by the exit code that subprocess gives."""
    if code >= 0:
        return f"the process ended with exit code {code}"
    try:
        return f"ended by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:  # real-time signals have numbers only
        return f"ended by signal {-code}"


@contextmanager
def _started(task: Task) -> Iterator[tuple[subprocess.Popen[bytes], TextIO]]:
    """A child and its events. It is killed, with whatever it started, when the block is left in any way."""
    with tempfile.NamedTemporaryFile(dir=task.folder, suffix=".task") as file:
        pickle.dump(task, file)
        file.flush()
        reading, writing = os.pipe()
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                guarded("check", file.name),
                stdin=subprocess.PIPE,  # its end tells the child that we are gone
                stdout=2,  # what a plugin prints is no line of the report
                stderr=2,
                pass_fds=(writing,),
                env=worker.environment(1, writing),
                start_new_session=True,  # Ctrl-C reaches the parent, which kills it
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        with os.fdopen(reading) as events:
            try:
                threading.Thread(target=_end_the_rest, args=(process.pid,), daemon=True).start()
                yield process, events
            finally:
                end(process.pid)
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()


def _end_the_rest(pid: int) -> None:
    """When a child is dead, kill what it started: it may hold the pipe of the events open."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:  # it was waited for already, and its children killed
        return
    end(pid)
