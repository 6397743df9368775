"""Options of the executors."""

from __future__ import annotations

from pydantic import Field

from reidbench import Params


class RayOptions(Params):
    """Options of the executor `ray`."""

    address: str | None = Field(
        None, description="HOST:PORT of the cluster's head node, or auto; by default a Ray on this machine is started"
    )
