"""A tracker that writes down every call, and fails, hangs or dies on request.

Tests copy this file into a plugin folder: see `tests/tracking/conftest.py`.
"""

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from reidbench import Component, Params, Tracker, hookimpl


class ScribeParams(Params):
    file: Path
    fail: str = ""  # name of the method that fails
    how: str = "raise"
    seconds: float = 0.0


@hookimpl
def reidbench_trackers():
    yield Component("scribe", "tracker_plugin:Scribe", ScribeParams, summary="writes down every call")
    yield Component("absent", "tracker_plugin:Scribe", packages=("no_such_package",), extra="scribe")


class Scribe(Tracker):
    def __init__(self, ctx):
        self.params = ctx.params
        ctx.note("I write")
        self.write("started", run=asdict(ctx.run), torch="torch" in sys.modules, leader=os.getpgid(0) == os.getpid())

    def write(self, call, **facts):
        with self.params.file.open("a") as file:
            file.write(json.dumps({"call": call, **facts}) + "\n")
        if self.params.fail == call:
            print("the last words", file=sys.stderr, flush=True)
            if self.params.how == "exit":
                os._exit(7)
            if self.params.how == "hang":
                time.sleep(3600)
            raise RuntimeError("no\nserver")

    def stage_started(self, stage):
        self.write("stage_started", stage=asdict(stage))

    def logged(self, stage, line, step, metrics):
        self.write("logged", key=stage.key, line=line, step=step, metrics=metrics)

    def stage_ended(self, stage, status, seconds, error):
        self.write("stage_ended", key=stage.key, status=status, seconds=seconds, error=error)

    def rows(self, rows):
        self.write("rows", rows=[asdict(row) for row in rows])

    def ended(self, status, leaderboard):
        self.write("ended", status=status, leaderboard=leaderboard)
