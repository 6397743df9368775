"""Findings of a check: one line for the plugin, one for each component."""

from __future__ import annotations

from dataclasses import dataclass, field

from reidbench.registry.plugins import printable


@dataclass(frozen=True)
class Line:
    """Outcome of one component: `ok`, `failed` with the reasons, or `skipped` with the reason."""

    kind: str
    name: str
    status: str
    text: str = ""

    def __str__(self) -> str:
        return printable(f"{self.kind:<10} {self.name:<20} {self.status:<7} {self.text}".rstrip())


@dataclass
class Findings:
    """All lines of one plugin, and the digests of its results by `kind name`."""

    plugin: str
    lines: list[Line] = field(default_factory=list)
    digests: dict[str, dict[str, object]] = field(default_factory=dict)

    @property
    def failures(self) -> list[Line]:
        """Lines that failed."""
        return [line for line in self.lines if line.status == "failed"]

    def __str__(self) -> str:
        return "\n".join(map(str, self.lines))


class Broken(Exception):
    """Raised for a contract that a component violates, as `word: what happened`."""


def need(kept: bool, sentence: str) -> None:
    """Raise Broken with the sentence unless `kept`."""
    if not kept:
        raise Broken(sentence)
