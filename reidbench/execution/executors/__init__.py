"""Executors. All take the same specs and return the same results.

Imports stages, store and the executor interface. Begin with `inline.py`, then `process.py`.
"""

from __future__ import annotations

from reidbench.errors import ReidbenchError
from reidbench.execution.executor import Executor

from .inline import Inline
from .process import Processes

NAMES = ("inline", "process", "ray")


def make(
    name: str,
    jobs: int | None = None,
    address: str | None = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
) -> Executor:
    """Return the executor of that name.

    `inline` uses this process; `process` one subprocess per stage, `jobs` at a time (default 1); `ray` one task per
    stage, on a Ray of this machine that it starts, or on the cluster at `address`, by default as many as that can hold.
    Each stage may use `time_limit` seconds and `memory_limit` GiB. Raises ReidbenchError for options that an executor
    does not support, and if Ray is not installed.
    """
    if address is not None and name != "ray":
        raise ReidbenchError("--address is the address of a Ray cluster and needs --executor ray")
    if name == "ray":
        from .ray import Ray

        return Ray(jobs, address, time_limit, memory_limit)
    if name == "process":
        return Processes(jobs or 1, time_limit, memory_limit)
    if time_limit is not None or memory_limit is not None:
        raise ReidbenchError("limits of a stage need a separate process: use --executor process or ray")
    return Inline()
