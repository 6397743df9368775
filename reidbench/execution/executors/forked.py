"""Code of a process forked by the server: a guard, which forks a worker, which runs a stage (see `server`)."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import multiprocessing.util
import os
import socket
import sys
import threading
import traceback
import weakref
from collections.abc import Iterator, Sequence, Set
from typing import Any, NoReturn

import numpy as np

from reidbench.registry.plugins import BUILTIN
from reidbench.stages import run, worker

from . import guard, titles

OURS = ("reidbench", *BUILTIN)
LIBRARIES = (
    "cv2",
    "faiss",
    "lightning_fabric",
    "numba",
    "numpy",
    "PIL",
    "safetensors",
    "scipy",
    "simplejpeg",
    "sklearn",
    "timm",
    "torch",
    "torchvision",
)


def guarded(request: dict[str, Any], given: Sequence[int], servers: Sequence[int], said: socket.socket) -> NoReturn:
    """Fork a worker, watch it, and report how it ends; exit once the driver has confirmed.

    `request` and `given` come from the driver; `servers` are descriptors of the server only. On `said` the worker
    reports its imports to the server.
    """
    try:
        log, events, status, lifeline = given
        os.setsid()
        guard.adopt_orphans()
        titles.retitle([sys.executable, "-m", "reidbench.execution.executors.guard"])
        for descriptor, place in ((lifeline, 0), (log, 1), (log, 2)):
            os.dup2(descriptor, place)
        for descriptor in {*servers, lifeline, log}:
            os.close(descriptor)
        try:
            pid = os.fork()
        except OSError as error:
            tell(status, failed=error.strerror)
            os._exit(1)
        if pid == 0:
            os.close(status)
            _work(request, events, said)
        tell(status, pid=os.getpid())
        os.close(events)
        tell(status, code=guard.attend(pid))
        os.read(0, 1)  # until then the driver may kill this process by its ID, and its session
    except BaseException:  # noqa: BLE001 - a bug of ours must not continue as a second server
        traceback.print_exc()
    finally:
        os._exit(1)


def _work(request: dict[str, Any], events: int, said: socket.socket) -> NoReturn:
    """Run the stage like a process started for it."""
    code = 1
    try:
        os.setpgid(0, 0)  # a plugin that changes its process group does not affect the guard
        command = ["-m", "reidbench.stages.run", request["file"]]
        titles.retitle([sys.executable, *command])
        _forget_endings()
        sys.argv = [str(run.__file__), request["file"]]
        os.environ |= {**dict.fromkeys(worker.THREAD_VARIABLES, str(request["threads"])), worker.EVENTS: str(events)}
        np.random.seed()  # otherwise all copies would draw the same numbers
        before = set(sys.modules)
        code = run.main([request["file"]])
        with contextlib.suppress(OSError):  # too long for one message, or the server is gone
            said.send(json.dumps([request.get("component"), list(_imported_since(before))]).encode())
    except BaseException:  # noqa: BLE001 - as the interpreter does at its end
        traceback.print_exc()
    finally:
        _leave(code)


def _imported_since(before: Set[str]) -> Iterator[str]:
    """Yield imported modules of reidbench and known libraries that the next worker for this component will need."""
    for name in list(sys.modules):
        package, *inner = name.split(".")
        public = len(inner) < 2 and not any(part.startswith("_") for part in inner)
        if name not in before and (package in OURS or (package in LIBRARIES and public)):
            yield name


def _forget_endings() -> None:
    """Drop exit handlers inherited from the server, such as removal of temporary folders; keep Python's own."""
    for finalizer in weakref.finalize._registry.values():  # type: ignore[attr-defined]
        finalizer.atexit = False
    atexit._clear()
    for ending in (logging.shutdown, multiprocessing.util._exit_function, weakref.finalize._exitfunc):  # type: ignore[attr-defined]
        atexit.register(ending)


def _leave(code: int) -> NoReturn:
    """Exit like the interpreter, but without freeing memory, which would first copy all of it."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads other than daemons
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def tell(status: int, **words: Any) -> None:
    """Report a status to the driver."""
    with contextlib.suppress(OSError):  # the driver is gone
        os.write(status, json.dumps(words).encode() + b"\n")
