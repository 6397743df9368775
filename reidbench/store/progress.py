"""Progress of running stages in a store: files that drivers write for `reidbench status`, and claims of stages."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reidbench.errors import StoreError
from reidbench.files.atomic import write_whole
from reidbench.files.filesystem import regular_bytes

from .artifacts import Store
from .locks import owner_of

MOST = 1e15  # a larger float cannot count by ones
FOLDER = "progress"


@dataclass(frozen=True)
class Progress:
    """Progress of a running stage: units done of a total, seconds per unit if known, the last logged metrics."""

    done: float = 0.0
    total: float = 0.0
    pace: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def remaining(self) -> float | None:
        """Seconds until all units are done, at the current pace; None if unknown."""
        return None if self.pace is None else self.pace * max(0.0, self.total - self.done)

    @property
    def words(self) -> str:
        """Return the progress as text: `epoch 3 of 20, loss 0.512`; "" if nothing was reported."""
        unit = "epoch " if "epoch" in self.metrics else ""
        counted = f"{unit}{self.done:g} of {self.total:g}" if self.total else ""
        return ", ".join(filter(None, [counted, self.loss]))

    @property
    def loss(self) -> str:
        """The last loss with its name, or ""."""
        names = [name for name in self.metrics if name == "loss"] or [name for name in self.metrics if "loss" in name]
        return f"{names[0]} {self.metrics[names[0]]:.3g}" if names else ""


def write(store: Store, key: str, progress: Progress) -> None:
    """Write the progress of a stage; if the store refuses it, only the progress is lost."""
    content = {"done": progress.done, "total": progress.total, "pace": progress.pace, "metrics": dict(progress.metrics)}
    place = store.root / FOLDER / f"{key}.json"
    with contextlib.suppress(OSError, StoreError):
        place.parent.mkdir(exist_ok=True)
        write_whole(place, json.dumps(content).encode())


def remove(store: Store, key: str) -> None:
    """Remove the progress of a stage that has ended."""
    with contextlib.suppress(OSError):
        (store.root / FOLDER / f"{key}.json").unlink(missing_ok=True)


def read(store: Store, key: str) -> Progress:
    """Return the progress of a stage; empty if it is missing or damaged."""
    try:
        found = json.loads(regular_bytes(store.root / FOLDER / f"{key}.json"))
        metrics = {str(name): float(value) for name, value in found["metrics"].items()}
        pace = None if found["pace"] is None else _number(found["pace"])
        return Progress(_number(found["done"]), _number(found["total"]), pace, metrics)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Progress()


def _number(value: Any) -> float:
    number = float(value)
    if not 0 <= number < MOST or math.isnan(number):
        raise ValueError(value)
    return number


@dataclass(frozen=True)
class Claimed:
    """Live claim of a stage, or lock of a run: owner in words, seconds since its start and last heartbeat."""

    owner: str
    seconds: float | None
    heartbeat: float


def claimed(store: Store, key: str) -> Claimed | None:
    """Return the claim of a stage whose owner is not known to be dead, or None. Changes nothing.

    Times use this host's clock; those of another host's claim are off by the difference of the clocks.
    """
    return _living(store, store.claim_file(key))


def runs_of(store: Store, keys: AbstractSet[str]) -> list[Claimed]:
    """Return the runs, not known to be dead, that protect some of these keys. Changes nothing."""
    living = (_living(store, file) for file, held in store.runs().items() if held & keys)
    return [one for one in living if one is not None]


def _living(store: Store, file: Path) -> Claimed | None:
    if store.watch.gone(file) is True:
        return None
    try:
        beat = file.lstat().st_mtime
    except OSError:
        return None
    since: float | None = None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        since = max(0.0, time.time() - json.loads(regular_bytes(file))["since"] / 1e9)
    return Claimed(owner_of(file), since, max(0.0, time.time() - beat))
