"""Names of stages and evaluators for people: no two alike, and each with what sets it apart from its neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .benchmark import Choice
from .stage import DataInput, Stage
from .yamlfile import shown

SHORT = 8  # characters of a key, where nothing else sets two stages apart
LONGEST = 40  # characters of a value in a label

Facts = dict[str, str]


def told_apart(stages: Mapping[str, Stage]) -> dict[str, Stage]:
    """The stages, parents first, with labels of which no two are equal.

    Stages of one label get what differs among them: parameters, network, data, and what differs in their parents;
    the beginning of the key where that is not enough.
    """
    namer = _Namer(stages)
    for label in namer.groups:
        namer.settle(label)
    labels = {key: namer.label(key) for key in stages}
    twice = {label for label, count in Counter(labels.values()).items() if count > 1}
    found = {}
    for key, stage in stages.items():
        label = _inside(labels[key], f"#{key[:SHORT]}") if labels[key] in twice else labels[key]
        found[key] = stage if label == stage.label else replace(stage, label=label)
    return found


class _Namer:
    """Finds what sets stages of one label apart; what it found for parents is said of their children too."""

    def __init__(self, stages: Mapping[str, Stage]) -> None:
        self.stages = stages
        self.groups: dict[str, list[str]] = {}
        for key, stage in stages.items():
            self.groups.setdefault(stage.label, []).append(key)
        self.apart: dict[str, Facts] = {}  # by key: what sets it apart
        self.settled: set[str] = set()

    def label(self, key: str) -> str:
        words = ", ".join(f"{name}={value}" for name, value in self.apart.get(key, {}).items())
        return _inside(self.stages[key].label, words)

    def settle(self, label: str) -> None:
        """Compare the stages of one label, after those that they start from."""
        if label in self.settled:
            return
        self.settled.add(label)  # at once: a step may follow another of its own label
        keys = self.groups[label]
        if len(keys) == 1:
            return
        for key in keys:
            for _, parent in self.stages[key].parents:
                self.settle(self.stages[parent].label)
        facts = {key: self.facts(self.stages[key]) for key in keys}
        for key, chosen in zip(keys, _distinguishing(facts.values()), strict=True):
            self.apart[key] = chosen

    def facts(self, stage: Stage) -> Facts:
        """Whatever may set a stage apart from others of its label."""
        found = _flat(stage.params, "")
        if stage.backbone is not None:
            found |= {"backbone": stage.backbone["use"], **_flat(stage.backbone["params"], "backbone.")}
        found |= _data(stage.data)
        for role, key in stage.parents:
            parent = self.stages[key]
            found |= {role: parent.use, f"{role} seed": str(parent.seed)}
            found |= {f"{role} {name}": text for name, text in _data(parent.data).items()}
            found |= self.apart.get(key, {})
        return found


def _distinguishing(facts: Collection[Facts]) -> list[Facts]:
    """Of each, the first few that set all apart, or as many apart as can be."""
    chosen: list[Facts] = [{} for _ in facts]
    classes = [0] * len(chosen)
    for name in dict.fromkeys(name for one in facts for name in one):
        if len(set(classes)) == len(chosen):
            break
        finer = [(number, one.get(name)) for number, one in zip(classes, facts, strict=True)]
        numbers = {value: number for number, value in enumerate(dict.fromkeys(finer))}
        if len(numbers) > len(set(classes)):
            classes = [numbers[value] for value in finer]
            for found, one in zip(chosen, facts, strict=True):
                found |= {name: one[name]} if name in one else {}
    return chosen


def _inside(label: str, words: str) -> str:
    """A label with more words in its brackets."""
    if not words:
        return label
    return f"{label[:-1]}, {words}]" if label.endswith("]") else f"{label} [{words}]"


def _flat(params: Mapping[str, Any], before: str) -> Facts:
    found: Facts = {}
    for name, value in params.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = (value if isinstance(value, str) else shown(value))[:LONGEST]
    return found


def _data(given: Sequence[DataInput]) -> Facts:
    """By role: the data sets, and which part of their identities."""
    found: Facts = {}
    for one in given:
        part = "" if one.identities is None else f" ({one.identities} identities, subset seed {one.subset_seed})"
        found[one.role] = f"{found[one.role]}+{one.data}{part}" if one.role in found else f"{one.data}{part}"
    return found


def evaluator_labels(choices: Sequence[Choice]) -> list[str]:
    """One name for each evaluator: its own, with the params that differ from the defaults where names repeat."""
    names = [choice.name for choice in choices]
    labels = []
    for choice in choices:
        if names.count(choice.name) == 1:
            labels.append(choice.name)
            continue
        fields = type(choice.params).model_fields
        changed = {
            name: value
            for name, value in choice.resolved.items()
            if getattr(choice.params, name) != fields[name].get_default(call_default_factory=True)
        }
        labels.append(f"{choice.name}({', '.join(f'{name}={value}' for name, value in changed.items())})")
    return labels
