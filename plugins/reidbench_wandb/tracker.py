"""Writes the events of a run as Weights & Biases runs, online or offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import wandb

from reidbench import TrackContext, TrackedRow, TrackedStage, Tracker

from .params import WandbParams

STATE = "reidbench/status"  # in the summary of a run whose stage is done
MARK = "reidbench.done"  # file in the folder of such a run
LONGEST_TAG = 64


class WandbTracker(Tracker):
    """One W&B run for each stage, with the stage's key as its id, and one for the rows.

    A run stays open until the results of its rows are known, at the end of the matrix run.
    """

    def __init__(self, ctx: TrackContext[WandbParams]) -> None:
        self.params, self.facts, self.note = ctx.params, ctx.run, ctx.note
        self.folder = ctx.params.folder.expanduser().absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.open: dict[str, Any] = {}  # run by key of a stage
        self.told = False

    def _start(self, name: str, kind: str, config: Mapping[str, Any], key: str | None, tags: Sequence[str]) -> Any:
        """Start a run, or continue the one with that key, which only the server can do."""
        settings = wandb.Settings(
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_meta=True,
            x_disable_stats=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        run = wandb.init(
            project=self.params.project,
            entity=self.params.entity,
            group=self.params.group or self.facts.title,
            name=name,
            job_type=kind,
            id=key,
            config=dict(config),
            tags=list(dict.fromkeys(tag[:LONGEST_TAG] for tag in tags)),  # the component may be named like its method
            dir=str(self.folder),
            mode=self.params.mode,
            resume="allow" if key else None,
            reinit="create_new",
            settings=settings,
        )
        if not self.told:
            self.told = True
            local = f"in {self.folder / 'wandb'}; to upload them: wandb sync {self.folder / 'wandb'}/offline-run-*"
            self.note(f"runs are {local if run.offline else 'at ' + str(run.project_url)}")
        return run

    def stage_started(self, stage: TrackedStage) -> None:
        """Open a run with its config, unless a complete one has been written offline."""
        if any((self.folder / "wandb").glob(f"offline-run-*-{stage.key}/{MARK}")):
            return
        facts = {name: value for name, value in asdict(stage).items() if name not in ("params", "label")}
        self.open[stage.key] = self._start(
            stage.label, stage.kind, {**stage.params, "stage": facts}, stage.key, [stage.use, *stage.methods]
        )

    def logged(self, stage: TrackedStage, line: int, step: int, metrics: Mapping[str, float]) -> None:
        """Log the values of a line that the run does not have yet; its W&B step is the line."""
        run = self.open.get(stage.key)
        if run is not None and line >= run.step:
            run.log(dict(metrics), step=line)

    def stage_ended(self, stage: TrackedStage, status: str, seconds: float | None, error: str) -> None:
        """Record the end of a stage; the run of a failed or interrupted one ends now."""
        run = self.open.get(stage.key)
        if run is None:
            return
        run.summary.update({STATE: status, "reidbench/seconds": seconds, "reidbench/error": error})
        if status not in ("done", "cached"):
            self.open.pop(stage.key).finish(exit_code=1)

    def rows(self, rows: Sequence[TrackedRow]) -> None:
        """Add the results of rows to the runs of the stages that trained their networks, and all as a table."""
        for row in rows:
            if row.stage in self.open:
                named = {f"test/{row.task}/{row.evaluator}/{name}": value for name, value in row.metrics.items()}
                self.open[row.stage].summary.update(named)
        for key in list(self.open):
            run = self.open.pop(key)
            place = Path(run.dir).parent
            run.finish()
            (place / MARK).touch()
        names = list(dict.fromkeys(name for row in rows for name in row.metrics))
        columns = ["method", "task", "evaluator", "seed", "pretrain_seed", "status", "error", "protocol", "key"]
        cells = [
            [getattr(row, column) for column in columns] + [row.metrics.get(name) for name in names] for row in rows
        ]
        board = self._start(self.facts.title, "matrix", asdict(self.facts), None, [])
        board.log({"rows": wandb.Table(columns=columns + names, data=cells)})
        board.finish()

    def ended(self, status: str, leaderboard: str) -> None:
        """End the runs that an interrupted matrix run leaves open."""
        for key in list(self.open):
            self.open.pop(key).finish(exit_code=0 if status == "finished" else 1)
