"""Writes the events of a run to MLflow by its client, which servers, databases and folders accept."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from reidbench import TrackContext, TrackedRow, TrackedStage, Tracker

from .params import MlflowParams

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Set before the import of mlflow, in the tracker's process: a request without an answer fails within half a minute,
# and MLflow sends no usage statistics to its authors.
SETTINGS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_DISABLE_TELEMETRY": "true"}
STATUS = {"done": "FINISHED", "cached": "FINISHED", "finished": "FINISHED", "failed": "FAILED"}  # others are KILLED
KEY, LINES, STATE = "reidbench.key", "reidbench.lines", "reidbench.status"  # tags
MOST = 100  # parameters and tags of one request
LONGEST = 5000  # characters of a value
NOT_ALLOWED = re.compile(r"[^\w./ :-]")  # in names of metrics and parameters


class MlflowTracker(Tracker):
    """One MLflow run for each stage, found by the tag of its key, and a parent for each run of the matrix file.

    Metrics of lines that a run already has are not logged again.
    """

    def __init__(self, ctx: TrackContext[MlflowParams]) -> None:
        self.run = ctx.run
        self.client = client(ctx.params.uri)
        name = ctx.params.experiment or ctx.run.title
        self.experiment = self._experiment(name)
        facts = {f"reidbench.{name}": _words(value) for name, value in asdict(ctx.run).items()}
        self.parent = self._create(f"{ctx.run.title} {ctx.run.started}", facts)
        self.ids: dict[str, str] = {}  # run by key of a stage
        self.lines: dict[str, int] = {}  # logged lines by key of a stage that is not complete
        ctx.note(f"runs are in the experiment {name!r} of {self.client.tracking_uri}")

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        for _ in range(2):
            if found := self.client.get_experiment_by_name(name):
                return str(found.experiment_id)
            try:
                return str(self.client.create_experiment(name))
            except MlflowException as error:  # another run has just created it
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        raise RuntimeError(f"the experiment {name!r} is deleted; restore it, or choose another with mlflow.experiment")

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        cut = {tag: value[:LONGEST] for tag, value in tags.items() if value}
        return str(self.client.create_run(self.experiment, run_name=name, tags=cut).info.run_id)

    def stage_started(self, stage: TrackedStage) -> None:
        """Continue the run with the stage's key, or create one with its parameters."""
        found = self.client.search_runs([self.experiment], f"tags.`{KEY}` = '{stage.key}'", max_results=1)
        if found:
            tags = found[0].data.tags
            self.ids[stage.key] = found[0].info.run_id
            if tags.get(STATE) not in ("done", "cached"):
                self.lines[stage.key] = int(tags.get(LINES, 0))
                self.client.update_run(self.ids[stage.key], status="RUNNING")
            return
        self.ids[stage.key] = self._create(stage.label, dict(_tags(stage)) | {"mlflow.parentRunId": self.parent})
        self.lines[stage.key] = 0
        self._log_params(self.ids[stage.key], stage.params)

    def _log_params(self, run: str, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        given = [Param(_name(name), str(value)[:LONGEST]) for name, value in params.items()]
        for at in range(0, len(given), MOST):
            self.client.log_batch(run, params=given[at : at + MOST])

    def logged(self, stage: TrackedStage, line: int, step: int, metrics: Mapping[str, float]) -> None:
        """Log the values of a line that the run does not have yet."""
        if self.lines.get(stage.key, line + 1) <= line:
            self._log_metrics(self.ids[stage.key], metrics, step, {LINES: str(line + 1)})
            self.lines[stage.key] = line + 1

    def _log_metrics(self, run: str, values: Mapping[str, float], step: int, tags: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        metrics = [Metric(_name(name), value, now, step) for name, value in values.items()]
        self.client.log_batch(run, metrics=metrics, tags=[RunTag(name, value) for name, value in tags.items()])

    def stage_ended(self, stage: TrackedStage, status: str, seconds: float | None, error: str) -> None:
        """End the run with the status of its stage."""
        if self.lines.pop(stage.key, None) is None:
            return
        run = self.ids[stage.key]
        facts = {STATE: status, "reidbench.seconds": str(seconds or ""), "reidbench.error": error[:LONGEST]}
        self._log_metrics(run, {}, 0, {name: value for name, value in facts.items() if value})
        self.client.set_terminated(run, STATUS.get(status, "KILLED"))

    def rows(self, rows: Sequence[TrackedRow]) -> None:
        """Log the results of rows to the runs of the stages that trained their networks, and all to the parent."""
        found: dict[str, dict[str, float]] = {}
        for row in rows:
            if row.stage in self.ids:
                named = {_name(f"test/{row.task}/{row.evaluator}/{name}"): one for name, one in row.metrics.items()}
                found.setdefault(self.ids[row.stage], {}).update(named)
        for run, values in found.items():
            known = self.client.get_run(run).data.metrics
            self._log_metrics(run, {name: one for name, one in values.items() if known.get(name) != one}, 0, {})
        self.client.log_text(self.parent, json.dumps([asdict(row) for row in rows], indent=1), "rows.json")

    def ended(self, status: str, leaderboard: str) -> None:
        """End the parent, with the leaderboard as an artifact."""
        if leaderboard:
            self.client.log_text(self.parent, leaderboard, "leaderboard.md")
        self.client.set_terminated(self.parent, STATUS.get(status, "KILLED"))


def client(uri: str | None) -> MlflowClient:
    """Return MLflow's client for a tracking URI; None for its default."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(uri)


def _tags(stage: TrackedStage) -> Iterator[tuple[str, str]]:
    for name, value in asdict(stage).items():
        if name not in ("params", "links"):
            yield f"reidbench.{name}", _words(value)
    yield from ((f"reidbench.{name}", path) for name, path in stage.links.items())


def _words(value: Any) -> str:
    """Return a fact as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _name(name: str) -> str:
    """Return a name that MLflow accepts."""
    return NOT_ALLOWED.sub("_", name.replace("->", " to "))[:250]
