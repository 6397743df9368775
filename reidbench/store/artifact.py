"""A published artifact, and what is wrong with one that is there and cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidbench.errors import StoreError

from .leavings import MANIFEST


class BadArtifact(StoreError):
    """An artifact that is there and cannot be used."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key


class DamagedArtifact(BadArtifact):
    """An artifact whose bytes are not those that were published, or that no stage can have published."""


class UnreadableArtifact(BadArtifact):
    """An artifact that this user may not read, or that the disk does not give. It may be whole: nobody removes it."""


@dataclass(frozen=True)
class Artifact:
    """A published artifact: its folder and its manifest."""

    key: str
    path: Path
    manifest: Mapping[str, Any]

    @property
    def metrics(self) -> Mapping[str, float]:
        """The numbers that the stage reported. Raises DamagedArtifact when there are none."""
        metrics: Mapping[str, float] = self.need("metrics")
        return metrics

    @property
    def notes(self) -> tuple[str, ...]:
        """What the stage noted: images left out, rounds skipped, weights not loaded."""
        return tuple(self.manifest.get("notes", ()))

    @property
    def label(self) -> str:
        """The stage in words."""
        return str(self.manifest.get("stage", {}).get("label", "a stage without a name"))

    def need(self, *names: str) -> Any:
        """A field of the manifest, `need("stage", "kind")` one of its stage. Raises DamagedArtifact without it."""
        found: Any = self.manifest
        for name in names:
            if name not in found:
                raise DamagedArtifact(self.key, f"{self.path}: {MANIFEST} is damaged: {'.'.join(names)} is missing")
            found = found[name]
        return found
