"""Where stages run. Every executor takes the same specs and gives the same results.

Imports stages and store, and what an executor is. Begin with `inline.py`, then `process.py`.
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
    """The executor of that name.

    `inline` is this process, `process` one subprocess a stage, `jobs` at a time (default 1), `ray` a task a stage: on
    a Ray of this machine that it starts, or on the cluster at `address`, by default as many as that holds. One stage
    may take `time_limit` seconds and `memory_limit` GiB. Raises ReidbenchError for what an executor cannot do, and
    when Ray is asked for and is not installed.
    """
    if address is not None and name != "ray":
        raise ReidbenchError("--address is where a Ray cluster is: it goes with --executor ray")
    if name == "ray":
        from .ray import Ray

        return Ray(jobs, address, time_limit, memory_limit)
    if name == "process":
        return Processes(jobs or 1, time_limit, memory_limit)
    if time_limit is not None or memory_limit is not None:
        raise ReidbenchError("limits of a stage need a process of its own: --executor process or ray")
    return Inline()
