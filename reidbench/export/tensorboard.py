"""Write logs of stages as TensorBoard event files. They are read from the store, so methods need no support."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from reidbench.errors import ReidbenchError
from reidbench.files.atomic import written_whole
from reidbench.store.artifact import Artifact, BadArtifact
from reidbench.store.artifacts import Store
from reidbench.store.logs import LOG, logged


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
            lines = logged(artifact) if artifact else []
        except BadArtifact as error:
            left_out.append(f"skipped: {error}")
            continue
        run = folder / f"{_slug(artifact.label) if artifact else ''}-{key[:8]}"
        if artifact is None or run.exists():
            continue
        try:
            with written_whole(run) as beside, SummaryWriter(str(beside)) as writer:
                for step, values in lines:
                    for name, value in values.items():
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


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+=-]+", "-", label).strip("-")[:100]
