"""Shared by processes that run stages: threads and seeds, events as JSON lines, ending with the parent process."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import numpy as np

from reidbench.registry.plugins import describe as describe

EVENTS = "REIDBENCH_EVENTS"  # descriptor for a worker's events
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

Emit = Callable[[dict[str, Any]], None]


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Limit every numeric library to `threads`, since their number changes sums of floats."""
    from threadpoolctl import threadpool_limits

    if "torch" not in sys.modules:
        with threadpool_limits(threads):
            yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)


def seed_torch(seed: int) -> None:
    """Seed the global generators, which methods should not need, and request deterministic kernels.

    Torch would also fill new memory then, to expose reads of uninitialised memory. Nothing reads any (see the tests),
    so filling is disabled.
    """
    import random

    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms also imports the compiler
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def default_device() -> str:
    """Return the accelerator if there is one; `CUDA_VISIBLE_DEVICES=` hides it."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def environment(threads: int, events: int) -> dict[str, str]:
    """Return this process's environment and import path for a worker, with the libraries' thread limits set."""
    paths = [os.path.abspath(path or ".") for path in sys.path]  # noqa: PTH100 - import paths are text
    return {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONHASHSEED": "0",
        "PYTHONIOENCODING": "utf-8:backslashreplace",  # a log accepts everything that a plugin prints, in any locale
        EVENTS: str(events),
    }


def writer(events: TextIO) -> Emit:
    """Return a function that writes events as JSON lines, from any thread."""
    lock = threading.Lock()

    def emit(event: dict[str, Any]) -> None:
        with lock:
            events.write(json.dumps(event) + "\n")
            events.flush()

    return emit


def leave_with_the_starter() -> None:
    """End this process when its standard input closes: an unused pipe, held open by the process that started it.

    On Linux the kernel also ends it, even while C code holds the interpreter lock and no thread can run.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        sys.stdin.read()
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()
