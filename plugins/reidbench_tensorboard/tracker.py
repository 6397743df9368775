"""Writes the events of a run as TensorBoard event files, without importing torch."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from reidbench import TrackContext, TrackedRow, TrackedStage, Tracker

from .params import TensorboardParams
from .summaries import Value, scalars, session_end, session_start, text

ENTRY = "stage.json"  # facts of a stage next to its event files, and what was written


class TensorboardTracker(Tracker):
    """One TensorBoard run for each stage, in a folder named by its label and key, and one for the leaderboard.

    A run is rewritten from its first line when its stage resumes or starts again, and is kept once the stage is done.
    """

    def __init__(self, ctx: TrackContext[TensorboardParams]) -> None:
        self.folder = ctx.params.folder.expanduser().absolute() / _slug(ctx.run.title)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.run = ctx.run
        self.writers: dict[str, EventFileWriter] = {}  # by key of a running stage
        self.places: dict[str, Path] = {}  # by key of a stage
        ctx.note(f"curves are in {self.folder}; view them with: tensorboard --logdir {self.folder.parent}")

    def stage_started(self, stage: TrackedStage) -> None:
        """Open a run with its parameters, unless it is complete."""
        place = self.places[stage.key] = self.folder / f"{_slug(stage.label)}-{stage.key[:8]}"
        if _entry(place).get("status") in ("done", "cached"):
            return
        for old in place.glob("events.out.tfevents.*"):
            old.unlink()
        writer = self.writers[stage.key] = EventFileWriter(str(place))
        _write(writer, session_start(_hparams(stage), stage.key, time.time()))
        writer.flush()

    def logged(self, stage: TrackedStage, line: int, step: int, metrics: Mapping[str, float]) -> None:
        """Write the values of a log line as scalars."""
        if writer := self.writers.get(stage.key):
            _write(writer, scalars(metrics), step)
            writer.flush()

    def stage_ended(self, stage: TrackedStage, status: str, seconds: float | None, error: str) -> None:
        """Close a run, with the reason of a failure as text."""
        if writer := self.writers.pop(stage.key, None):
            if error:
                _write(writer, text("error", error))
            _write(writer, session_end(status, time.time()))
            writer.close()
            _save(self.places[stage.key], {**asdict(stage), "status": status, "seconds": seconds, "error": error})

    def rows(self, rows: Sequence[TrackedRow]) -> None:
        """Add the results of rows to the runs of the stages that trained their networks."""
        found: dict[str, dict[str, float]] = {}
        for row in rows:
            if row.stage in self.places:
                named = {f"test/{row.task}/{row.evaluator}/{name}": value for name, value in row.metrics.items()}
                found.setdefault(row.stage, {}).update(named)
        for key, values in found.items():
            place = self.places[key]
            entry = _entry(place)
            if entry.get("results") != values:
                self._append(place, scalars(values))
                _save(place, {**entry, "results": values})

    def ended(self, status: str, leaderboard: str) -> None:
        """Write the leaderboard and the facts of the run as texts."""
        facts = "\n".join(
            f"- {name}: {_words(value)}" for name, value in {**asdict(self.run), "status": status}.items()
        )
        texts = {"run": facts, **({"leaderboard": leaderboard} if leaderboard else {})}
        for name, words in texts.items():
            self._append(self.folder / "leaderboard", text(name, words))

    @staticmethod
    def _append(place: Path, summary: Summary) -> None:
        """Write one more event file to a run."""
        writer = EventFileWriter(str(place))
        _write(writer, summary)
        writer.close()


def _write(writer: EventFileWriter, summary: Summary, step: int = 0) -> None:
    writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))


def _hparams(stage: TrackedStage) -> dict[str, Value]:
    """Return everything by which runs are compared: text, numbers and booleans only."""
    named: dict[str, Value] = {"kind": stage.kind, "use": stage.use, "seed": stage.seed}
    named |= {"methods": _words(stage.methods), "tasks": _words(stage.tasks)}
    named |= {f"data.{role}": data for role, data in stage.data.items()}
    given = {name: "none" if value is None else value for name, value in stage.params.items()}
    return given | named


def _words(value: Any) -> str:
    """Return a fact as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _entry(place: Path) -> dict[str, Any]:
    """Return what was written about a stage; {} for a run that is not complete."""
    file = place / ENTRY
    return dict(json.loads(file.read_text())) if file.exists() else {}


def _save(place: Path, entry: Mapping[str, Any]) -> None:
    (place / ENTRY).write_text(json.dumps(entry, indent=1))


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+=-]+", "-", label).strip("-.")[:100] or "untitled"
