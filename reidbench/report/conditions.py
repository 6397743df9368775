"""Notes, protocol words and run conditions of the stages behind a row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reidbench.matrix.stage import Plan, Stage
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store

UNKNOWN = "unknown"
READ = ("versions", "platform", "processor", "plugin", "source", "settings")  # fields of a manifest
SHOWN = ("protocol", "notes", "checked", *READ)  # fields of every stage behind a row that tables use
ARCHITECTURE = re.compile(r"(?i)\b(?:x86_64|amd64|aarch64|arm64|i[3-6]86|ppc64le|s390x|riscv64)\b")

Slot = tuple[str, str, int]  # kind and component of a stage, and its number among equal ones behind a row
Conditions = tuple[tuple[str, str], ...]  # condition and value
Made = Mapping[Slot, tuple[str, Conditions]]  # stages behind one result: key and conditions


@dataclass(frozen=True)
class Mixture:
    """A condition that differs among the results of one mean: a protocol word and a sentence."""

    word: str
    sentence: str


def conditions(manifest: Mapping[str, Any]) -> Conditions:
    """Return the conditions in a manifest that can change a stage's numbers and are not part of its key."""
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
    """Return the conditions that differ among the results of one mean; `members` are seeds as text and their stages."""
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
    """Yield each condition of one stage that differs among seeds, with its values by seed."""
    known = [stage[1] for _, stage in stages if stage]
    if len(known) == len(stages) and all(one == known[0] for one in known):  # the usual case
        return
    if len({stage for _, stage in stages}) < 2:
        return
    given = [(label, dict(stage[1]) if stage else {}) for label, stage in stages]
    kept = tuple((label, "known" if known else UNKNOWN) for label, known in given)
    if len({word for _, word in kept}) > 1:  # an artifact was removed and cannot be compared
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


# ---------------------------------------------------------------------- stages behind rows
class Behind:
    """Notes, conditions and protocol words of the stages behind a row."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self.found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
        self.own: dict[str, tuple[str, ...]] = {}
        self.checked: dict[str, str] = {}
        self.conditions: dict[str, Conditions] = {}
        self.sources: dict[tuple[str, str], frozenset[str]] = {}
        self._read: dict[str, Mapping[str, Any]] = {}  # of rows, until requested
        self._equal: dict[int, tuple[Mapping[str, Any], Conditions]] = {}  # by id of the manifest

    def words(self, key: str) -> tuple[str, ...]:
        """Return the protocol words of one stage alone."""
        self.of(key)
        return self.own[key]

    def of(self, key: str) -> tuple[dict[str, None], dict[str, None]]:
        """Return protocol words and notes of a stage and all stages behind it, without duplicates."""
        if key not in self.found:
            stage = self.plan.stages[key]
            earlier = [self.of(parent) for parent in stage.needs]
            words, notes = self._own(stage)
            self.found[key] = (
                _joined([*(one[0] for one in earlier), words]),
                _joined([*(one[1] for one in earlier), notes]),
            )
        return self.found[key]

    def metrics(self, key: str) -> Mapping[str, float]:
        """Return the metrics of a row's stage. Raises as `Store.manifest`."""
        artifact, self._read[key] = self.store.with_facts(key, SHOWN)
        return artifact.metrics

    def _own(self, stage: Stage) -> tuple[dict[str, None], dict[str, None]]:
        """Return protocol words and notes of one stage and record its conditions; empty if its artifact is missing."""
        self.own[stage.key] = ()
        try:
            manifest = self._read.pop(stage.key, None) or self.store.facts(stage.key, SHOWN)
        except (KeyError, BadArtifact):
            return {}, {}
        self._keep(stage, manifest)
        notes = dict.fromkeys(f"{stage.label}: {text}" for text in manifest.get("notes", ()))
        return dict.fromkeys(self.own[stage.key]), notes

    def _keep(self, stage: Stage, manifest: Mapping[str, Any]) -> None:
        if id(manifest) not in self._equal:  # thousands of stages share one manifest
            self._equal[id(manifest)] = manifest, conditions(manifest)
        self.own[stage.key] = tuple(manifest.get("protocol", ()))
        if manifest.get("checked"):
            self.checked[stage.key] = manifest["checked"]
        self.conditions[stage.key] = self._equal[id(manifest)][1]
        own = stage.kind, stage.use
        self.sources[own] = self.sources.get(own, frozenset()) | {manifest.get("source", "")}

    def made(self, key: str) -> Made:
        """Return the stages behind a result by kind and component, with their keys and conditions."""
        found: dict[Slot, tuple[str, Conditions]] = {}
        waiting, seen = [key], {key}
        while waiting:
            stage = self.plan.stages[waiting.pop()]
            number = sum(slot[:2] == (stage.kind, stage.use) for slot in found)
            found[stage.kind, stage.use, number] = stage.key, self.conditions.get(stage.key, ())
            new = [parent for parent in stage.needs if parent not in seen]
            seen.update(new)
            waiting += new
        return found


def _joined(parts: Sequence[dict[str, None]]) -> dict[str, None]:
    """Join words in order without duplicates. Callers must not modify the result: stages share it."""
    some = [part for part in parts if part]
    return dict.fromkeys(word for part in some for word in part) if len(some) > 1 else next(iter(some), {})
