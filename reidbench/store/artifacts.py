"""Store of artifacts by key: visible only when complete, verified when read, claimed while made."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from reidbench.data.fingerprints.fingerprint import fingerprint_content
from reidbench.errors import StoreError
from reidbench.files.atomic import flush, rename_whole, write_whole
from reidbench.files.filesystem import (
    appended,
    discard,
    is_folder,
    is_foreign,
    own_lock,
    regular_bytes,
    unreadable,
)

from .artifact import Artifact, DamagedArtifact, UnreadableArtifact
from .facts import facts, glance, shared
from .kept import Kept
from .leavings import MANIFEST as MANIFEST
from .leavings import check_leavings
from .locks import HEARTBEAT, Watch, beating, owner_of
from .locks import identity as _identity
from .locks import process_start as process_start
from .manifests import KEY, fault, is_whole, names_files, sealed

GONE = "the artifact is gone"  # suffix of the reason when an artifact has disappeared


class Store(Kept):
    """Store folder. `objects/<key>` are complete artifacts; the other folders are working space, or keep what outlasts
    them.

    A manifest kept without its artifact (`records/<key>.json`) can be read like that of an artifact: `manifest`,
    `facts` and `with_facts` fall back to it. `has`, `keys` and `read` ignore it: a stage that needs the artifact makes
    it again.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.watch = Watch()
        self._held: dict[Path, frozenset[str]] = {}

    @property
    def roots(self) -> list[Path]:
        """The folders that are read: the store's own."""
        return [self.root]

    # ------------------------------------------------------------------ reading
    def path(self, key: str) -> Path:
        """Return the path of the artifact of that key, published or not."""
        return self.root / "objects" / key

    def has(self, key: str) -> bool:
        """Return whether an artifact of that key is published, even if this user may not open it."""
        try:
            return (self.path(key) / MANIFEST).is_file()
        except OSError:
            return os.path.lexists(self.path(key))

    def keys(self) -> set[str]:
        """Return the keys of all published artifacts; folders created by file systems and desktops are ignored."""
        try:
            with os.scandir(self.root / "objects") as entries:
                return {entry.name for entry in entries if is_folder(entry) and not is_foreign(entry.name)}
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise StoreError(f"{self.root}: the store cannot be read: {error.strerror}") from None

    def manifest(self, key: str) -> Artifact:
        """Return the artifact with its manifest verified, but not its files.

        Raises KeyError if absent, DamagedArtifact, and UnreadableArtifact if the system refuses access.
        """
        return self._read(key)[0]

    def with_facts(self, key: str, names: tuple[str, ...]) -> tuple[Artifact, Mapping[str, Any]]:
        """Return the results of `manifest` and `facts` from one read of the file. Raises like `manifest`."""
        artifact, text = self._read(key)
        found = shared(text, names)
        return artifact, artifact.manifest if found is None else found

    def _read(self, key: str) -> tuple[Artifact, bytes]:
        """Return the result of `manifest` and the text of the file."""
        path = self.path(key)
        try:
            text = regular_bytes(f"{path}/{MANIFEST}")
        except (FileNotFoundError, NotADirectoryError):
            if path.is_dir():
                raise DamagedArtifact(key, f"{path}: {MANIFEST} is missing") from None
            return self._record(key)
        except OSError as error:
            raise UnreadableArtifact(key, unreadable(path / MANIFEST, error)) from None
        except ValueError:
            raise DamagedArtifact(key, f"{path}: {MANIFEST} is damaged") from None
        return Artifact(key, path, _verified(key, text, f"{path}: {MANIFEST}")), text

    def _record(self, key: str) -> tuple[Artifact, bytes]:
        """Return the kept manifest of an artifact that is not in the store. Raises like `manifest`."""
        file = self.record_file(key)
        try:
            text = regular_bytes(file)
        except (FileNotFoundError, NotADirectoryError):
            raise KeyError(key) from None
        except OSError as error:
            raise UnreadableArtifact(key, unreadable(file, error)) from None
        except ValueError:
            raise DamagedArtifact(key, f"{file} is damaged") from None
        return Artifact(key, self.path(key), _verified(key, text, str(file))), text

    def facts(self, key: str, names: tuple[str, ...]) -> Mapping[str, Any]:
        """Return some verified fields of the manifest, faster than `manifest` for many artifacts. Raises like it."""
        with contextlib.suppress(OSError, ValueError):
            found = facts(regular_bytes(f"{self.root}/objects/{key}/{MANIFEST}"), key, names)
            if found is not None:
                return found
        artifact, text = self._read(key)
        found = shared(text, names)
        return artifact.manifest if found is None else found

    def glance(self, key: str) -> tuple[str, int] | None:
        """Return the verified label and size in bytes of an artifact; None if the full manifest must be read."""
        try:
            return glance(regular_bytes(f"{self.root}/objects/{key}/{MANIFEST}"), key)
        except (OSError, ValueError):
            return None

    def read(self, key: str) -> Artifact:
        """Return the artifact, all files verified. Raises like `manifest`; KeyError if only the manifest is kept."""
        artifact = self.manifest(key)
        if not artifact.manifest["files"] and not self.has(key):
            raise KeyError(key)
        for name, entry in artifact.manifest["files"].items():
            file = artifact.path / name
            try:
                found = file.stat()
                intact = stat.S_ISREG(found.st_mode) and found.st_size == entry["size"]
                intact = intact and fingerprint_content(file) == entry["sha256"]
            except PermissionError as error:
                raise UnreadableArtifact(key, unreadable(file, error)) from None
            except (OSError, ValueError):  # ValueError: a name that no file can have
                intact = False
            if not intact and not self.has(key):  # removed while it was read
                raise KeyError(key)
            if not intact:
                raise DamagedArtifact(key, f"{file}: the file differs from the published one")
        return artifact

    def set_aside(self, key: str) -> Path:
        """Move a damaged artifact aside, so that its stage runs again. Returns its new path."""
        for number in range(1, 1000):
            aside = self._place("damaged", f"{key}-{number}")
            if os.path.lexists(aside):
                continue
            try:
                with self.writing(), contextlib.suppress(FileNotFoundError):
                    self.path(key).rename(aside)
            except StoreError:
                if os.path.lexists(aside):  # another driver took that name meanwhile
                    continue
                raise
            return aside
        raise StoreError(f"{self.root}: too many damaged artifacts of {key}")

    # ------------------------------------------------------------------ writing
    @contextlib.contextmanager
    def publishing(self, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield an empty folder and a manifest to fill; publish both with one rename if the block succeeds.

        Raises UnfitLeavings if the folder contains something that cannot be published, such as a link.
        """
        folder = self._place("tmp", _own_name(key))
        manifest: dict[str, Any] = {}
        try:
            with self.writing():
                folder.mkdir()
                owner = folder.stat().st_uid
            yield folder, manifest
            with self.writing():
                check_leavings(folder, owner, frozenset({MANIFEST}))
                self._seal(folder, key, manifest)
                final = self._place("objects", key)
                if not final.is_dir():
                    self._clear(final)
                rename_whole(folder, final, lambda: self.has(key))
            # The artifact is published: the rest is cleanup.
            discard(self.root / "scratch" / key)
            for file in (self.failure_file(key), self.record_file(key)):
                with contextlib.suppress(OSError):
                    file.unlink(missing_ok=True)
        finally:
            discard(folder)

    def _seal(self, folder: Path, key: str, manifest: dict[str, Any]) -> None:
        """Write the manifest last, with checksums of all files and of itself, and flush everything to disk."""
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        manifest["key"] = key
        manifest["files"] = {
            path.relative_to(folder).as_posix(): {"sha256": fingerprint_content(path), "size": path.stat().st_size}
            for path in files
        }
        (folder / MANIFEST).write_text(sealed(manifest))
        for path in [*files, folder / MANIFEST]:
            flush(path)

    def scratch(self, key: str) -> Path:
        """Return a folder for a stage's checkpoints; it survives crashes and is removed on publication."""
        path = self._place("scratch", key)
        with self.writing():
            if not path.is_dir():
                self._clear(path)
            path.mkdir(exist_ok=True)
        return path

    def spare_place(self, key: str) -> Path:
        """Return a path to move something of that key to before it is removed; unique per call."""
        return self._place("tmp", _own_name(key if KEY.fullmatch(key) else "x"))

    def _clear(self, file: Path) -> None:
        """Remove a file with one of the store's names. A folder is set aside, as it may contain a user's files."""
        try:
            file.unlink(missing_ok=True)
        except OSError:
            if not file.is_dir():
                raise
            file.rename(self._place("damaged", _own_name(file.stem)))

    def log_file(self, key: str) -> Path:
        """Return the path of the worker's log."""
        return self._place("logs", f"{key}.log")

    def log(self, key: str) -> BinaryIO:
        """Open the log of a worker for appending; anything else under its name is moved aside. Raises StoreError."""
        file = self.log_file(key)
        with self.writing():
            try:
                return appended(file)
            except ValueError:
                self._clear(file)
                return appended(file)

    def spec_file(self, key: str) -> Path:
        """Return a path for a stage's spec, written by this process for its worker; unique per call."""
        return self._place("specs", f"{_own_name(key)}.json")

    # ------------------------------------------------------------------ failures
    def failure_file(self, key: str) -> Path:
        """Return the path of a failed stage's reason."""
        return self.root / "failures" / f"{key}.json"

    def record_failure(self, key: str, error: str, trace: str = "", died: bool = False) -> None:
        """Record why a stage failed, for the table, and whether its process died; a later success removes it."""
        self._place("failures", key)
        with self.writing():
            if self.failure_file(key).is_dir():
                self._clear(self.failure_file(key))
            told = {"error": error, "traceback": trace, **({"died": True} if died else {})}
            write_whole(self.failure_file(key), json.dumps(told).encode())

    def forget_failure(self, key: str) -> None:
        """Forget a failure, so that the stage is tried again."""
        with self.writing():
            self._clear(self.failure_file(key))

    def failure(self, key: str) -> str | None:
        """Return why the stage last failed, or None."""
        told = self._failure(key)
        return None if told is None else str(told["error"])

    def died(self, key: str) -> bool:
        """Return whether the process of a failed stage died, which is not the stage's fault."""
        told = self._failure(key)
        return told is not None and told.get("died") is True

    def _failure(self, key: str) -> dict[str, Any] | None:
        try:
            told = json.loads(regular_bytes(self.failure_file(key)))
        except (OSError, ValueError, RecursionError):
            return None
        return told if isinstance(told, dict) and "error" in told else None

    # ------------------------------------------------------------------ claims of stages, locks of runs
    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Claim the exclusive right to make `key`. Yields False at once if a live owner already has it."""
        file = self._place("claims", f"{key}.json")
        claim = json.dumps({**_identity(), "since": time.time_ns()})
        with self.writing():
            taken = self._take(file, claim)
        if not taken:
            yield False
            return
        with beating(file, claim, HEARTBEAT):
            yield True

    @contextlib.contextmanager
    def needing(self, keys: Iterable[str]) -> Iterator[None]:
        """Protect artifacts, made or not, from `clean` on any host during a whole run.

        Raises StoreError if the store cannot be written.
        """
        file = self._place("runs", f"{secrets.token_hex(16)}.json")
        text = json.dumps({**_identity(), "since": time.time_ns(), "keys": sorted(keys)})
        with self.writing(), self.exclusively():
            write_whole(file, text.encode())
        with beating(file, text, HEARTBEAT):
            yield

    def runs(self) -> dict[Path, frozenset[str]]:
        """Return the keys protected by runs that are not known to be dead, by the file of each run."""
        return {file: self._keys_of(file) for file in self._run_files() if self.watch.gone(file) is not True}

    def is_needed(self, key: str) -> bool:
        """Return whether a run that is not known to be dead needs the artifact of that key."""
        return any(key in self._keys_of(file) and self.watch.gone(file) is not True for file in self._run_files())

    def _run_files(self) -> list[Path]:
        return [file for file in self.files("runs") if file.suffix == ".json"]

    def _keys_of(self, file: Path) -> frozenset[str]:
        if file not in self._held:  # read once: it is written atomically and never changes
            try:
                self._held[file] = frozenset(map(str, json.loads(regular_bytes(file))["keys"]))
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                self._held[file] = frozenset()
        return self._held[file]

    def _take(self, file: Path, claim: str) -> bool:
        with self.exclusively():  # two drivers may both find a dead owner's claim
            if self.watch.gone(file) is not True:
                return False
            if file.is_dir():
                self._clear(file)
            write_whole(file, claim.encode())
            return True

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Block all others from taking or removing claims for a moment."""
        file = self._place("claims", ".lock")
        with self.writing():
            try:
                lock = own_lock(file)
            except ValueError:
                self._clear(file)
                lock = own_lock(file)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def now(self) -> float:
        """Return the time of the store's file system, since clocks of hosts differ. Raises StoreError."""
        file = self._place("claims", ".clock")
        with self.writing():
            file.touch()
            return file.stat().st_mtime

    def claimed(self, key: str) -> bool:
        """Return whether a live owner has the claim on `key`, as far as this object has observed.

        Removes a dead owner's claim, so a worker, which would have to observe it first, need not wait again.
        """
        file = self.claim_file(key)
        if not file.exists():
            return False
        if self.watch.gone(file) is not True:
            return True
        with self.writing(), self.exclusively():
            if self.watch.gone(file):
                self._clear(file)
        return False

    def owner(self, key: str) -> str:
        """Return who has the claim on `key` and since when, in words; "" if nobody has."""
        return owner_of(self.claim_file(key))

    def claim_file(self, key: str) -> Path:
        """Return the path of the claim on `key`."""
        return self.root / "claims" / f"{key}.json"

    def prepare(self) -> None:
        """Create the store's folders, test writing, and remove temporary folders and locks of dead processes.

        A writer has the claim on its key, which shows whether it is alive, on this or another host.

        Raises StoreError if the folder cannot be written.
        """
        self._place("objects", "any")
        self._place("tmp", "any")
        probe = self._place("claims", f".probe-{os.getpid()}")
        with self.writing():
            try:
                probe.write_bytes(b"x")
            finally:
                probe.unlink(missing_ok=True)
        for lock in self._run_files():
            if self.watch.gone(lock):
                with contextlib.suppress(OSError):  # another user's; it no longer locks anything
                    lock.unlink()
        for folder in self.files("tmp"):
            key, _, rest = folder.name.partition("-")
            if self.watch.gone(self.claim_file(key)) is not True:
                continue
            pid = rest.partition("-")[0]
            if not pid.isdigit() or process_start(int(pid)) is None:
                discard(folder)


def _verified(key: str, text: bytes, name: str) -> dict[str, Any]:
    """Return the verified manifest of that key from its text, called `name` in errors. Raises DamagedArtifact."""
    manifest: dict[str, Any] = {}
    try:
        manifest = json.loads(text)
        intact = is_whole(text, manifest) and manifest["key"] == key and names_files(manifest)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        intact = False
    if not intact:
        raise DamagedArtifact(key, f"{name} is damaged")
    if wrong := fault(manifest):
        raise DamagedArtifact(key, f"{name} is damaged: {wrong}")
    return manifest


def _own_name(key: str) -> str:
    """Return a file name unique to this process across hosts: two containers may use the same pid at one time."""
    return f"{key}-{os.getpid()}-{secrets.token_hex(8)}"
