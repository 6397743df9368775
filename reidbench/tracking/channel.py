"""Process of one tracker, and the messages to it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from reidbench.registry.plugins import one_line, printable

SOON = 3.0  # seconds of waiting for a tracker before a note
PATIENCE = 120.0  # seconds that a tracker may take for one message after a run


class Channel:
    """Starts a tracker's process and sends it messages from a thread, so that a slow tracker delays nothing.

    `note` receives the tracker's sentences, and one about its failure, after which messages are dropped.
    """

    def __init__(self, name: str, opening: dict[str, Any], note: Callable[[str], None]) -> None:
        self.name, self.note = name, note
        self.failed = False
        self.heard = 0.0  # when the tracker last processed a message
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._threads: list[threading.Thread] = []
        try:
            self._process = _started(self._output)
        except OSError as error:
            self._fail(f"its process could not be started: {error.strerror}")
            return
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._read)]
        for thread in self._threads:
            thread.start()
        self.send(opening)

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message, from any thread."""
        if not self.failed:
            self._messages.put(message)

    def finish(self) -> None:
        """Announce that no message follows."""
        self._messages.put(None)

    def close(self) -> None:
        """Wait until the tracker has processed all messages; kill it when it takes PATIENCE seconds for one."""
        if not self._threads:
            self._output.close()
            return
        self.heard = time.monotonic()
        try:
            if not self._ends_within(SOON):
                self.note(f"waiting for tracker {self.name}, which sends the rest of the run; Ctrl-C ends it")
            while not self._ends_within(SOON):
                if time.monotonic() - self.heard > PATIENCE:
                    self._fail(f"it has processed nothing for {PATIENCE:.0f} seconds")
                    break
        finally:
            if self._process.poll() is None:
                self._kill()
            for thread in self._threads:
                thread.join()
            self._output.close()

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _write(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError), stdin:  # `_read` reports why the process is gone
            while (message := self._messages.get()) is not None:
                stdin.write(json.dumps(message).encode() + b"\n")
                stdin.flush()

    def _read(self) -> None:
        """Pass on the tracker's sentences until its process ends; report a failure."""
        stdout = self._process.stdout
        assert stdout is not None
        with stdout:
            for line in stdout:
                self.heard = time.monotonic()
                said = json.loads(line)
                if "note" in said:
                    self.note(printable(f"{self.name}: {said['note']}"))
                elif "failed" in said:
                    self._fail(said["failed"])
        code = self._process.wait()
        if code:
            self._fail(self._death(code))
        self._kill()

    def _death(self, code: int) -> str:
        self._output.seek(0)
        last = self._output.read().decode(errors="replace")[-10_000:]
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"its process {how}" + (f": {one_line(last)}" if last.strip() else "")

    def _fail(self, reason: str) -> None:
        """Report the first failure."""
        if not self.failed:
            self.failed = True
            self.note(printable(f"tracker {self.name} failed, and the run continues without it: {reason}"))

    def _kill(self) -> None:
        """Kill what is left of the tracker's process and its children."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _started(output: IO[bytes]) -> subprocess.Popen[bytes]:
    paths = [os.path.abspath(path or ".") for path in sys.path]  # noqa: PTH100 - import paths are text
    return subprocess.Popen(
        [sys.executable, "-m", "reidbench.tracking.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=output,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))},
        start_new_session=True,  # a Ctrl-C for the run is not one for the tracker, and its children end with it
    )
