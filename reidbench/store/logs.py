"""Logged values of a finished stage, and the step of each line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from .artifact import Artifact, DamagedArtifact

LOG = "log.jsonl"
STEPS = ("epoch", "round")  # fields of a log line that hold its step; default: the line's index


def logged(artifact: Artifact) -> list[tuple[int, dict[str, float]]]:
    """Return step and values of each line of an artifact's log; empty without one.

    The caller has verified the artifact's files. Raises DamagedArtifact for a malformed line.
    """
    if LOG not in artifact.manifest["files"]:
        return []
    found = []
    for number, line in enumerate((artifact.path / LOG).read_bytes().splitlines()):
        try:
            values = {str(name): _number(value) for name, value in json.loads(line).items()}
            found.append((step_of(number, values), values))
        except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            place = f"{artifact.path / LOG}:{number + 1}"
            raise DamagedArtifact(artifact.key, f"{place}: malformed log line ({error})") from None
    return found


def step_of(line: int, values: Mapping[str, float]) -> int:
    """Return the step of a log line: its epoch or round, otherwise its number. Raises ValueError for a bad step."""
    step = next((values[name] for name in STEPS if name in values), float(line))
    if not math.isfinite(step) or abs(step) >= 2**63:
        raise ValueError("a step must be a whole number")
    return int(step)


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError("a value must be a number")
    return float(value)
