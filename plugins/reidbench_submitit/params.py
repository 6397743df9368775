"""Options of the executor `slurm`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from reidbench import Params


class Resources(Params):
    """Resources of the jobs of one kind of stage, in place of those of all stages."""

    partition: str | None = Field(None, description="partition")
    time: int | None = Field(None, ge=1, description="minutes that a job may run")
    gpus: int | None = Field(
        None, ge=0, le=1, description="GPUs per device of a stage that computes with torch, 0 or 1"
    )
    cpus: int | None = Field(None, ge=1, description="CPU cores per device")
    memory: float | None = Field(None, gt=0, description="memory of a job in GiB")


class SlurmOptions(Params):
    """Options of the executor `slurm`. `stage` overrides resources by kind of stage: `stage.pretrain.time=600`."""

    cluster: Literal["slurm", "local", "debug"] = Field(
        "slurm", description="slurm; local: jobs are processes of this machine; debug: jobs run in this process"
    )
    partition: str | None = Field(None, description="partition; default: the cluster's")
    time: int = Field(60, ge=1, description="minutes that a job may run; a stage that takes longer resumes in a rerun")
    gpus: int = Field(0, ge=0, le=1, description="GPUs per device of a stage that computes with torch, 0 or 1")
    cpus: int | None = Field(
        None, ge=1, description="CPU cores per device; default: the file's `threads`, and --workers"
    )
    memory: float | None = Field(None, gt=0, description="memory of a job in GiB; default: the cluster's")
    account: str | None = Field(None, description="account that is charged")
    qos: str | None = Field(None, description="quality of service")
    constraint: str | None = Field(None, description="features that a node must have")
    stage: dict[str, Resources] = Field({}, description="partition, time, gpus, cpus and memory by kind of stage")

    @field_validator("stage")
    @classmethod
    def _known(cls, stage: dict[str, Resources]) -> dict[str, Resources]:
        from reidbench.matrix.kinds import OF_STAGE

        for kind in stage:
            if kind not in OF_STAGE:
                raise ValueError(f"unknown kind of stage {kind!r} (known: {', '.join(OF_STAGE)})")
        return stage
