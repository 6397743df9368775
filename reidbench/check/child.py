"""Check components in a child process, so that one that crashes or exits is reported like any other failure.

One child checks many components, since importing torch takes seconds; after a crash another one checks the rest.
`python -m reidbench.check FILE` is the child: its task is pickled in FILE, and it writes JSON events.
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

TIMEOUT = 600.0  # default time limit of one step in seconds
LONGEST = 2e6  # largest timeout in seconds that the system supports

Digest = dict[str, object]


@dataclass
class Task:
    """Task of a child: components by kind and name, and a folder that the parent removes."""

    plugin: str
    components: list[tuple[str, str]]
    folder: Path
    examples: Mapping[str, Example] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    timeout: float = TIMEOUT


def lines(task: Task) -> Iterator[tuple[Line, Digest | None]]:
    """Yield a line for each component, with the digest of its result if it has one."""
    while task.components:
        done = 0
        for line, digest in _served(task):
            yield line, digest
            done += 1
        del task.components[:done]


def _served(task: Task) -> Iterator[tuple[Line, Digest | None]]:
    """Yield the lines of one child. After a crash the last line reports it."""
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
        except ValueError:  # truncated line: the child ended while writing
            return


class _Patience:
    """Kills a child if a step takes longer than `seconds`."""

    def __init__(self, pid: int, seconds: float) -> None:
        self.pid, self.seconds = pid, seconds
        self.exhausted = ""  # the error message once the child is killed
        self.timer: threading.Timer | None = None
        self.begin("")

    def begin(self, step: str) -> None:
        """Restart the timer at the start or the end of a step."""
        self.stop()
        self.timer = threading.Timer(self.seconds, self._end, (step or "the setup",))
        self.timer.daemon = True
        self.timer.start()

    def stop(self) -> None:
        """Stop the timer."""
        if self.timer is not None:
            self.timer.cancel()

    def _end(self, step: str) -> None:
        self.exhausted = f"{step} took longer than {self.seconds:g} s and was stopped; raise the limit with --timeout"
        end(self.pid)


def ending(code: int) -> str:
    """Return how a process ended, from its exit code as given by subprocess."""
    if code >= 0:
        return f"the process exited with code {code}"
    try:
        return f"the process was killed by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:  # real-time signals have no names
        return f"the process was killed by signal {-code}"


@contextmanager
def _started(task: Task) -> Iterator[tuple[subprocess.Popen[bytes], TextIO]]:
    """Yield a child and its events. The child and its descendants are killed when the block ends."""
    with tempfile.NamedTemporaryFile(dir=task.folder, suffix=".task") as file:
        pickle.dump(task, file)
        file.flush()
        reading, writing = os.pipe()
        try:
            process = subprocess.Popen(  # noqa: S603 - the current interpreter, own module
                guarded("check", file.name),
                stdin=subprocess.PIPE,  # closed when the parent dies, which stops the child
                stdout=2,  # a plugin's output must not mix with the report
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
    """Wait for a child to end, then kill its descendants, which may keep the event pipe open."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:  # already reaped, and its descendants killed
        return
    end(pid)
