"""Compare what numbers were made with: versions, plugin sources, processors, precision."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNKNOWN = "unknown"
READ = ("versions", "platform", "processor", "plugin", "source", "settings")  # fields of a manifest
ARCHITECTURE = re.compile(r"(?i)\b(?:x86_64|amd64|aarch64|arm64|i[3-6]86|ppc64le|s390x|riscv64)\b")

Slot = tuple[str, str, int]  # kind and component of a stage, and its place among the equal ones behind a row
Conditions = tuple[tuple[str, str], ...]  # what, and its value
Made = Mapping[Slot, tuple[str, Conditions]]  # the stages behind one result: key, and what it was made with


@dataclass(frozen=True)
class Mixture:
    """One condition that differs among the results of one mean: a word for the protocol, and a sentence."""

    word: str
    sentence: str


def conditions(manifest: Mapping[str, Any]) -> Conditions:
    """Conditions, from its manifest, that can change a stage's numbers and are no part of its key."""
    versions = [(f"{name} versions", version) for name, version in sorted(manifest.get("versions", {}).items())]
    platform = manifest.get("platform", "")
    found = ARCHITECTURE.search(platform)
    processor = [manifest.get("processor", ""), found[0].lower() if found else platform]
    source = [manifest.get("plugin", ""), manifest.get("source", "")[:8]]
    return (
        *versions,
        ("plugin sources", " ".join(filter(None, source)) or UNKNOWN),
        ("processors", ", ".join(filter(None, processor)) or UNKNOWN),
        ("precisions", str(manifest.get("settings", {}).get("precision", UNKNOWN))),
    )


def mixtures(members: Sequence[tuple[str, Made]]) -> list[Mixture]:
    """Conditions that differ among the results of one mean; `members` are seeds in words, and their stages."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    slots = dict.fromkeys(slot for _, made in members for slot in made)
    for slot in slots:
        for what, values in _differing([(label, made.get(slot)) for label, made in members]):
            found.setdefault((what, values), []).append(" ".join(dict.fromkeys(slot[:2])))
    return [
        Mixture(f"several {what}", f"one mean is over different {what}: {_said(values)} (in {', '.join(stages)})")
        for (what, values), stages in found.items()
    ]


def _differing(
    stages: Sequence[tuple[str, tuple[str, Conditions] | None]],
) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """Each condition of one stage that differs among seeds, with its value by seed."""
    known = [stage[1] for _, stage in stages if stage]
    if len(known) == len(stages) and all(one == known[0] for one in known):  # as nearly always
        return
    if len({stage for _, stage in stages}) < 2:
        return
    given = [(label, dict(stage[1]) if stage else {}) for label, stage in stages]
    kept = tuple((label, "known" if known else UNKNOWN) for label, known in given)
    if len({word for _, word in kept}) > 1:  # an artifact was removed: nothing of it can be compared
        yield "origins", kept
        given = [(label, known) for label, known in given if known]
    for what in dict.fromkeys(what for _, known in given for what in known):
        values = tuple((label, known.get(what, UNKNOWN)) for label, known in given)
        if len({value for _, value in values}) > 1:
            yield what, values


def _said(values: Sequence[tuple[str, str]]) -> str:
    by_value: dict[str, list[str]] = {}
    for label, value in values:
        by_value.setdefault(value, []).append(label)
    return "; ".join(
        f"{value} with seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}" for value, seeds in by_value.items()
    )
