"""Options of the tracker `wandb`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from reidbench import Params


class WandbParams(Params):
    """Options of `--track-option wandb.KEY=VALUE`."""

    project: str = Field("reidbench", description="name of the project")
    entity: str | None = Field(None, description="user or team; default: $WANDB_ENTITY, or that of the account")
    group: str | None = Field(None, description="group of the runs; default: the title of the matrix file")
    mode: Literal["online", "offline"] | None = Field(
        None, description="offline writes files for `wandb sync` and sends nothing; default: $WANDB_MODE, or online"
    )
    folder: Path = Field(
        Path(), description="folder below which W&B creates its folder wandb; default: the working one"
    )
