"""Runs one stage from a spec. `python -m reidbench.stages.run STAGE.json` is a worker process."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.registry import plugins
from reidbench.store.artifact import DamagedArtifact
from reidbench.store.artifacts import Store

from . import distributed, worker
from .actions import perform
from .checks.unchanged import refuse_changed
from .inputs import Inputs, blame_what_is_gone
from .provenance import provenance
from .spec import StageSpec
from .stagerun import StageRun


class Busy(ReidbenchError):
    """Raised when another process is computing this artifact."""


def run_stage(spec: StageSpec, emit: worker.Emit) -> None:
    """Run one stage and publish its artifact. Returns at once if it exists; raises Busy if another process runs it.

    Any other exception is the stage's failure.
    """
    store = Store(spec.store)
    key = spec.stage.key
    with store.claim(key) as mine:
        if store.has(key):
            return
        if not mine:
            raise Busy(f"another process is running {spec.stage.label}")
        inputs = Inputs(spec, store, plugins.load(frozenset(spec.without)), emit)
        with worker.limited_threads(spec.threads), store.publishing(key) as (folder, manifest):
            began = time.monotonic()  # the wall clock may be set back meanwhile
            manifest.update(provenance(inputs))
            try:
                if inputs.devices > 1:
                    manifest |= distributed.run(spec, inputs.devices, folder, emit)
                else:
                    manifest["metrics"] = perform(StageRun(inputs, folder), manifest)
                refuse_changed(inputs, folder, manifest)
            except DamagedArtifact as error:
                store.set_aside(error.key)  # the runner runs the stage again
                raise
            except Exception as error:
                blame_what_is_gone(store, spec, error)
                raise
            manifest["seconds"] = round(time.monotonic() - began, 3)


# ---------------------------------------------------------------------- the worker process
def main(arguments: list[str]) -> int:
    """Run the stage of a spec file. Events go, as JSON lines, to the descriptor in REIDBENCH_EVENTS.

    Standard input is a pipe that nothing is written to: when it closes, the driver has ended, and the worker ends too.
    Without that variable, when started by hand, the worker prints its events and ignores its input. `--rank` makes it
    one of several processes of a stage, started by `distributed.run`.
    """
    if arguments == ["--rank"]:
        return distributed.serve(_as_rank)
    spec = StageSpec.model_validate(json.loads(Path(arguments[0]).read_text()))
    driven = os.environ.pop(worker.EVENTS, "")
    emit = worker.writer(os.fdopen(int(driven), "w") if driven else sys.stdout)
    if driven:
        worker.leave_with_the_starter()
    try:
        run_stage(spec, emit)
    except Busy:
        emit({"event": "busy"})
        return 0
    except DamagedArtifact as error:
        emit({"event": "damaged", "error": str(error), "key": error.key})
        return 1
    except BaseException as error:  # any exception of a plugin affects one cell only
        emit({"event": "failed", "error": worker.describe(error), "traceback": traceback.format_exc()})
        with suppress(OSError):  # the log is in the store, and the disk may be full
            traceback.print_exc()
        return 1
    emit({"event": "done"})
    return 0


def _as_rank(spec: StageSpec, place: distributed.Place, emit: worker.Emit) -> dict[str, Any]:
    """Return metrics, notes and seconds of work of a stage that this process runs together with others."""
    inputs = Inputs(spec, Store(spec.store), plugins.load(frozenset(spec.without)), emit)
    with worker.limited_threads(spec.threads):
        manifest: dict[str, Any] = {}
        metrics = perform(StageRun(inputs, place.out, place.rank, place.ranks), manifest)
        return {"metrics": metrics, "notes": manifest.get("notes", []), "work_seconds": manifest["work_seconds"]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
