"""A tracker: the last loss of each training in one CSV file."""

from pathlib import Path

from pydantic import Field

from reidbench import Component, Params, hookimpl


class LossesParams(Params):
    file: Path = Field(Path("losses.csv"), description="file to which lines are added")


@hookimpl
def reidbench_trackers():
    yield Component("losses", "reidbench_losses.track:Losses", LossesParams, summary="the last losses as a CSV file")
