"""Unique, readable names of stages and evaluators; each includes what distinguishes it from similar ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .benchmark import Benchmark, Choice, Task
from .reading.yamlfile import shown
from .stage import DataInput, Stage

SHORT = 8  # characters of a key, if nothing else distinguishes two stages
LONGEST = 40  # characters of a value in a label
MOST = 160  # characters of all params in a message

Facts = dict[str, str]


def told_apart(stages: Mapping[str, Stage]) -> dict[str, Stage]:
    """Return the stages, parents first, with unique labels.

    Stages with the same label get the facts that differ among them: parameters, network, data, and differences of their
    parents; the first digits of the key if that is not enough.
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
    """Find the facts that distinguish stages of one label; those of parents also apply to their children."""

    def __init__(self, stages: Mapping[str, Stage]) -> None:
        self.stages = stages
        self.groups: dict[str, list[str]] = {}
        for key, stage in stages.items():
            self.groups.setdefault(stage.label, []).append(key)
        self.apart: dict[str, Facts] = {}  # by key: distinguishing facts
        self.texts: dict[tuple[int, str], Facts] = {}  # of params, by id: thousands of stages share them
        self.settled: set[str] = set()

    def label(self, key: str) -> str:
        words = ", ".join(f"{name}={value}" for name, value in self.apart.get(key, {}).items())
        return _inside(self.stages[key].label, words)

    def settle(self, label: str) -> None:
        """Compare the stages of one label, after their parents."""
        if label in self.settled:
            return
        self.settled.add(label)  # before the parents: a step may follow another of the same label
        keys = self.groups[label]
        if len(keys) == 1:
            return
        for key in keys:
            for _, parent in self.stages[key].parents:
                self.settle(self.stages[parent].label)
        facts = {key: self.facts(self.stages[key]) for key in keys}
        for key, chosen in zip(keys, _distinguishing(facts.values()), strict=True):
            self.apart[key] = chosen

    def flat(self, params: Mapping[str, Any], before: str) -> Facts:
        """Return the params in words."""
        place = id(params), before  # the params live as long as the stages
        if place not in self.texts:
            self.texts[place] = _flat(params, before)
        return self.texts[place]

    def facts(self, stage: Stage) -> Facts:
        """Return everything that may distinguish a stage from others of its label."""
        found = dict(self.flat(stage.params, ""))
        if stage.backbone is not None:
            found |= {"backbone": stage.backbone["use"], **self.flat(stage.backbone["params"], "backbone.")}
        found |= {"images": "{}x{}".format(*stage.image_size), **stage.pictures}
        found |= _data(stage.data)
        for role, key in stage.parents:
            parent = self.stages[key]
            found |= {role: parent.use, f"{role} seed": str(parent.seed)}
            found |= {f"{role} {name}": text for name, text in _data(parent.data).items()}
            found |= self.apart.get(key, {})
        return found


def _distinguishing(facts: Collection[Facts]) -> list[Facts]:
    """Return for each the first few facts that distinguish all, or as many as possible."""
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
    """Return a label with additional words in its brackets."""
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
    """Return the data sets by role, with the subset of their identities."""
    found: Facts = {}
    for one in given:
        part = "" if one.identities is None else f" ({one.identities} identities, subset seed {one.subset_seed})"
        found[one.role] = f"{found[one.role]}+{one.data}{part}" if one.role in found else f"{one.data}{part}"
    return found


def with_params(stage: Stage) -> str:
    """Return a stage's label with the params that differ from their defaults: `finetune bot (epochs=3) [tiny, seed 0]`.

    Params already in the label, such as those next to an evaluator's preset, are not repeated. The label of a data set
    has its name in the file; the component's name is added.
    """
    begin = f"{stage.kind} {stage.use}" if stage.kind != "data" else stage.label.partition(" [")[0]
    rest = stage.label.removeprefix(begin)
    if not stage.label.startswith(begin) or rest.startswith(
        "("
    ):  # the label of a criterion or profile has its own words
        return stage.label
    said = rest.rpartition("[")[2].removesuffix("]").split(", ")
    words = [stage.use] if stage.kind == "data" and begin != f"data {stage.use}" else []
    words += [word for word in _words(stage.changed) if word not in said]
    return f"{begin} ({_joined(words)}){rest}" if words else stage.label


def params_text(changed: Mapping[str, Any]) -> str:
    """Return params for a message: `epochs=3, lr=0.1`; long values and long lists are cut."""
    return _joined(_words(changed))


def _words(changed: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in _flat(changed, "").items()]


def _joined(words: Sequence[str]) -> str:
    text = ", ".join(words)
    return text if len(text) <= MOST else f"{text[:MOST]}..."


def evaluator_labels(choices: Sequence[Choice]) -> list[str]:
    """Return one name per evaluator: its own, with the preset if it has one.

    Without a preset, evaluators of the same name get the params that differ from the defaults.
    """
    names = [choice.name for choice in choices if not choice.preset]
    labels = []
    for choice in choices:
        if choice.preset:
            labels.append(choice.called)
            continue
        if names.count(choice.name) == 1:
            labels.append(choice.name)
            continue
        words = ", ".join(f"{name}={value}" for name, value in choice.changed.items())
        labels.append(f"{choice.name}({words})")
    return labels


def judges_of(benchmark: Benchmark, task: Task) -> list[tuple[Choice, str]]:
    """Return the evaluators of a task with their labels, in the order of the file."""
    labelled = zip(benchmark.evaluate, evaluator_labels(benchmark.evaluate), strict=True)
    return [(choice, label) for choice, label in labelled if not task.judges or label in task.judges]
