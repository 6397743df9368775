"""What may go wrong in a plugin, one function each."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path


def nan_features(ctx):
    """After training."""


def error(ctx):
    raise ValueError("it \x1b[31mwent\n wrong")


def interrupt(ctx):
    raise KeyboardInterrupt


def sleep(ctx):
    time.sleep(3600)


def hang_in_c(ctx):
    import re

    re.match("(a+)+$", "a" * 64 + "b")  # takes for ever, and keeps the interpreter's lock


def leave_quietly(ctx):
    os._exit(0)


def leave(ctx):
    os._exit(9)


def crash(ctx):
    import ctypes
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def unknown_signal(ctx):
    os.kill(os.getpid(), signal.SIGRTMIN + 3)


def leak(ctx):
    kept = []
    for _ in range(40):  # 5 GiB at most, should nobody stop it
        kept.append(b"x" * (128 << 20))
        time.sleep(0.05)


def leak_in_a_child(ctx):
    if os.fork() == 0:
        os.setsid()
        leak(ctx)
        os._exit(0)
    time.sleep(3600)


def child_that_stays(ctx):
    """It has the events' pipe open and outlives its parent."""
    child = os.fork()
    if child == 0:
        time.sleep(3600)
    with Path(os.environ["FAULTS_LOG"]).open("a") as log:
        log.write(f"child {child}\n")
    os._exit(7)


def half_a_line(ctx):
    """Killed in the middle of an event."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if int(name) > 2 and "pipe" in str(Path("/proc/self/fd", name).readlink()):
                os.write(int(name), b'no event\n[1]\n{"event": "progr')
    os.kill(os.getpid(), signal.SIGKILL)


def thread_that_stays(ctx):
    """The stage is made; its process would stay."""
    threading.Thread(target=time.sleep, args=(3600,)).start()
