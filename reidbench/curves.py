"""What stages logged, as TensorBoard's event files: read from the store, so that no method knows of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from .errors import ReidbenchError
from .store import Artifact, DamagedArtifact, Store

LOG = "log.jsonl"
STEPS = ("epoch", "round")  # what a line may call its own number; else it is its place in the log


def write_curves(store: Store, keys: Iterable[str], folder: Path) -> int:
    """Write one run for each stage that logged something and has none in `folder` yet. Returns how many.

    Raises ReidbenchError when TensorBoard is not installed or the folder cannot be written.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ReidbenchError("curves need TensorBoard: pip install 'reidbench[tensorboard]'") from None
    written = 0
    for key in sorted(keys):
        artifact = _logged(store, key)
        if artifact is None:
            continue
        run = folder / f"{_slug(artifact.manifest['stage']['label'])}-{key[:8]}"
        if run.exists():
            continue
        beside = run.with_name(f".{run.name}.{os.getpid()}")
        try:
            with SummaryWriter(str(beside)) as writer:
                for number, line in enumerate((artifact.path / LOG).read_text().splitlines()):
                    values = json.loads(line)
                    step = next((int(values[name]) for name in STEPS if name in values), number)
                    for name, value in values.items():
                        writer.add_scalar(name, value, step)
            os.replace(beside, run)
        except OSError as error:
            raise ReidbenchError(f"{folder}: cannot be written: {error.strerror}") from None
        written += 1
    return written


def _logged(store: Store, key: str) -> Artifact | None:
    try:
        artifact = store.manifest(key)
    except (KeyError, DamagedArtifact):  # not made yet, or to be made again by the next run
        return None
    return artifact if (artifact.path / LOG).is_file() else None


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+=-]+", "-", label).strip("-")[:100]
