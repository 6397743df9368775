"""What stands behind a row: notes, protocol words and conditions of all stages that it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reidbench.matrix.stage import Plan, Stage
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store

from .conditions import READ as CONDITIONS
from .conditions import Conditions, Made, Slot, conditions

READ = ("protocol", "notes", "checked", *CONDITIONS)  # what a table shows of every stage behind a row


class Behind:
    """Notes, conditions and protocol words of the stages behind a row."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self.found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
        self.own: dict[str, tuple[str, ...]] = {}
        self.checked: dict[str, str] = {}
        self.conditions: dict[str, Conditions] = {}
        self.sources: dict[tuple[str, str], frozenset[str]] = {}
        self._read: dict[str, Mapping[str, Any]] = {}  # of rows, until they are asked for
        self._equal: dict[int, tuple[Mapping[str, Any], Conditions]] = {}  # by identity of what was read

    def words(self, key: str) -> tuple[str, ...]:
        """The protocol words of one stage alone."""
        self.of(key)
        return self.own[key]

    def of(self, key: str) -> tuple[dict[str, None], dict[str, None]]:
        """Protocol words and notes of a stage and of all that it was made from, without repetition."""
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
        """The numbers of a row's stage. Raises as `Store.manifest`."""
        artifact, self._read[key] = self.store.with_facts(key, READ)
        return artifact.metrics

    def _own(self, stage: Stage) -> tuple[dict[str, None], dict[str, None]]:
        """Protocol words and notes of one stage alone, and its conditions kept; none where nothing is there."""
        self.own[stage.key] = ()
        try:
            manifest = self._read.pop(stage.key, None) or self.store.facts(stage.key, READ)
        except (KeyError, BadArtifact):
            return {}, {}
        self._keep(stage, manifest)
        notes = dict.fromkeys(f"{stage.label}: {text}" for text in manifest.get("notes", ()))
        return dict.fromkeys(self.own[stage.key]), notes

    def _keep(self, stage: Stage, manifest: Mapping[str, Any]) -> None:
        if id(manifest) not in self._equal:  # thousands of stages are made with the same, and share it
            self._equal[id(manifest)] = manifest, conditions(manifest)
        self.own[stage.key] = tuple(manifest.get("protocol", ()))
        if manifest.get("checked"):
            self.checked[stage.key] = manifest["checked"]
        self.conditions[stage.key] = self._equal[id(manifest)][1]
        own = stage.kind, stage.use
        self.sources[own] = self.sources.get(own, frozenset()) | {manifest.get("source", "")}

    def made(self, key: str) -> Made:
        """The stages behind a result, parents first, by kind and component, with what they were made with."""
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
    """All words in order, each once. Nobody changes what this gives: stages share it with those behind them."""
    some = [part for part in parts if part]
    return dict.fromkeys(word for part in some for word in part) if len(some) > 1 else next(iter(some), {})
