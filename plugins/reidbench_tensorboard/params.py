"""Options of the tracker `tensorboard`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from reidbench import Params


class TensorboardParams(Params):
    """Options of `--track-option tensorboard.KEY=VALUE`."""

    folder: Path = Field(Path("runs"), description="folder of all runs, for `tensorboard --logdir`; created if missing")
