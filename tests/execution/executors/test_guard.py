"""The guard ends as its worker ends, and leaves nothing of it behind. Its workers here are bare scripts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reidbench.execution.executors.limits import GUARD
from reidbench.store.locks import process_start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="subreapers are Linux's")
LONGEST = 30.0  # seconds that anything here may take
DETACH = """
import os, signal, subprocess, sys, time
def detach():
    reading, writing = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.setsid()
        child = os.fork()
        if child == 0:
            time.sleep(60)
        os.write(writing, str(child).encode())
        os._exit(0)
    os.waitpid(middle, 0)
    print(os.read(reading, 20).decode(), flush=True)
"""


@contextmanager
def guarded(folder: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """A guard whose worker runs some code, as the module `ending` of a package that bears our name."""
    package = folder / "reidbench"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "ending.py").write_text(DETACH + code)
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD), sys.executable, "ending"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        text=True,
        start_new_session=True,
    )
    with guard:
        yield guard


def said(guard: subprocess.Popen[str]) -> str:
    """All that a worker printed, once no process has the pipe any more; the driver stays."""
    assert guard.stdout is not None
    out = guard.stdout.read()
    guard.wait(LONGEST)
    return out.strip()


def soon(what: Callable[[], bool]) -> bool:
    until = time.monotonic() + LONGEST
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(9)", 9),
        ("raise ValueError", 1),
        *((f"os.kill(os.getpid(), {number})", -number) for number in (9, 11, 15, signal.SIGRTMIN + 3)),
        ("os.killpg(0, 9)", -9),
    ],
)
def test_it_ends_by_the_same_code_or_signal(tmp_path: Path, ending: str, code: int) -> None:
    with guarded(tmp_path, f"detach()\n{ending}\n") as guard:
        out = said(guard)
    assert guard.returncode == code
    assert process_start(int(out)) is None


@pytest.mark.parametrize("how", ["the driver is gone", "it is asked to end"])
def test_all_ends_with_the_driver_and_when_it_is_told_to(tmp_path: Path, how: str) -> None:
    with guarded(tmp_path, "detach()\ndetach()\nprint(os.getpid(), flush=True)\ntime.sleep(3600)\n") as guard:
        assert guard.stdin is not None
        assert guard.stdout is not None
        pids = [int(guard.stdout.readline()) for _ in range(3)]
        assert all(process_start(pid) is not None for pid in pids)
        if how == "it is asked to end":
            guard.terminate()
        else:
            guard.stdin.close()
        guard.wait(LONGEST)
    assert guard.returncode == 3
    assert all(process_start(pid) is None for pid in pids)


def test_an_orphan_that_ends_is_no_zombie(tmp_path: Path) -> None:
    """The worker continues; detached and ended processes are reaped meanwhile."""
    code = "detach()\nsys.stdin.readline()\n"
    with guarded(tmp_path, code.replace("sys.stdin.readline()", "time.sleep(3600)")) as guard:
        assert guard.stdout is not None
        orphan = int(guard.stdout.readline())
        os.kill(orphan, signal.SIGKILL)
        assert soon(lambda: not Path(f"/proc/{orphan}").exists())
        assert guard.poll() is None
        guard.terminate()


def test_pythons_resource_tracker_tidies_up(tmp_path: Path) -> None:
    """It ends a moment after its process, and removes shared memory that this has forgotten."""
    code = (
        "from multiprocessing import shared_memory\n"
        "memory = shared_memory.SharedMemory(create=True, size=10)\n"
        "print(memory.name, flush=True)\n"
        "os._exit(0)\n"
    )
    with guarded(tmp_path, code) as guard:
        out = said(guard)
    assert guard.returncode == 0
    assert soon(lambda: not (Path("/dev") / "shm" / out).exists())
