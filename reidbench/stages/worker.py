"""What processes that run stages share: threads and seeds, events as JSON lines, an end with their starter."""

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

EVENTS = "REIDBENCH_EVENTS"  # the descriptor that a worker's events go to
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

Emit = Callable[[dict[str, Any]], None]


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Hold every numeric library to `threads`, since their number changes sums of floats."""
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
    """Seed the global generators, which methods should not need, and ask for repeatable kernels.

    Torch also fills new memory then, which shows who reads what nobody has written. Nobody does (see the tests), so
    that filling it is left out.
    """
    import random

    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms does the same and imports the compiler
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def default_device() -> str:
    """The accelerator if there is one; `CUDA_VISIBLE_DEVICES=` hides it."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def environment(threads: int, events: int) -> dict[str, str]:
    """This process's environment and import path for a worker, with the libraries' threads set before they start."""
    paths = [os.path.abspath(path or ".") for path in sys.path]  # noqa: PTH100 - import paths are text
    return {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONHASHSEED": "0",
        "PYTHONIOENCODING": "utf-8:backslashreplace",  # a log takes whatever a plugin prints, in any locale
        EVENTS: str(events),
    }


def writer(events: TextIO) -> Emit:
    """A function that writes events, a JSON line each, from any thread."""
    lock = threading.Lock()

    def emit(event: dict[str, Any]) -> None:
        with lock:
            events.write(json.dumps(event) + "\n")
            events.flush()

    return emit


def leave_with_the_starter() -> None:
    """End this process when its standard input ends: a pipe that nobody writes to, held by its starter.

    On Linux the kernel ends it too, even while some C code holds the interpreter's lock and no thread can look.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        sys.stdin.read()
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()
