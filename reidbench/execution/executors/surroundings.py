"""Process state that a stage may change, restored afterwards so that it does not affect the next stage."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

Undo = Callable[[], object]


@contextmanager
def restored() -> Iterator[None]:
    """Restore the state of the process after the block.

    Covers working directory, environment, umask, signal handlers and mask, timers, standard streams, recursion limit,
    numpy's error handling, random states, and of torch (if imported): default dtype and device, grad mode, threads,
    deterministic and matrix-product settings.
    """
    undo = [*_process(), *_streams(), *_numbers(), *_signals()]
    try:
        yield
    finally:
        for step in undo:
            step()


def _process() -> Iterator[Undo]:
    with suppress(FileNotFoundError):  # a removed folder cannot be restored
        place = os.getcwd()  # noqa: PTH109
        yield lambda: _go_back(place)
    variables = dict(os.environ)
    yield lambda: _set_environment(variables)
    mask = os.umask(0o077)
    os.umask(mask)
    yield lambda: os.umask(mask)


def _go_back(place: str) -> None:
    with suppress(OSError):  # the stage has removed it; all paths used from here on are absolute
        os.chdir(place)


def _set_environment(variables: dict[str, str]) -> None:
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    for name, value in variables.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _streams() -> Iterator[Undo]:
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        yield lambda name=name, stream=stream: setattr(sys, name, stream)  # type: ignore[misc]
    limit = sys.getrecursionlimit()
    yield lambda: sys.setrecursionlimit(limit)


def _signals() -> Iterator[Undo]:
    """Yield the signal handlers to restore. Only the main thread may set them; those of C code cannot be restored."""
    if threading.current_thread() is not threading.main_thread():
        return
    timer = signal.getitimer(signal.ITIMER_REAL)
    yield lambda: None if timer[0] else signal.setitimer(signal.ITIMER_REAL, 0)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        handler = signal.getsignal(number)
        if handler is not None:
            yield lambda number=number, handler=handler: _handle(number, handler)  # type: ignore[misc]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield lambda: signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _handle(number: int, handler: Any) -> None:
    if signal.getsignal(number) != handler:
        signal.signal(number, handler)


def _numbers() -> Iterator[Undo]:
    errors, numpys, pythons = np.geterr(), np.random.get_state(), random.getstate()
    yield lambda: np.seterr(**errors)
    yield lambda: np.random.set_state(numpys)
    yield lambda: random.setstate(pythons)
    if "torch" in sys.modules:
        yield from _torch()
    else:
        yield _fresh_torch


def _torch() -> Iterator[Undo]:
    import torch

    dtype, device, grad = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
    yield lambda: torch.set_default_dtype(dtype)
    yield lambda: _set_device(device)
    yield lambda: torch.set_grad_enabled(grad)
    threads, products = torch.get_num_threads(), torch.get_float32_matmul_precision()
    yield lambda: torch.set_num_threads(threads)
    yield lambda: torch.set_float32_matmul_precision(products)
    repeatable = torch.get_deterministic_debug_mode()
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    yield lambda: torch.set_deterministic_debug_mode(repeatable)
    yield lambda: setattr(torch.utils.deterministic, "fill_uninitialized_memory", fills)
    for name in ("benchmark", "deterministic", "allow_tf32"):
        value = getattr(torch.backends.cudnn, name)
        yield lambda name=name, value=value: setattr(torch.backends.cudnn, name, value)  # type: ignore[misc]
    state = torch.get_rng_state()
    yield lambda: torch.set_rng_state(state)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states = torch.cuda.get_rng_state_all()
        yield lambda: torch.cuda.set_rng_state_all(states)


def _set_device(device: Any) -> None:
    import torch

    if torch.get_default_device() != device:
        torch.set_default_device(None if device.type == "cpu" else device)


def _fresh_torch() -> None:
    """Reset torch to its initial state if the block imported it."""
    if "torch" not in sys.modules:
        return
    import torch

    torch.set_default_dtype(torch.float32)
    _set_device(torch.device("cpu"))
    torch.set_grad_enabled(True)
    torch.set_deterministic_debug_mode("default")
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
