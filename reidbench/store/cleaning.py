"""Cleaning of a store: artifacts that no plan needs, and leftovers of dead workers."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from reidbench.errors import StoreError
from reidbench.progressbar import Through, quietly

from . import locks
from .artifact import BadArtifact, UnreadableArtifact
from .artifacts import Store
from .leavings import MANIFEST
from .manifests import KEY, checksum

Note = Callable[[str], None]


def _say_nothing(text: str) -> None:
    """Ignore a note."""


@dataclass(frozen=True)
class Leftover:
    """Item to remove: description, path, stage and size in bytes.

    With `named`, a recorded board refers to it, so its manifest is kept.
    """

    what: str
    path: Path
    key: str
    size: int
    named: bool = False


def leftovers(
    store: Store,
    needed: set[str],
    note: Note = _say_nothing,
    through: Through = quietly,
    named: AbstractSet[str] = frozenset(),
    boards: Collection[str] = (),
) -> list[Leftover]:
    """Return everything in a store that no stage in `needed` and no active run needs or uses.

    `named` are keys in recorded boards, whose manifests are kept, and `boards` the digests of boards to remove. Changes
    nothing. Skips everything with a live claim, including a planned stage's checkpoints. `note` receives what is kept
    and for which run, `through` reports progress over the artifacts. If the last heartbeat from another host is old,
    this waits for the next for DEAD_AFTER seconds. Raises StoreError if something is being computed that is neither in
    `needed` nor protected by a run: its inputs are unknown here.
    """
    _watch_the_silent(store, needed, note)
    runs = store.runs()
    held: set[str] = set().union(*runs.values())
    claimed = living_claims(store)
    strange = sorted(claimed - needed - held)
    if strange:
        raise StoreError(
            f"{store.root}: another run is computing {strange[0]}, which is in none of these files; "
            "add its file, or wait until it is done"
        )
    for file, keys in runs.items():
        if others := keys - needed:
            note(f"{locks.owner_of(file)} runs a matrix that is not listed here: its {len(others)} stages are kept")
    kept = claimed | held
    artifacts = (replace(one, named=one.key in named) for one in _artifacts(store, needed, through))
    found = [
        *artifacts,
        *_of_stages(store, needed),
        *_of_workers(store, kept),
        *_of_boards(store, needed | named, boards),
    ]
    return [*(one for one in found if one.key not in kept), *_of_runs(store, runs)]


def remove(store: Store, leftover: Leftover) -> bool:
    """Remove it, unless the stage is being computed or needed by a run. Returns whether it was removed.

    Raises OSError if the system refuses, as for another user's files, and StoreError if its manifest cannot be kept.
    """
    key = leftover.key
    if leftover.named:
        _keep_manifest(store, key)
    with store.claim(key if KEY.fullmatch(key) else checksum({"name": os.fsencode(key).hex()})) as mine:
        if not mine:
            return False
        aside = leftover.path
        with store.exclusively():  # a run that starts now finds either a complete artifact that stays, or none
            if store.is_needed(leftover.key):
                return False
            if leftover.path.parent.name == "objects":
                aside = store.spare_place(key)
                leftover.path.rename(aside)
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside)
        else:
            aside.unlink(missing_ok=True)
    return True


def _keep_manifest(store: Store, key: str) -> None:
    """Keep the manifest of an artifact without its files, if it is intact."""
    try:
        store.manifest(key)
        store.keep_record(key, (store.path(key) / MANIFEST).read_bytes())
    except (KeyError, BadArtifact, FileNotFoundError):
        return  # damaged, just removed, or not a name of an artifact: nothing to keep


def living_claims(store: Store) -> set[str]:
    """Return the keys that are being computed, or may be."""
    return {file.stem for file in store.files("claims") if file.suffix == ".json" and not store.watch.gone(file)}


def _watch_the_silent(store: Store, needed: set[str], note: Note) -> None:
    """Watch claims of other hosts with an old or future heartbeat: maybe only a clock has jumped."""
    files = [file for file in store.files("claims") if file.stem not in needed] + store.files("runs")
    silent = _beats(store, [file for file in files if file.suffix == ".json"])
    if silent:
        now = _clock(store)
        silent = {file: beat for file, beat in silent.items() if abs(now - beat) > locks.DEAD_AFTER}
    for owner in dict.fromkeys(map(locks.owner_of, silent)):
        note(f"{owner} has had no heartbeat for a long time: waiting for one, for up to {locks.DEAD_AFTER:.0f} s")
    while silent:
        time.sleep(min(1.0, locks.DEAD_AFTER / 10))
        now_seen = _beats(store, list(silent))
        silent = {file: beat for file, beat in now_seen.items() if silent[file] == beat}


def _beats(store: Store, files: list[Path]) -> dict[Path, float]:
    """Return the last heartbeats of claims whose owners may be alive or dead."""
    found = {}
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            if store.watch.gone(file) is None:
                found[file] = file.lstat().st_mtime
    return found


def _clock(store: Store) -> float:
    """Return the store's time; this host's if the store is not writable, and so nothing can be removed."""
    try:
        return store.now()
    except StoreError:
        return time.time()


def _artifacts(store: Store, needed: set[str], through: Through) -> Iterator[Leftover]:
    for key in through("checking artifacts", sorted(store.keys() - needed)):
        glance = store.glance(key)
        if glance:
            yield Leftover(glance[0], store.path(key), key, glance[1])
            continue
        try:
            label = store.manifest(key).label
        except UnreadableArtifact:
            label = "unreadable artifact"
        except (BadArtifact, KeyError):
            label = "damaged artifact"
        yield _leftover(label, store.path(key), key)


def _of_stages(store: Store, needed: set[str]) -> Iterator[Leftover]:
    """Yield checkpoints, logs and failures of stages that are not planned, and checkpoints of finished stages."""
    for path in store.files("scratch"):
        if path.name not in needed or store.has(path.name):
            yield _leftover("checkpoint", path, path.name)
    for folder, what in (("logs", "log"), ("failures", "reason of a failure")):
        for path in store.files(folder):
            if path.stem not in needed:
                yield _leftover(what, path, path.stem)


def _of_workers(store: Store, kept: set[str]) -> Iterator[Leftover]:
    """Yield unfinished writes of dead processes, damaged artifacts, and specs of drivers that have ended."""
    for path in store.files("tmp"):
        yield _leftover("unfinished artifact", path, path.name.partition("-")[0])
    for path in store.files("damaged"):
        yield _leftover("damaged artifact, set aside", path, path.name.partition("-")[0])
    specs = store.files("specs")  # each belongs to a run that protects its key, except while it starts
    now = _clock(store) if specs else 0.0
    for path in specs:
        with contextlib.suppress(FileNotFoundError):
            if now - path.lstat().st_mtime > locks.DEAD_AFTER:
                yield _leftover("spec of a worker", path, path.stem.partition("-")[0])
    for path in store.files("progress"):
        if path.stem not in kept:
            yield _leftover("progress of a dead worker", path, path.stem)
    for path in store.files("claims"):
        if path.suffix == ".json" and path.stem not in kept:
            yield _leftover("claim of a dead worker", path, path.stem)


def _of_boards(store: Store, used: set[str], boards: Collection[str]) -> Iterator[Leftover]:
    """Yield boards to remove, and manifests without files that no plan or board refers to."""
    for digest in boards:
        yield _leftover("board", store.board_file(digest), digest)
    for key in sorted(store.records() - used):
        yield _leftover("manifest without files", store.record_file(key), key)


def _of_runs(store: Store, living: Mapping[Path, object]) -> Iterator[Leftover]:
    for path in store.files("runs"):
        if path.suffix == ".json" and path not in living:
            yield _leftover("lock of a dead run", path, path.stem)


def _leftover(what: str, path: Path, key: str) -> Leftover:
    return Leftover(what, path, key, _size(path))


def _size(path: Path) -> int:
    """Return the bytes of a file or of all files in a folder; links are not followed."""
    total, folders = 0, [str(path)]
    while folders:
        place = folders.pop()
        with contextlib.suppress(FileNotFoundError, PermissionError):  # just replaced, or another user's
            try:
                with os.scandir(place) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        else:
                            total += entry.stat(follow_symlinks=False).st_size
            except NotADirectoryError:
                total += os.lstat(place).st_size
    return total
