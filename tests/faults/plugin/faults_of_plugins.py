"""Errors of plugins, one function each."""

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

LOG = os.environ.get("FAULTS_LOG", "")


def nan_features(ctx):
    """After training."""


def cannot_be_rebuilt(ctx):
    """After training."""


def error(ctx):
    raise ValueError("it \x1b[31mwent\n wrong")


class OwnBase(BaseException):
    pass


class Mute(Exception):
    def __str__(self):
        raise OwnBase("no words")


def own_base(ctx):
    raise OwnBase("my own words")


def cancelled(ctx):
    import asyncio

    raise asyncio.CancelledError("my own words")


def mute(ctx):
    raise Mute


def leave_by_exception(ctx):
    raise SystemExit(0)


def generator_exit(ctx):
    raise GeneratorExit("my own words")


def stop_iteration(ctx):
    raise StopIteration("my own words")


def group(ctx):
    raise BaseExceptionGroup("several", [KeyboardInterrupt(), ValueError("one")])


def surrogate(ctx):
    raise ValueError("half a character: \ud800")


class Sly(str):
    """Text that is not what it says."""

    def __str__(self):
        raise OwnBase("no words")

    __repr__ = __format__ = split = encode = __str__


def sly_words(ctx):
    raise ValueError(Sly("my own words"))


class Loud(Exception):
    def __str__(self):
        return Sly("loud words")


def loud(ctx):
    raise Loud


def nested(ctx):
    """Its causes go in a circle, and are many."""
    first = last = ValueError("my own words")
    for number in range(3000):
        last.__cause__ = ValueError(f"cause {number}")
        last = last.__cause__
    last.__cause__ = first
    raise first


def progress_of_infinity(ctx):
    ctx.progress(1, float("inf"))


def progress_of_too_much(ctx):
    ctx.progress(10**400, 1)


def log_of_sly_name(ctx):
    ctx.log({Sly("loss"): 1.0})


def leaves_manifest(ctx):
    (ctx.out / "manifest.json").write_text('{"mine": 1}')


def leaves_link(ctx):
    (ctx.scratch / "w").write_text("x")
    (ctx.out / "w").symlink_to(ctx.scratch / "w")


def progress_of_text(ctx):
    ctx.progress("half", 10)


def progress_of_nan(ctx):
    ctx.progress(float("nan"), 10)


def progress_of_nothing(ctx):
    ctx.progress(3, None)


def log_of_text(ctx):
    ctx.log({"loss": "low"})


def clusters_of_text(ctx):
    ctx.record_clusters(0, ["a", "b"])


def note_of_bytes(ctx):
    ctx.note(b"a sentence")


def numpy_progress(ctx):
    """Fine: it has numbers."""
    import numpy as np
    import torch

    ctx.progress(np.int64(1), torch.tensor(2))


def interrupt(ctx):
    raise KeyboardInterrupt


def ctrl_c(ctx):
    signal.raise_signal(signal.SIGINT)


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


def detached(word):
    """Starts a process that detaches itself: another session, and no parent of ours. Its pid, once the log has it."""
    reading, writing = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if os.fork() == 0:
            with Path(LOG).open("a") as log:
                log.write(f"{word} {os.getpid()}\n")
            os.write(writing, str(os.getpid()).encode())
            command = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(3600)"]
            os.execve(command[0], command, {})  # noqa: S606 - our own interpreter
        os._exit(0)
    os.waitpid(middle, 0)
    return int(os.read(reading, 20))


def detach_and_go_on(ctx):
    """The stage is made."""
    detached("child")


def detach_and_crash(ctx):
    detached("child")
    crash(ctx)


def detach_and_leak(ctx):
    detached("child")
    leak(ctx)


def detach_and_sleep(ctx):
    detached("child")
    time.sleep(3600)


def detach_and_kill_the_group(ctx):
    detached("child")
    os.killpg(0, signal.SIGKILL)


def keep_a_detached_child(ctx):
    """Raises when its own child dies with a sibling's."""
    own = detached("kept")
    until = time.monotonic() + 120
    while not (theirs := [int(line.split()[1]) for line in Path(LOG).read_text().splitlines() if "child" in line]) or (
        lives(theirs[0])
    ):
        if time.monotonic() > until:
            raise TimeoutError("the sibling's child does not end")
        time.sleep(0.01)
    if not lives(own):
        raise ChildProcessError("my own child was ended with it")


def lives(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
