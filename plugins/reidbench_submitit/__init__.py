"""Executor that runs stages as jobs of a Slurm cluster, submitted by submitit.

Imports reidbench; submitit is imported when the executor is made. Begin with `executor.py`, then `job.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import SlurmOptions


@hookimpl
def reidbench_executors() -> Iterator[Component]:
    """Yield the executor."""
    yield Component(
        "slurm",
        "reidbench_submitit.executor:Jobs",
        SlurmOptions,
        summary="one Slurm job per stage, in arrays where several are ready; also jobs of this machine",
        packages=("submitit",),
        extra="slurm",
    )
