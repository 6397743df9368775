"""Start of worker processes: forked by a server that has imported what it needs, or as new processes.

On Linux a server starts with the first stage (see `server`). On other systems, without /proc, and for stages that
compute on a GPU, each is a new `python -m reidbench.stages.run`: a GPU driver does not survive a fork.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from reidbench.matrix.devices import sees_gpus
from reidbench.stages.spec import StageSpec
from reidbench.stages.worker import EVENTS, environment

from .limits import end, guarded, sees_processes
from .titles import ROOM

END = 1.0  # seconds between checks of a killed process
DEATHS = 3  # servers in a row that end before forking a worker, after which none is started


class Refused(Exception):
    """Raised when a server did not fork. The text is the reason why it never will, or empty if the server is gone."""


class Handle(Protocol):
    """Worker process. Its guard, if it has one, leads its session."""

    @property
    def pid(self) -> int | None:
        """Leader of its session, once it runs."""

    def born(self, seconds: float) -> bool:
        """Return whether it runs or has run, after at most these seconds. Raises Refused, and OSError like a fork."""

    def poll(self) -> int | None:
        """Return its exit code, like subprocess, once it has ended."""

    def wait(self, seconds: float) -> int | None:
        """Return its exit code if it ends within this number of seconds."""

    def end(self) -> None:
        """Kill it and everything it started."""

    def bury(self) -> int:
        """Kill what is left of it, release it, and return its exit code."""


class Fresh:
    """Process started for one stage."""

    def __init__(self, file: Path, log: BinaryIO, events: int, threads: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            guarded("stages.run", str(file)),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(events,),
            env=environment(threads, events),
            start_new_session=True,  # Ctrl-C reaches the driver, which decides
        )
        self.pid = self._process.pid

    def born(self, seconds: float) -> bool:
        """Return True; it runs at once."""
        return True

    def poll(self) -> int | None:
        """Return its exit code, once it has ended."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Return its exit code if it ends within this number of seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode

    def end(self) -> None:
        """Kill it and everything it started."""
        end(self.pid)

    def bury(self) -> int:
        """Kill what is left of it, release it, and return its exit code."""
        end(self.pid)
        code = self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        return code


class Forked:
    """Process forked by a server. Its guard reports on it and does not depend on the server."""

    def __init__(self, server: Server, status: int, lifeline: int) -> None:
        self.pid: int | None = None  # of the guard
        self._server = server
        self._status = status
        self._lifeline = lifeline
        self._rest = b""
        self._code: int | None = None
        self._cleared = False  # by its guard, of everything it started
        self._unborn: Exception | None = None
        self._lock = threading.Lock()

    def _listen(self, seconds: float) -> None:
        """Read reports of the guard or the server for at most this number of seconds."""
        with self._lock:
            poll = select.poll()
            poll.register(self._status, select.POLLIN)
            if self._code is not None or not poll.poll(seconds * 1000):
                return
            block = os.read(self._status, 1 << 12)
            *lines, self._rest = (self._rest + block).split(b"\n")
            for line in lines:
                self._note(json.loads(line))
            self._cleared = self._code is not None
            if not self._cleared and (not block or self._unborn):
                self._code = -signal.SIGKILL  # nothing else ends a guard that has not reported its worker's end
                if self.pid is None:
                    self._unborn = self._unborn or Refused()

    def _note(self, said: dict[str, Any]) -> None:
        self.pid = said.get("pid", self.pid)
        self._code = said.get("code")
        if "refused" in said:
            self._unborn = Refused(said["refused"])
        elif "failed" in said:
            self._unborn = OSError(0, said["failed"])

    def born(self, seconds: float) -> bool:
        """Return whether its guard has reported that it runs. Raises Refused or OSError."""
        if self.pid is None:
            self._listen(seconds)
        if self._unborn:
            raise self._unborn
        return self.pid is not None

    def poll(self) -> int | None:
        """Return its exit code, once its guard has reported it or was killed."""
        self._listen(0)
        return self._code

    def wait(self, seconds: float) -> int | None:
        """Return its exit code if it is known within this number of seconds."""
        until = time.monotonic() + seconds
        while self._code is None and (left := until - time.monotonic()) > 0:
            self._listen(left)
        return self._code

    def end(self) -> None:
        """Kill it and everything it started; if it does not run yet, the server that has not forked it."""
        self._listen(0)
        if self.pid is None and self._code is None:
            self._server.end()
            self._listen(END)  # the report on its end, by the server or its guard
        if self.pid is not None and self._code is None:
            end(self.pid)

    def bury(self) -> int:
        """Kill what is left of it, release it, and return its exit code.

        If its guard reported that it killed everything, nothing is left, and the guard exits when released.
        """
        self.end()
        while (code := self.wait(END)) is None:
            pass
        if self.pid is not None and not self._cleared:
            end(self.pid)
        os.close(self._lifeline)
        os.close(self._status)
        return code


class Server:
    """Driver's view of the process that forks workers, which ends with the driver."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._asked, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "reidbench.execution.executors.server", str(theirs.fileno()), ROOM]
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=variables,
                start_new_session=True,
            )
        self.pid = self._process.pid

    @property
    def lives(self) -> bool:
        """Return whether it accepts requests."""
        return self._process.poll() is None

    def fork(self, file: Path, log: BinaryIO, events: int, threads: int) -> Forked:
        """Request a worker. Raises OSError if the server is gone."""
        reading, status = os.pipe()
        theirs, lifeline = os.pipe()
        try:
            request = json.dumps({"file": str(file), "threads": threads}).encode()
            socket.send_fds(self._asked, [request], [log.fileno(), events, status, theirs])
        except OSError:
            os.close(reading)
            os.close(lifeline)
            raise
        finally:
            os.close(status)
            os.close(theirs)
        return Forked(self, reading, lifeline)

    def end(self) -> None:
        """Kill it. Workers that it forked continue."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._asked.close()


class Starter:
    """Starts workers, through a server if possible; with `forks=False` each in a new process."""

    def __init__(self, forks: bool = True) -> None:
        self._forks = forks and sys.platform == "linux" and sees_processes()
        self._server: Server | None = None
        self._made_for: tuple[dict[str, str], str] | None = None
        self._deaths = 0

    def start(self, spec: StageSpec, file: Path, log: BinaryIO, events: int) -> Handle:
        """Start a worker for the spec in `file`; `events` is the descriptor for its events. Raises OSError."""
        if self._forks and not (spec.kind.torch and sees_gpus()):
            with contextlib.suppress(OSError):
                return self._living().fork(file, log, events, spec.threads)
        return Fresh(file, log, events, spec.threads)

    def _living(self) -> Server:
        """Return the server; a new one if it is gone, or if this process's environment has changed."""
        variables = environment(1, -1)
        del variables[EVENTS]
        now = variables, os.getcwd()  # noqa: PTH109
        if self._server is None or not self._server.lives or self._made_for != now:
            self.end()
            self._server, self._made_for = Server(variables), now
        return self._server

    def succeeded(self) -> None:
        """Record that a worker started."""
        self._deaths = 0

    def refused(self, why: str) -> str:
        """Record that a worker was not forked. Returns a message for the user if none will be, otherwise ""."""
        self._deaths += 1
        why = why or (f"the process that forks workers ended {DEATHS} times" if self._deaths >= DEATHS else "")
        if not why or not self._forks:
            return ""
        self._forks = False
        return f"each stage runs in a new process that imports everything itself, which takes longer: {why}"

    def end(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.end()
            self._server = None
