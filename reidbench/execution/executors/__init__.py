"""Executors. All take the same specs and return the same results. Plugins add others: hook `reidbench_executors`.

Imports registry, stages, store and the executor interface. Begin with `inline.py`, then `process.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reidbench.components import Params
from reidbench.errors import ReidbenchError
from reidbench.execution.executor import Executor, Settings
from reidbench.hookspecs import EXECUTOR
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry

from .inline import Inline as Inline
from .options import read_options
from .process import Processes as Processes


def make(
    name: str,
    jobs: int | None = None,
    address: str | None = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    options: Sequence[str] | Mapping[str, Any] = (),
    registry: Registry | None = None,
) -> Executor:
    """Return the executor of that name, from `registry` or from all plugins.

    `inline` uses this process; `process` one subprocess per stage, `jobs` at a time (default 1); `ray` one task per
    stage, on a Ray of this machine that it starts, or on the cluster at `address`, by default as many as that can hold.
    Each stage may use `time_limit` seconds and `memory_limit` GiB. `options` are `KEY=VALUE` texts or a map, see
    `read_options`; `address` is short for the option of that name. Raises ReidbenchError for an unknown executor, for
    options that it does not support, and if its packages are not installed.
    """
    component = (registry or plugins.load()).get(EXECUTOR, str(name)[:100])
    if address is not None and "address" not in component.params.model_fields:
        raise ReidbenchError("--address is the address of a Ray cluster and needs --executor ray")
    if component.missing:
        raise ReidbenchError(f"--executor {name} needs packages that are {component.missing}")
    given = read_options(component, options, {} if address is None else {"address": address})
    made: Executor = component.load()(given, Settings(jobs, time_limit, memory_limit))
    return made


def make_inline(options: Params, settings: Settings) -> Inline:
    """Return the executor in this process. Raises ReidbenchError for limits."""
    if settings.time_limit is not None or settings.memory_limit is not None:
        raise ReidbenchError("limits of a stage need a separate process: use --executor process or ray")
    return Inline()


def make_processes(options: Params, settings: Settings) -> Processes:
    """Return the executor with one process per stage. Raises ReidbenchError for impossible limits."""
    return Processes(settings.jobs or 1, settings.time_limit, settings.memory_limit)
