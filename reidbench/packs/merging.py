"""Merge stores and packs into one store: a union that overwrites nothing and reports conflicts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from reidbench.data.fingerprints.fingerprint import fingerprint_content
from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.progressbar import Through, quietly
from reidbench.store.artifact import Artifact, BadArtifact, DamagedArtifact
from reidbench.store.artifacts import Store
from reidbench.store.manifests import KEY, sealed

from .archive import CHUNK
from .reading import Pack
from .recorded import recorded_plan
from .redaction import bare

SELF_REPORTED = "self-reported"
MEASURED = "profile"  # a stage whose measurements differ between runs
LARGEST_HEADER = 64 << 20  # bytes
MOST_SHOWN = 4  # numbers named in a conflict


@dataclass
class Merged:
    """The outcome of a merge: counts, and sentences about conflicts and skipped artifacts."""

    artifacts: int = 0
    records: int = 0
    boards: int = 0
    there: int = 0  # artifacts that the target already had
    conflicts: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class Source(Protocol):
    """A store or a pack to merge."""

    name: str

    def keys(self) -> Iterable[str]:
        """Return the keys of artifacts with files."""

    def records(self) -> Iterable[str]:
        """Return the keys of manifests without files."""

    def manifest(self, key: str) -> Mapping[str, Any]:
        """Return the manifest of a key. Raises BadArtifact, KeyError and ReidbenchError."""

    def fill(self, key: str, folder: Path) -> None:
        """Copy the files of an artifact to a folder. Raises as `manifest`."""

    def file(self, key: str, name: str) -> Path | None:
        """Return a file of an artifact if it is on disk."""

    def beside(self, target: Store) -> int:
        """Copy boards and package lists. Return the number of new boards."""

    def failures(self) -> Iterable[tuple[str, str, bool]]:
        """Return key and reason of each failed stage, and whether its process died."""


def open_source(path: Path, *, trusted: bool) -> StoreSource | PackSource:
    """Open a folder as a store or a file as a pack. Raises ReidbenchError if it is neither."""
    if not path.is_dir():
        return PackSource(Pack(path), trusted=trusted)
    if not any((path / name).is_dir() for name in ("objects", "records")):
        raise ReidbenchError(f"{shown(path)}: not a results store (it has no folder `objects`)")
    return StoreSource(Store(path))


class StoreSource:
    """A local store, merged unchanged."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.name = shown(store.root)

    def close(self) -> None:
        """Do nothing."""

    def keys(self) -> Iterable[str]:
        return sorted(filter(KEY.fullmatch, self.store.keys()))

    def records(self) -> Iterable[str]:
        return sorted(self.store.records())

    def manifest(self, key: str) -> Mapping[str, Any]:
        return self.store.manifest(key).manifest

    def fill(self, key: str, folder: Path) -> None:
        artifact = self.store.manifest(key)
        for name, said in artifact.manifest["files"].items():
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(artifact.path / name, copy, follow_symlinks=False)
                whole = not copy.is_symlink() and fingerprint_content(copy) == said["sha256"]
            except (OSError, shutil.Error) as error:
                raise DamagedArtifact(key, f"{artifact.path / name}: {getattr(error, 'strerror', error)}") from None
            if not whole:
                raise DamagedArtifact(key, f"{artifact.path / name}: the file differs from the published one")

    def file(self, key: str, name: str) -> Path | None:
        return self.store.path(key) / name

    def beside(self, target: Store) -> int:
        before = len(target.files("boards"))
        for kept in self.store.boards():
            target.save_board(kept.board, kept.date, kept.source)
        for file in self.store.files("environments"):
            packages = self.store.environment(file.stem)
            if packages is not None:
                target.keep_environment(packages)
        return len(target.files("boards")) - before

    def failures(self) -> Iterable[tuple[str, str, bool]]:
        for file in self.store.files("failures"):
            reason = self.store.failure(file.stem) if KEY.fullmatch(file.stem) else None
            if reason is not None:
                yield file.stem, reason, self.store.died(file.stem)


class PackSource:
    """A pack: its results are self-reported unless trusted; stages other than evaluations have manifests only."""

    def __init__(self, pack: Pack, *, trusted: bool) -> None:
        self.pack = pack
        self.trusted = trusted
        self.name = pack.name
        self.plan = recorded_plan(pack.board)  # raises for an invalid board

    def close(self) -> None:
        """Close the file."""
        self.pack.close()

    def keys(self) -> Iterable[str]:
        return sorted(self._whole)

    def records(self) -> Iterable[str]:
        return sorted(self.pack.manifests.keys() - self._whole)

    @cached_property
    def _whole(self) -> frozenset[str]:
        return frozenset(key for key in self.pack.manifests if self._has_files(key))

    def _has_files(self, key: str) -> bool:
        """Return whether the pack has all files of an evaluation."""
        manifest = self.pack.manifests[key]
        if manifest.get("stage", {}).get("kind") != "evaluate":
            return False
        return bool(manifest["files"]) and set(self.pack.results(key)) == set(manifest["files"])

    def manifest(self, key: str) -> Mapping[str, Any]:
        found = dict(self.pack.manifests[key])
        if not self.trusted:
            found.pop("claimed", None)
            found["checked"] = SELF_REPORTED  # for stages of any kind
        return found

    def fill(self, key: str, folder: Path) -> None:
        for name, content in self.pack.results(key).items():
            (folder / name).write_bytes(content)

    def file(self, key: str, name: str) -> Path | None:
        return None

    def beside(self, target: Store) -> int:
        """Copy package lists, and the board of a trusted pack: an untrusted board may name any file as its own."""
        before = len(target.files("boards"))
        dates = (str(manifest.get("started", "")) for manifest in self.pack.manifests.values())
        if self.trusted:
            target.save_board(self.pack.board, max(dates, default=""), self.name)
        for packages in self.pack.environments.values():
            target.keep_environment(packages)
        return len(target.files("boards")) - before

    def failures(self) -> Iterable[tuple[str, str, bool]]:
        return [(key, reason, False) for key, reason in self.pack.failures.items() if KEY.fullmatch(key)]


def merge(sources: Iterable[Source], target: Store, through: Through = quietly) -> Merged:
    """Add the contents of all sources to a store, in order; existing artifacts do not change.

    Raises ReidbenchError for an invalid source, and StoreError if the store cannot be written.
    """
    target.prepare()
    done = Merged()
    origins: dict[str, str] = {}
    for source in sources:
        merging = _Merging(source, target, done, origins)
        for key in through(f"merging {source.name}", [*source.keys(), *source.records()]):
            merging.take(key)
        for key, reason, died in source.failures():
            if not target.has(key) and target.failure(key) is None:
                target.record_failure(key, reason, died=died)
        done.boards += source.beside(target)
    return done


@dataclass(frozen=True)
class _Merging:
    """The merge of one source; `origins` are the sources of the artifacts added by this merge."""

    source: Source
    target: Store
    done: Merged
    origins: dict[str, str]

    @cached_property
    def whole(self) -> frozenset[str]:
        """Keys of the source's artifacts with files."""
        return frozenset(self.source.keys())

    def take(self, key: str) -> None:
        """Merge one artifact or record; a damaged one is reported and skipped."""
        try:
            given = self.source.manifest(key)
            there = self.target.has(key)
            same = not (there or key in self.kept) or self.compare(key, given)
            if not there and key in self.whole and same:  # files of another run are not those of a kept manifest
                self.publish(key, given)
            elif not there and key not in self.whole and self.target.keep_record(key, sealed(given)):
                self.origins[key] = self.source.name
                self.done.records += 1
            self.done.there += there
        except KeyError:
            self.done.left_out.append(f"{self.source.name}: {key}: removed during the merge")
        except BadArtifact as error:
            self.done.left_out.append(f"{self.source.name}: {error}")

    @cached_property
    def kept(self) -> set[str]:
        """Keys of manifests without files in the target before this source."""
        return self.target.records()

    def publish(self, key: str, given: Mapping[str, Any]) -> None:
        """Copy an artifact, unless another process is computing it."""
        with self.target.claim(key) as mine:
            if not mine:
                busy = f"another process is computing it in {shown(self.target.root)}"
                self.done.left_out.append(f"{self.source.name}: {_label(given)}: {busy}")
                return
            with self.target.publishing(key) as (folder, manifest):
                self.source.fill(key, folder)
                manifest.update(given)
        self.origins[key] = self.source.name
        self.done.artifacts += 1

    def compare(self, key: str, given: Mapping[str, Any]) -> bool:
        """Report differences between the existing and the given result. Returns whether there are none."""
        try:
            there = self.target.manifest(key)
        except BadArtifact as error:
            self.done.left_out.append(f"{error}; it is not changed: `reidbench run` recomputes it")
            return True
        differs = differences(there.manifest, given) + _other_files(there, self.source, key, given)
        if differs:
            first = _made(there.manifest, self.origins.get(key, shown(self.target.root)))
            self.done.conflicts.append(
                f"{_label(there.manifest)} ({key}): {'; '.join(differs)} - kept: {first}; "
                f"ignored: {_made(given, self.source.name)}"
            )
        return not differs


# ---------------------------------------------------------------------- conflicts
def differences(there: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return the differences between the results in two manifests of one key, as text.

    Times, hosts and versions may differ. Only the last part of paths in notes counts, since packs redact the rest.
    """
    kind = given.get("stage", {}).get("kind")
    found = [] if kind == MEASURED else _other_metrics(there.get("metrics", {}), given.get("metrics", {}))
    for name, what in (("notes", "notes"), ("protocol", "protocol words")):
        one, other = ({bare(text) for text in manifest.get(name, ())} for manifest in (there, given))
        if one != other:
            sides = [f"{len(only)} only {where}" for only, where in ((one - other, "kept"), (other - one, "ignored"))]
            text = min((one - other) | (other - one))
            found.append(f"different {what} ({', '.join(sides)}, such as {shown(text)!r})")
    return found


def _other_metrics(there: Mapping[str, float], given: Mapping[str, float]) -> list[str]:
    names = sorted(name for name in there.keys() | given.keys() if there.get(name) != given.get(name))
    shown_first = [f"{name} {there.get(name, 'none')} and {given.get(name, 'none')}" for name in names[:MOST_SHOWN]]
    more = [f"{len(names) - MOST_SHOWN} more metrics"] if len(names) > MOST_SHOWN else []
    return shown_first + more


def _other_files(there: Artifact, source: Source, key: str, given: Mapping[str, Any]) -> list[str]:
    """Return common files with different contents. Packs redact paths in notes, so only other words count."""
    one, other = there.manifest["files"], given["files"]
    names = [name for name in sorted(one.keys() & other.keys()) if one[name]["sha256"] != other[name]["sha256"]]
    return [
        f"different {shown(name)}" for name in names if not _same_content(there.path / name, source.file(key, name))
    ]


def _same_content(there: Path, given: Path | None) -> bool:
    """Return whether files with other bytes are equivalent: notes without paths, tensors in any order of names.

    Notes and tensors also count as equivalent if one of the files is missing.
    """
    if there.name == "notes.json":
        return given is None or not given.is_file() or not there.is_file() or _notes(there) == _notes(given)
    if there.suffix != ".safetensors":
        return False
    return given is None or not given.is_file() or not there.is_file() or _same_tensors(there, given)


def _notes(file: Path) -> Any:
    try:
        return bare(json.dumps(json.loads(file.read_bytes()), sort_keys=True, ensure_ascii=False))
    except (OSError, ValueError, RecursionError):
        return file


def _same_tensors(there: Path, given: Path) -> bool:
    """Return whether two tensor files have the same header in any order of names, and the same data."""
    try:
        with there.open("rb") as one, given.open("rb") as other:
            if _header(one) != _header(other):
                return False
            while part := one.read(CHUNK):
                if part != other.read(len(part)):
                    return False
            return not other.read(1)
    except (OSError, ValueError, RecursionError):
        return False


def _header(stream: BinaryIO) -> Any:
    length = int.from_bytes(stream.read(8), "little")
    if length > LARGEST_HEADER:
        raise ValueError(length)
    return json.loads(stream.read(length))


def _made(manifest: Mapping[str, Any], where: str) -> str:
    """Return the source, host and time of a result as text."""
    host = manifest.get("host")
    made = f"run on {shown(str(host))}" if host else "host unknown"
    started = f", {shown(str(manifest['started']))}" if manifest.get("started") else ""
    return f"{where} ({made}{started})"


def _label(manifest: Mapping[str, Any]) -> str:
    return shown(str(manifest.get("stage", {}).get("label", "a stage without a label")))
