"""Write logs of stages as TensorBoard event files. They are read from the store, so methods need no support."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.files.atomic import written_whole
from reidbench.store.artifact import Artifact, BadArtifact, DamagedArtifact
from reidbench.store.artifacts import Store

LOG = "log.jsonl"
STEPS = ("epoch", "round")  # fields of a log line that hold its step; default: the line's index


def write_curves(store: Store, keys: Iterable[str], folder: Path) -> tuple[int, list[str]]:
    """Write one run for each stage with a log that has no run in `folder` yet.

    Returns the number of runs, and a note on each skipped artifact or log that is damaged.
    Raises ReidbenchError if TensorBoard is not installed or the folder cannot be written.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ReidbenchError("curves require TensorBoard: pip install 'reidbench[tensorboard]'") from None
    written, left_out = 0, []
    for key in sorted(keys):
        try:
            artifact = _logged(store, key)
            points = list(_points(artifact)) if artifact else []
        except BadArtifact as error:
            left_out.append(f"skipped: {error}")
            continue
        run = folder / f"{_slug(artifact.label) if artifact else ''}-{key[:8]}"
        if artifact is None or run.exists():
            continue
        try:
            with written_whole(run) as beside, SummaryWriter(str(beside)) as writer:
                for name, value, step in points:
                    writer.add_scalar(name, value, step)
        except OSError as error:
            raise ReidbenchError(f"{folder}: cannot be written: {error.strerror}") from None
        written += 1
    return written, left_out


def _logged(store: Store, key: str) -> Artifact | None:
    """Return the artifact if it exists and has a log. Raises BadArtifact."""
    try:
        artifact = store.manifest(key)
    except KeyError:
        return None
    return store.read(key) if LOG in artifact.manifest["files"] else None


def _points(artifact: Artifact) -> Iterator[tuple[str, float, int]]:
    """Yield name, value and step of each logged number. Raises DamagedArtifact for a malformed log."""
    for number, line in enumerate((artifact.path / LOG).read_bytes().splitlines()):
        try:
            values = json.loads(line)
            step = next((values[name] for name in STEPS if name in values), number)
            step, numbers = _step(step), [(name, _number(value)) for name, value in values.items()]
        except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            place = f"{artifact.path / LOG}:{number + 1}"
            raise DamagedArtifact(artifact.key, f"{place}: malformed log line ({error})") from None
        yield from ((name, value, step) for name, value in numbers)


def _step(value: Any) -> int:
    if not math.isfinite(_number(value)) or abs(value) >= 2**63:
        raise ValueError("a step must be a whole number")
    return int(value)


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError("a value must be a number")
    return float(value)


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+=-]+", "-", label).strip("-")[:100]
