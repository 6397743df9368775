"""Executors of reidbench: in this process, in worker processes, and on Ray.

`inline` and `process` are in `reidbench.execution.executors`, since the core uses them itself. Imports reidbench. Begin
with `ray.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import RayOptions


@hookimpl
def reidbench_executors() -> Iterator[Component]:
    """Yield the executors."""
    yield Component(
        "inline",
        "reidbench.execution.executors:make_inline",
        summary="the process of the command, one stage after another",
    )
    yield Component(
        "process",
        "reidbench.execution.executors:make_processes",
        summary="one worker process per stage, --jobs at a time",
    )
    yield Component(
        "ray",
        "reidbench_executors.ray:make",
        RayOptions,
        summary="one Ray task per stage, on this machine or a cluster",
        packages=("ray",),
        extra="ray",
    )
