"""Process between a driver and its worker on Linux: when either ends, all processes started by the worker are killed.

`python -I -S guard.py PYTHON MODULE ARGUMENT...` runs `PYTHON -m reidbench.MODULE ARGUMENT...` and exits with the same
exit code or signal. It is the worker's subreaper: a child that detaches itself (setsid, a double fork) becomes a child
of this process instead of init, in any session, and is killed with the others. Standard input is a pipe that nothing is
written to: when it closes, the driver has ended.

`guard.py -- PROGRAM ARGUMENT...` guards any program, which has no input and writes to standard output only. On standard
error the guard reports why it could not start, or the number of processes left behind, which are killed.

It is run by path and imports nothing of reidbench, so it costs about ten milliseconds. Its command line does not
contain "reidbench.stages.run", so a search for workers by that name finds only workers. A forked worker (see `server`)
has a forked guard, which calls `adopt_orphans` and `attend`.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time

EASE = 0.2  # seconds for helper processes, like multiprocessing's resource tracker, to exit by themselves
KILLING = 10.0  # seconds for killed processes to disappear; one blocked in the kernel may take longer, or never end
PAUSE = 0.005
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
ORDERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
DEFAULT = (signal.SIGPIPE, signal.SIGXFSZ)  # signals that Python ignores and other programs do not
PROGRAM, NOT_STARTED = "--", 127


def main(arguments: list[str]) -> None:
    """Run a worker, or a program, and exit like it."""
    adopt_orphans()
    if arguments[0] == PROGRAM:
        leave(run_program(arguments[1:]))
    python, module, *rest = arguments
    command = [python, "-m", f"reidbench.{module}", *rest]
    # In a separate group: a plugin that changes its process group does not affect this process.
    worker = os.posix_spawn(python, command, os.environ, setpgroup=0, setsigdef=DEFAULT)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # only the worker uses the events' pipe
    leave(attend(worker))


def run_program(command: list[str]) -> int:
    """Run a program to its end, kill what it leaves behind, and report it. Returns the exit code, as `attend` does."""
    # The guard's own standard input shows that the driver is gone, and the driver reads the guard's standard error.
    streams = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, 1, 2)]
    try:
        program = os.posix_spawnp(command[0], command, os.environ, file_actions=streams, setpgroup=0, setsigdef=DEFAULT)
    except OSError as error:
        print(f"not started: {error.strerror}", file=sys.stderr)
        return NOT_STARTED
    code = watch(program)
    if code is None or not gone_within(EASE):
        if code is not None:
            print(f"left {len(children())}", file=sys.stderr)
        clear(KILLING)
    return 3 if code is None else code


def adopt_orphans() -> None:
    """Make orphaned descendants children of this process."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def attend(worker: int) -> int:
    """Watch until a worker ends, and kill what it leaves behind. Returns its exit code; 3 if the driver ended first."""
    code = watch(worker)
    if code is None or not gone_within(EASE):
        clear(KILLING)
    return 3 if code is None else code


def watch(worker: int) -> int | None:
    """Return the worker's exit code, like subprocess; None if the driver ended or this process was asked to exit."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *ORDERS):
        signal.signal(number, lambda *_: None)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(reading, select.POLLIN)
    while True:
        ended = reap()
        if worker in ended:
            return ended[worker]
        ready = [descriptor for descriptor, _ in poll.poll()]
        if 0 in ready or set(os.read(reading, 512)) & set(ORDERS):
            return None


def reap() -> dict[int, int]:
    """Return the exit codes, by pid, of the children that ended since the last call."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


def gone_within(seconds: float) -> bool:
    """Return whether all children end within this number of seconds."""
    until = time.monotonic() + seconds
    while True:
        reap()
        if not has_children():
            return True
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE)


def has_children() -> bool:
    """Return whether there are children, dead or alive."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def clear(seconds: float) -> None:
    """Kill the children, and their children, which become ours as orphans, until none are left."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for child in children():
            try:
                os.kill(child, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # the latter if it now belongs to another user
                continue
        if gone_within(PAUSE):
            return


def children() -> list[int]:
    """Return the child processes of this process."""
    own, found = str(os.getpid()), []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", errors="replace") as file:  # noqa: PTH123 - pathlib takes as long as all of this
                fields = file.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        if fields[1] == own:
            found.append(int(entry))
    return found


def leave(code: int) -> None:
    """Exit with the same exit code, or by the same signal without another core file."""
    if code < 0:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
