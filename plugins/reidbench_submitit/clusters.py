"""Clusters of submitit: submission of jobs with their resources, their states, and cancelling."""

from __future__ import annotations

import contextlib
import importlib
import math
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.matrix.devices import asked_for
from reidbench.stages import worker
from reidbench.stages.spec import StageSpec

from . import job
from .params import SlurmOptions

ASK = 30.0  # seconds between questions to Slurm's accounting, each about all jobs
WARNING = 90  # seconds before its end at which a job is warned, and ends its stage; a third of a short job
PROGRAMS = ("sbatch", "srun", "scancel", "sacct")
# States of jobs that Slurm ended for a reason that has nothing to do with the stage.
LOST = ("NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED")
CLASSES = {"slurm": "SlurmExecutor", "local": "LocalExecutor", "debug": "DebugExecutor"}


@dataclass(frozen=True)
class Request:
    """Resources of a job: minutes, numbers of GPUs and CPU cores, GiB, and where it may run; None: the default."""

    time: int
    gpus: int
    cpus: int
    memory: float | None
    partition: str | None


def request(spec: StageSpec, options: SlurmOptions) -> Request:
    """Return the resources of a stage. Only stages that compute with torch receive GPUs, one per device."""
    kind = spec.stage.kind
    given = options.model_dump(exclude={"stage"})
    if kind in options.stage:
        given |= options.stage[kind].model_dump(exclude_none=True)
    devices = asked_for(kind, spec.devices)
    cpus = given["cpus"] or spec.threads + spec.workers
    gpus = given["gpus"] * devices if spec.kind.torch else 0
    return Request(given["time"], gpus, cpus * devices, given["memory"], given["partition"])


class Cluster:
    """A cluster whose jobs are described in `folder`, which all nodes must share."""

    def __init__(self, options: SlurmOptions) -> None:
        self.options = options
        self.kind = options.cluster
        self._submitit = importlib.import_module("submitit")
        self._asked = 0.0
        self._executor: Any = None
        missing = [name for name in PROGRAMS if shutil.which(name) is None] if self.kind == "slurm" else []
        if missing:
            raise ReidbenchError(
                f"--executor slurm: this machine has no {', '.join(missing)}; run it where jobs are submitted, or try "
                "it on this machine with --option cluster=local"
            )

    def open(self, folder: Path) -> None:
        """Set the folder of the jobs' descriptions."""
        path = worker.environment(1, 0)["PYTHONPATH"]
        python = {} if self.kind == "debug" else {"python": shlex.join(["env", f"PYTHONPATH={path}", sys.executable])}
        self._executor = getattr(self._submitit, CLASSES[self.kind])(str(folder), **python)

    def submit(self, needed: Request, places: Sequence[Path]) -> list[Any]:
        """Submit a job for each place (see `job.run`), as one array if there are several. Raises ReidbenchError."""
        self._executor.update_parameters(**self._parameters(needed))
        utils = importlib.import_module("submitit.core.utils")
        try:
            with _without_interrupts() if self.kind == "local" else contextlib.nullcontext():
                if len(places) == 1:
                    return [self._executor.submit(job.run, str(places[0]))]
                jobs: list[Any] = self._executor.map_array(job.run, [str(place) for place in places])
                return jobs
        except (OSError, utils.FailedJobError, utils.FailedSubmissionError) as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise ReidbenchError(f"Slurm accepts no job: {lines[-1] if lines else type(error).__name__}") from None

    def _parameters(self, needed: Request) -> dict[str, Any]:
        if self.kind == "debug":
            return {}
        warning = min(WARNING, needed.time * 60 // 3)
        if self.kind == "local":
            return {"timeout_min": needed.time, "gpus_per_node": needed.gpus, "signal_delay_s": warning}
        memory = None if needed.memory is None else f"{math.ceil(needed.memory * 1024)}MB"
        optional = {
            "partition": needed.partition,
            "mem": memory,
            "gpus_per_node": needed.gpus or None,
            "account": self.options.account,
            "qos": self.options.qos,
            "constraint": self.options.constraint,
            "wckey": None,  # submitit's own, which a cluster may not know
        }
        fixed = {"job_name": "reidbench", "time": needed.time, "signal_delay_s": warning}
        return {**fixed, "cpus_per_task": needed.cpus, **optional}

    def ended(self, submitted: Any) -> str:
        """Return the state in which a job ended, "" while it waits or runs. In `debug`, run it."""
        if self.kind == "slurm" and time.monotonic() - self._asked > ASK:
            self._asked = time.monotonic()
            submitted.get_info(mode="force")
        done = submitted.done()
        state = str(submitted.state).partition(" ")[0].upper()  # `CANCELLED by 1000`
        return (state or "UNKNOWN") if done or state in LOST else ""

    def newest(self, submitted: Any) -> str:
        """Return the state of an ended job, asked for now: it may write its end before Slurm is asked again.

        It is "" if Slurm has started the job again meanwhile.
        """
        if self.kind == "slurm":
            self._asked = time.monotonic()
            submitted.get_info(mode="force")
        return self.ended(submitted)

    def cancel(self, submitted: Any) -> None:
        """Cancel a job, waiting or running. A local one ends by the order in its folder (see `job`)."""
        if self.kind == "slurm":
            with contextlib.suppress(OSError):
                submitted.cancel(check=False)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: the driver decides what they do."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def tail(submitted: Any, size: int = 4000) -> str:
    """Return the end of a job's own messages, which are not the stage's; "" if there are none."""
    read: Callable[[], str | None] = submitted.stderr
    with contextlib.suppress(OSError, ValueError):
        return (read() or "").strip()[-size:]
    return ""
