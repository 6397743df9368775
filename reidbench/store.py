"""Artifacts on disk by key: visible only when whole, verified when read, claimed while made."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .data.fingerprint import fingerprint_content
from .errors import StoreError

MANIFEST = "manifest.json"
HEARTBEAT = 10.0  # seconds between signs of life of a claim
DEAD_AFTER = 120.0  # seconds without one, after which another host may take a claim over


class DamagedArtifact(StoreError):
    """An artifact whose bytes are not those that were published."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key


@dataclass(frozen=True)
class Artifact:
    """A published artifact: its folder and its manifest."""

    key: str
    path: Path
    manifest: Mapping[str, Any]

    @property
    def metrics(self) -> Mapping[str, float]:
        """The numbers that the stage reported."""
        metrics: Mapping[str, float] = self.manifest["metrics"]
        return metrics


class Store:
    """`objects/<key>` are whole artifacts; the folders beside `objects` serve their making."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def _place(self, *parts: str) -> Path:
        path = self.root.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.root}: the store cannot be written: {error.strerror}") from None
        return path

    # ------------------------------------------------------------------ reading
    def path(self, key: str) -> Path:
        """Where the artifact of that key lies, or would."""
        return self.root / "objects" / key

    def has(self, key: str) -> bool:
        """Whether an artifact of that key is published."""
        return (self.path(key) / MANIFEST).is_file()

    def keys(self) -> set[str]:
        """The keys of all published artifacts."""
        try:
            return set(os.listdir(self.root / "objects"))
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise StoreError(f"{self.root}: the store cannot be read: {error.strerror}") from None

    def manifest(self, key: str) -> Artifact:
        """The artifact with its manifest verified, its files not yet. Raises DamagedArtifact, KeyError if absent."""
        path = self.path(key)
        try:
            manifest = json.loads((path / MANIFEST).read_bytes())
            intact = manifest["checksum"] == _checksum(manifest) and manifest["key"] == key
        except FileNotFoundError:
            if not path.is_dir():
                raise KeyError(key) from None
            raise DamagedArtifact(key, f"{path}: {MANIFEST} is missing") from None
        except (ValueError, KeyError, TypeError):
            intact = False
        if not intact:
            raise DamagedArtifact(key, f"{path}: {MANIFEST} is damaged")
        return Artifact(key, path, manifest)

    def read(self, key: str) -> Artifact:
        """The artifact with every file's checksum verified. Raises DamagedArtifact, KeyError if absent."""
        artifact = self.manifest(key)
        for name, entry in artifact.manifest["files"].items():
            file = artifact.path / name
            try:
                intact = file.stat().st_size == entry["size"] and fingerprint_content(file) == entry["sha256"]
            except OSError:
                intact = False
            if not intact:
                raise DamagedArtifact(key, f"{file}: not the bytes that were published")
        return artifact

    def set_aside(self, key: str) -> Path:
        """Move a damaged artifact out of the way, to be made again. Returns where it is now."""
        for number in range(1, 1000):
            aside = self._place("damaged", f"{key}-{number}")
            if not aside.exists():
                with contextlib.suppress(FileNotFoundError):
                    self.path(key).rename(aside)
                return aside
        raise StoreError(f"{self.root}: too many damaged artifacts of {key}")

    # ------------------------------------------------------------------ writing
    @contextlib.contextmanager
    def publishing(self, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Give an empty folder and a manifest to fill; publish both in one rename when the block ends well."""
        folder = self._place("tmp", f"{key}-{os.getpid()}-{time.time_ns()}")
        manifest: dict[str, Any] = {}
        try:
            folder.mkdir()
            yield folder, manifest
            self._seal(folder, key, manifest)
            final = self._place("objects", key)
            try:
                folder.rename(final)
            except OSError:
                if not self.has(key):  # no race with an equal artifact: a real error
                    raise
            shutil.rmtree(self.scratch(key), ignore_errors=True)
            self.failure_file(key).unlink(missing_ok=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _seal(self, folder: Path, key: str, manifest: dict[str, Any]) -> None:
        """Write the manifest last, with the checksum of each file and of itself, and flush all to disk."""
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        manifest["key"] = key
        manifest["files"] = {
            path.relative_to(folder).as_posix(): {"sha256": fingerprint_content(path), "size": path.stat().st_size}
            for path in files
        }
        manifest["checksum"] = _checksum(manifest)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        for path in [*files, folder / MANIFEST]:
            _flush(path)

    def scratch(self, key: str) -> Path:
        """A folder that outlives a crash, for a stage's checkpoints; it goes when the artifact is published."""
        path = self._place("scratch", key)
        path.mkdir(exist_ok=True)
        return path

    def log_file(self, key: str) -> Path:
        """Where the worker's output goes."""
        return self._place("logs", f"{key}.log")

    def spec_file(self, key: str) -> Path:
        """Where this process writes a stage's spec for its worker."""
        return self._place("specs", f"{key}-{os.getpid()}.json")

    # ------------------------------------------------------------------ failures
    def failure_file(self, key: str) -> Path:
        """Where the reason of a failed stage is kept."""
        return self.root / "failures" / f"{key}.json"

    def record_failure(self, key: str, error: str, trace: str = "") -> None:
        """Keep why a stage failed, for the table; a later success removes it."""
        self._place("failures", key)
        write_whole(self.failure_file(key), json.dumps({"error": error, "traceback": trace}))

    def failure(self, key: str) -> str | None:
        """Why the stage failed last time, or None."""
        try:
            return str(json.loads(self.failure_file(key).read_text())["error"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    # ------------------------------------------------------------------ claims
    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Hold the only right to make `key`. Gives False, at once, when a living owner holds it already."""
        file = self._place("claims", f"{key}.json")
        if not self._take(file):
            yield False
            return
        stop = threading.Event()
        beat = threading.Thread(target=_heartbeat, args=(file, stop), daemon=True)
        beat.start()
        try:
            yield True
        finally:
            stop.set()
            beat.join()
            file.unlink(missing_ok=True)

    def _take(self, file: Path) -> bool:
        # The lock file guards only the moment of taking over: two drivers may both find a dead owner's claim.
        with self._place("claims", ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if file.exists() and not _is_dead(file):
                return False
            write_whole(file, json.dumps(_identity()))
            return True

    def prepare(self) -> None:
        """Make the store's folders, and remove temporary ones of writers that are gone.

        A writer holds the claim of its key, which tells whether it lives, on this host or another.

        Raises StoreError when the place cannot be written.
        """
        self._place("objects", "any")
        temporary = self._place("tmp", "any").parent
        for folder in temporary.iterdir():
            key, pid, *_ = folder.name.split("-")
            if not _is_dead(self.root / "claims" / f"{key}.json"):
                continue
            if not pid.isdigit() or process_start(int(pid)) is None:
                shutil.rmtree(folder, ignore_errors=True)


def _checksum(manifest: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in manifest.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def write_whole(file: Path, text: str) -> None:
    """Replace a small file in one step, so that no reader sees half of it."""
    beside = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
    beside.write_text(text)
    os.replace(beside, file)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _identity() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "start": process_start(os.getpid())}


def _heartbeat(file: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT):
        with contextlib.suppress(OSError):  # a missed beat matters only after DEAD_AFTER
            os.utime(file)


def _is_dead(file: Path) -> bool:
    """Whether a claim's owner is gone: by pid and start time on this host, by its heartbeat on another."""
    try:
        owner = json.loads(file.read_text())
        if owner["host"] == socket.gethostname():
            return bool(process_start(int(owner["pid"])) != owner["start"])
        return time.time() - file.stat().st_mtime > DEAD_AFTER
    except FileNotFoundError:
        return True
    except (ValueError, KeyError, TypeError):
        return True  # claims are written whole, so an unreadable one is of no living owner


def process_start(pid: int) -> str | None:
    """When a process of this host started, in the kernel's own words, or None when it is gone.

    The start time tells a process from a later one with the same pid. Without /proc (macOS) it is unknown, and
    any living process with that pid counts as the owner.
    """
    try:
        # Fields after the command name, which may hold blanks and brackets: state is the 1st, start time the 20th.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return None
        try:
            os.kill(pid, 0)
        except OSError:
            return None
        return "unknown"
    except ProcessLookupError:
        return None
    return None if fields[0] in "ZX" else fields[19]
