"""Stages in this process, one after another: for debugging, and where processes cannot be started."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from typing import Any

from ..stages import Busy, describe, run_stage
from ..store import DamagedArtifact
from .base import OnEvent, Result


class Inline:
    """One stage at a time, in this process."""

    slots = 1

    def __init__(self) -> None:
        self._ended: list[Result] = []

    def submit(self, spec: Mapping[str, Any], on_event: OnEvent) -> None:
        """Run the stage now."""
        key = spec["stage"]["key"]
        try:
            run_stage(spec, lambda event: on_event(key, event))
            result = Result(key, "done")
        except Busy:
            result = Result(key, "busy")
        except DamagedArtifact as error:
            result = Result(key, "damaged", str(error))
        except (Exception, SystemExit) as error:  # whatever a plugin raises costs one cell
            result = Result(key, "failed", describe(error), traceback.format_exc())
        self._ended.append(result)

    def wait(self) -> Iterable[Result]:
        """The stages that ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """Nothing runs between calls."""
