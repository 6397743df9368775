"""Published artifacts, and errors for those that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidbench.errors import StoreError

from .leavings import MANIFEST


class BadArtifact(StoreError):
    """Raised when an artifact exists but cannot be used."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key


class DamagedArtifact(BadArtifact):
    """Raised when the bytes of an artifact are not those published, or no stage can have published them."""


class UnreadableArtifact(BadArtifact):
    """Raised when this user or the disk cannot read an artifact. It may be intact, so it is never removed."""


@dataclass(frozen=True)
class Artifact:
    """Published artifact: its folder and its manifest."""

    key: str
    path: Path
    manifest: Mapping[str, Any]

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics of the stage. Raises DamagedArtifact if there are none."""
        metrics: Mapping[str, float] = self.need("metrics")
        return metrics

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of the stage: images left out, rounds skipped, weights not loaded."""
        return tuple(self.manifest.get("notes", ()))

    @property
    def label(self) -> str:
        """Label of the stage."""
        return str(self.manifest.get("stage", {}).get("label", "a stage without a name"))

    def need(self, *names: str) -> Any:
        """Return a field of the manifest or, as in `need("stage", "kind")`, of its stage. Raises DamagedArtifact."""
        found: Any = self.manifest
        for name in names:
            if name not in found:
                raise DamagedArtifact(self.key, f"{self.path}: {MANIFEST} is damaged: {'.'.join(names)} is missing")
            found = found[name]
        return found
