"""Read untrusted packs: form, sizes and checksums are verified before any content is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.store.kept import environment_digest
from reidbench.store.manifests import fault, names_files, sealed

from . import entries as form
from .archive import Archive

Features = tuple[np.ndarray, np.ndarray]


class Pack:
    """An open, valid pack: it contains only files of packs, with the checksums in `pack.json`.

    This proves that the files are intact, not that their contents are true. `digest` is the SHA-256 of `pack.json`,
    which contains that of every other file.
    """

    def __init__(self, path: Path) -> None:
        """Open and verify a pack. Raises ReidbenchError for an invalid one."""
        self.path = path
        self._archive = Archive(path)
        try:
            self._check_names()
            text = self._archive.read(form.PACK)
            self.digest = hashlib.sha256(text).hexdigest()
            about = self._json(form.PACK, text)
            self._files = self._listed(about)
            self.title = str(about["title"])
            self.version = str(about["reidbench"])
            self._check_sums()
            self.board: Mapping[str, Any] = self._mapping(form.BOARD)
            self.text = self._text(form.MATRIX)
            if self.board.get("text") != self.text:
                raise self.wrong("the matrix file differs from the text in the board")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def wrong(self, what: str) -> ReidbenchError:
        """Return an error about this pack."""
        return self._archive.wrong(what)

    @property
    def name(self) -> str:
        """Name and digest for messages."""
        return f"{shown(self.path.name)} ({self.digest[:12]})"

    # ------------------------------------------------------------------ contents
    @cached_property
    def manifests(self) -> Mapping[str, Mapping[str, Any]]:
        """Manifests by key of the stage, verified on access. Access raises ReidbenchError."""
        return _Lazily(self._keys("manifests/"), self._manifest)

    @cached_property
    def environments(self) -> Mapping[str, Mapping[str, str]]:
        """Package lists by digest (version by name), verified on access."""
        return _Lazily(self._keys("environments/"), self._environment)

    @cached_property
    def failures(self) -> Mapping[str, str]:
        """Reasons of failed stages by key."""
        found = self._mapping(form.FAILURES) if form.FAILURES in self._files else {}
        if not all(isinstance(reason, str) for reason in found.values()):
            raise self.wrong(f"{form.FAILURES} contains values that are not text")
        return found

    def manifest_text(self, key: str) -> bytes:
        """Return a manifest as stores write it."""
        return self._read(f"manifests/{key}.json")

    def results(self, key: str) -> Mapping[str, bytes]:
        """Return the files of an evaluation by name, verified with its manifest. Raises ReidbenchError.

        Empty for a stage without files, or without files in the pack.
        """
        names = [name for name in form.RESULTS if f"results/{key}/{name}" in self._files]
        if not names:
            return {}
        listed = self.manifests[key].get("files", {}) if key in self.manifests else {}
        found = {name: self._read(f"results/{key}/{name}") for name in names}
        for name, content in found.items():
            said = listed.get(name, {})
            if said.get("size") != len(content) or said.get("sha256") != hashlib.sha256(content).hexdigest():
                raise self.wrong(f"results/{key}/{name} does not match the manifest of its stage")
        if wrong := form.npz_fault(found["per_query.npz"]) if "per_query.npz" in found else "":
            raise self.wrong(f"results/{key}/per_query.npz: {wrong}")
        return found

    def features(self, key: str) -> Features | None:
        """Return query and gallery features [N, D] of an embed stage in half precision; None if the pack lacks them.

        Raises ReidbenchError.
        """
        names = [f"features/{key}/{side}.npy" for side in form.SIDES]
        there = [name for name in names if name in self._files]
        if not there:
            return None
        if len(there) < 2:
            raise self.wrong(f"features/{key} has only one of query and gallery")
        query, gallery = (self._parsed(name, form.from_npy) for name in names)
        if query.shape[1] != gallery.shape[1]:
            raise self.wrong(f"features/{key}: query and gallery have {query.shape[1]} and {gallery.shape[1]} columns")
        return query, gallery

    def rounded(self, key: str) -> Mapping[str, float] | None:
        """Return the values of an evaluation of the pack's features: metrics by name, and "per_query NAME" with the
        mean of each per-query array; None if the pack lacks them. Raises ReidbenchError.
        """
        name = f"rounded/{key}.json"
        if name not in self._files:
            return None
        found = self._mapping(name)
        if any(type(value) not in (int, float) for value in found.values()):
            raise self.wrong(f"{name} contains values that are not numbers")
        return found

    def signature(self) -> bytes | None:
        """Return the SSH signature of the digest, unverified; None without one."""
        return self._archive.read(form.SIGNATURE) if form.SIGNATURE in self._archive.entries else None

    def counts(self) -> tuple[int, int]:
        """Return the numbers of files and bytes of the pack."""
        return len(self._archive.entries), self.path.stat().st_size

    # ------------------------------------------------------------------ opening
    def _check_names(self) -> None:
        folded: dict[str, str] = {}
        texts = 0
        for name, entry in self._archive.entries.items():
            limit = form.limit_of(name)
            if limit is None:
                raise self.wrong(f"packs do not contain a file {shown(name)}")
            if entry.size > limit:
                raise self.wrong(f"{name} has {entry.size} bytes, and the limit is {limit}")
            if other := folded.get(name.lower()):
                raise self.wrong(f"{other} and {name} differ only in case")
            folded[name.lower()] = name
            texts += entry.size if name.startswith(("manifests/", "environments/")) else 0
        if texts > form.MOST_JSON:
            raise self.wrong(f"its manifests have {texts} bytes, and the limit is {form.MOST_JSON}")
        for name in (form.PACK, form.BOARD, form.MATRIX):
            if name not in self._archive.entries:
                raise self.wrong(f"{name} is missing")

    def _listed(self, about: Any) -> dict[str, str]:
        """Return the checksum of each file by name."""
        if not isinstance(about, dict) or about.get("format") != form.FORMAT:
            raise self.wrong(f"its format is not {form.FORMAT}, the only one that this version reads")
        if set(about) != {"format", "reidbench", "title", "files"} or not isinstance(about["files"], dict):
            raise self.wrong(f"{form.PACK} must have exactly format, reidbench, title and files")
        found: dict[str, str] = {}
        for name, said in about["files"].items():
            entry = self._archive.entries.get(name)
            if entry is None or not isinstance(said, dict) or said.get("size") != entry.size:
                raise self.wrong(f"{form.PACK} lists {shown(name)}, which is missing or has a different size")
            found[name] = str(said.get("sha256"))
        if more := self._archive.entries.keys() - found.keys() - {form.PACK, form.SIGNATURE}:
            raise self.wrong(f"{form.PACK} does not list {shown(min(more))}")
        return found

    def _check_sums(self) -> None:
        for name, wanted in self._files.items():
            digest = hashlib.sha256()
            for part in self._archive.parts(name):
                digest.update(part)
            if digest.hexdigest() != wanted:
                raise self.wrong(f"{name} does not match its checksum in {form.PACK}")

    # ------------------------------------------------------------------ reading
    def _keys(self, folder: str) -> list[str]:
        return [name.removeprefix(folder).removesuffix(".json") for name in self._files if name.startswith(folder)]

    def _read(self, name: str) -> bytes:
        """Read a file and verify it again: the pack may have changed since it was opened."""
        content = self._archive.read(name)
        if hashlib.sha256(content).hexdigest() != self._files[name]:
            raise self.wrong(f"{name} does not match its checksum in {form.PACK}")
        return content

    def _parsed(self, name: str, parse: Callable[[bytes], Any]) -> Any:
        try:
            return parse(self._read(name))
        except ValueError as error:
            raise self.wrong(f"{name}: {shown(str(error))}") from None

    def _json(self, name: str, content: bytes) -> Any:
        try:
            return form.from_json(content)
        except ValueError as error:
            raise self.wrong(f"{name}: {shown(str(error))}") from None

    def _mapping(self, name: str) -> Mapping[str, Any]:
        found = self._json(name, self._read(name))
        if not isinstance(found, dict):
            raise self.wrong(f"{name} is not a mapping")
        return found

    def _text(self, name: str) -> str:
        return str(self._parsed(name, bytes.decode))

    def _manifest(self, key: str) -> Mapping[str, Any]:
        name = f"manifests/{key}.json"
        content = self._read(name)
        try:
            manifest = json.loads(content)
            json.dumps(manifest, allow_nan=False, ensure_ascii=False).encode()
            whole = sealed(manifest).encode() == content and manifest["key"] == key and names_files(manifest)
            wrong = fault(manifest)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            whole, wrong = False, ""
        if not whole:
            raise self.wrong(f"{name} is damaged: wrong checksum, key or form of a manifest")
        if wrong:
            raise self.wrong(f"{name}: {shown(wrong)}")
        found: Mapping[str, Any] = manifest
        return found

    def _environment(self, digest: str) -> Mapping[str, str]:
        found = self._mapping(f"environments/{digest}.json")
        texts = all(isinstance(version, str) for version in found.values())
        if not texts or environment_digest(found) != digest:
            raise self.wrong(f"environments/{digest}.json does not match the digest in its name")
        return found


class _Lazily(Mapping[str, Any]):
    """A mapping whose values are computed on first access."""

    def __init__(self, keys: list[str], make: Callable[[str], Any]) -> None:
        self._keys = dict.fromkeys(keys)
        self._make = make
        self._made: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        if key not in self._made:
            self._made[key] = self._make(key)
        return self._made[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys
