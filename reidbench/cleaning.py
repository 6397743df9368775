"""What may leave a store: artifacts that no plan needs, and what dead workers left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import StoreError
from .store import DEAD_AFTER, BadArtifact, Store, UnreadableArtifact, _is_dead, is_foreign, process_start


@dataclass(frozen=True)
class Leftover:
    """Something to remove: what it is in words, where it lies, of which stage, and how many bytes it has."""

    what: str
    path: Path
    key: str
    size: int


def leftovers(store: Store, needed: set[str]) -> list[Leftover]:
    """Everything in a store that no stage in `needed` is, or has a use for. Changes nothing.

    What a living claim holds is left alone, a planned stage's checkpoints too. Raises StoreError when something is
    being made that is not in `needed`: the inputs of that run are not known here.
    """
    claimed = living_claims(store)
    strange = sorted(claimed - needed)
    if strange:
        raise StoreError(
            f"{store.root}: another run is making {strange[0]}, which none of these files plans; "
            "name its file too, or wait until it is done"
        )
    found = [*_artifacts(store, needed), *_of_stages(store, needed), *_of_workers(store, claimed)]
    return [one for one in found if one.key not in claimed]


def remove(store: Store, leftover: Leftover) -> bool:
    """Remove it, unless somebody has begun to make that stage meanwhile. Returns whether it is gone."""
    with store.claim(leftover.key) as mine:
        if not mine:
            return False
        aside = leftover.path
        if leftover.path.parent.name == "objects":  # in one step: a reader finds a whole artifact, or none
            aside = store.root / "tmp" / f"{leftover.key}-{os.getpid()}-{time.time_ns()}"
            aside.parent.mkdir(exist_ok=True)
            leftover.path.rename(aside)
        if aside.is_dir():
            shutil.rmtree(aside)
        else:
            aside.unlink(missing_ok=True)
    return True


def living_claims(store: Store) -> set[str]:
    """The keys that somebody is making now."""
    return {file.stem for file in _inside(store, "claims") if file.suffix == ".json" and not _is_dead(file)}


def _inside(store: Store, name: str) -> list[Path]:
    try:
        return sorted(path for path in (store.root / name).iterdir() if not is_foreign(path.name))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{store.root / name}: cannot be read: {error.strerror}") from None


def _artifacts(store: Store, needed: set[str]) -> Iterator[Leftover]:
    for key in sorted(store.keys() - needed):
        try:
            label = store.manifest(key).label
        except UnreadableArtifact:
            label = "artifact that cannot be read"
        except (BadArtifact, KeyError):
            label = "damaged artifact"
        yield _leftover(label, store.path(key), key)


def _of_stages(store: Store, needed: set[str]) -> Iterator[Leftover]:
    """Checkpoints, logs and reasons of stages that no plan has, and checkpoints of those that are done."""
    for path in _inside(store, "scratch"):
        if path.name not in needed or store.has(path.name):
            yield _leftover("checkpoint", path, path.name)
    for folder, what in (("logs", "log"), ("failures", "reason of a failure")):
        for path in _inside(store, folder):
            if path.stem not in needed:
                yield _leftover(what, path, path.stem)


def _of_workers(store: Store, claimed: set[str]) -> Iterator[Leftover]:
    """What was being written when its writer died, damaged artifacts, and the specs of drivers that are gone."""
    for path in _inside(store, "tmp"):
        yield _leftover("unfinished artifact", path, path.name.partition("-")[0])
    for path in _inside(store, "damaged"):
        yield _leftover("damaged artifact, set aside", path, path.name.partition("-")[0])
    for path in _inside(store, "specs"):
        key, _, pid = path.stem.partition("-")
        old = time.time() - path.stat().st_mtime > DEAD_AFTER
        if old and not (pid.isdigit() and process_start(int(pid))):
            yield _leftover("spec of a worker", path, key)
    for path in _inside(store, "claims"):
        if path.suffix == ".json" and path.stem not in claimed:
            yield _leftover("claim of a dead worker", path, path.stem)


def _leftover(what: str, path: Path, key: str) -> Leftover:
    return Leftover(what, path, key, _size(path))


def _size(path: Path) -> int:
    total = 0
    for file in [path, *path.rglob("*")]:
        with contextlib.suppress(FileNotFoundError, PermissionError):  # replaced meanwhile, or another user's
            total += file.lstat().st_size if not file.is_dir() else 0
    return total
