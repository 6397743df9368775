"""How a worker's process starts: forked by a server that has imported what it needs, or as a fresh one.

On Linux a server is started with the first stage (see `server`). Elsewhere, where there is no /proc, and for stages
that compute on a GPU, each is a fresh `python -m reidbench.stages.run`: the driver of a GPU does not survive a fork.
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

END = 1.0  # seconds between looks at a process that has been killed
DEATHS = 3  # servers in a row that end before they have forked a worker, before no more is started


class Refused(Exception):
    """A server has not forked. The text says why it never will; it is empty where the server is gone."""


class Handle(Protocol):
    """A worker's process. Its guard, where it has one, leads a session that is its own."""

    @property
    def pid(self) -> int | None:
        """The leader of its session, once it runs."""

    def born(self, seconds: float) -> bool:
        """Whether it runs or has run; waits so many seconds for that. Raises Refused, and OSError as a fork does."""

    def poll(self) -> int | None:
        """Its exit code, as subprocess gives it, once it has ended."""

    def wait(self, seconds: float) -> int | None:
        """Its exit code, if it ends within so many seconds."""

    def end(self) -> None:
        """Kill it and whatever it started."""

    def bury(self) -> int:
        """Kill what is left of it, let go of it, and give its exit code."""


class Fresh:
    """A process that was started for one stage."""

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
        """It is."""
        return True

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Its exit code, if it ends within so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode

    def end(self) -> None:
        """Kill it and whatever it started."""
        end(self.pid)

    def bury(self) -> int:
        """Kill what is left of it, let go of it, and give its exit code."""
        end(self.pid)
        code = self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        return code


class Forked:
    """A process that a server forks. Its guard, from which all that is known of it comes, needs the server no more."""

    def __init__(self, server: Server, status: int, lifeline: int) -> None:
        self.pid: int | None = None  # of the guard
        self._server = server
        self._status = status
        self._lifeline = lifeline
        self._rest = b""
        self._code: int | None = None
        self._cleared = False  # by its guard, of all that it has started
        self._unborn: Exception | None = None
        self._lock = threading.Lock()

    def _listen(self, seconds: float) -> None:
        """Take note of what the guard or the server says within so many seconds."""
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
                self._code = -signal.SIGKILL  # nothing else ends a guard that has not said how its worker ended
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
        """Whether its guard has said that it runs. Raises Refused or OSError."""
        if self.pid is None:
            self._listen(seconds)
        if self._unborn:
            raise self._unborn
        return self.pid is not None

    def poll(self) -> int | None:
        """Its exit code, once its guard has said it or was killed."""
        self._listen(0)
        return self._code

    def wait(self, seconds: float) -> int | None:
        """Its exit code, if that is known within so many seconds."""
        until = time.monotonic() + seconds
        while self._code is None and (left := until - time.monotonic()) > 0:
            self._listen(left)
        return self._code

    def end(self) -> None:
        """Kill it and whatever it started; where it does not run yet, the server that has not forked it."""
        self._listen(0)
        if self.pid is None and self._code is None:
            self._server.end()
            self._listen(END)  # which it says, or its guard, as far as that had got
        if self.pid is not None and self._code is None:
            end(self.pid)

    def bury(self) -> int:
        """Kill what is left of it, let go of it, and give its exit code.

        Where its guard has said that it ended nothing is left, and the guard leaves as it is let go of.
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
    """The process that forks workers, seen from the driver. It ends with the driver."""

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
        """Whether it can be asked."""
        return self._process.poll() is None

    def fork(self, file: Path, log: BinaryIO, events: int, threads: int) -> Forked:
        """Ask for a worker. Raises OSError where the server is gone."""
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
        """Kill it. Workers that it has forked go on."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._asked.close()


class Starter:
    """Starts workers, by a server where that can be; `forks=False` has each a fresh process."""

    def __init__(self, forks: bool = True) -> None:
        self._forks = forks and sys.platform == "linux" and sees_processes()
        self._server: Server | None = None
        self._made_for: tuple[dict[str, str], str] | None = None
        self._deaths = 0

    def start(self, spec: StageSpec, file: Path, log: BinaryIO, events: int) -> Handle:
        """A worker for a spec, which is in `file`; `events` is the descriptor for its words. Raises OSError."""
        if self._forks and not (spec.kind.torch and sees_gpus()):
            with contextlib.suppress(OSError):
                return self._living().fork(file, log, events, spec.threads)
        return Fresh(file, log, events, spec.threads)

    def _living(self) -> Server:
        """The server; another one where it is gone, or where this process's environment is no longer what it was."""
        variables = environment(1, -1)
        del variables[EVENTS]
        now = variables, os.getcwd()  # noqa: PTH109
        if self._server is None or not self._server.lives or self._made_for != now:
            self.end()
            self._server, self._made_for = Server(variables), now
        return self._server

    def succeeded(self) -> None:
        """A worker was born."""
        self._deaths = 0

    def refused(self, why: str) -> str:
        """A worker was not forked. What to tell the user where none will be, else nothing."""
        self._deaths += 1
        why = why or (f"the process that forks workers was gone {DEATHS} times" if self._deaths >= DEATHS else "")
        if not why or not self._forks:
            return ""
        self._forks = False
        return f"each stage is run by a process that imports all it needs by itself, which takes longer: {why}"

    def end(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.end()
            self._server = None
