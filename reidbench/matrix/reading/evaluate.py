"""Read `evaluate:`, the evaluators of a matrix file and of single tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from reidbench.matrix.benchmark import Choice, Task
from reidbench.matrix.labels import evaluator_labels

from .checker import Checker, entries
from .choices import ChoiceReader
from .yamlfile import Path_, shown

DEFAULT = "cosine"


class EvaluateReader:
    """Read the evaluators of tasks, then those of the whole file."""

    def __init__(self, checker: Checker, choices: ChoiceReader) -> None:
        self.check = checker
        self.choices = choices
        self.own: dict[str, tuple[Choice, ...]] = {}  # of tasks with an `evaluate`, by the entry's name

    def of_task(self, name: str, value: Any) -> None:
        """Read the evaluators of an entry of `tasks`: a task, or all tasks of a family."""
        self.own[name] = self.read(value, ("tasks", name, "evaluate"))

    def read(self, value: Any, path: Path_) -> tuple[Choice, ...]:
        """Return one evaluator, or a list of different ones."""
        found: list[Choice] = []
        if value == []:
            self.check.wrong(path, f"is empty, so no row would have a number; omit it to use {DEFAULT}")
        for entry, at in entries(value, path):
            choice = self.choices.choice("evaluator", entry, at)
            if choice:
                self.refuse_equal(choice, found, at)
                found.append(choice)
        return tuple(found)

    def refuse_equal(self, choice: Choice, others: Sequence[Choice], path: Path_) -> None:
        """Report an evaluator that has the same component and rules as another in the list."""
        same = next((other.called for other in others if other.identity == choice.identity), None)
        if same is not None and same != choice.called:
            sentence = (
                f"evaluators {same} and {choice.called} have the same rules and so give the same numbers: remove one"
            )
            self.check.wrong(path, sentence)
        elif same is not None:
            self.check.wrong(path, f"evaluator {choice.called} appears twice")

    def whole(self, top: dict[str, Any], tasks: Sequence[Task]) -> tuple[tuple[Choice, ...], list[Task]]:
        """Return all evaluators of the file once, and the tasks with the labels of theirs if they do not use all.

        A task without `evaluate` uses the file's.
        """
        by_task = [self.own.get(task.group or task.name) for task in tasks]
        common = self.read(top.get("evaluate", DEFAULT), ("evaluate",))
        if None not in by_task and tasks:
            if "evaluate" in top:
                self.check.wrong(("evaluate",), "has no effect, since each task has its own `evaluate`")
            common = ()
        found = list(common)
        for choice in (choice for own in by_task for choice in own or ()):
            if all(_named(choice) != _named(other) for other in found):
                found.append(choice)
        labels = evaluator_labels(found)
        for label in {label for label in labels if labels.count(label) > 1}:
            self.check.wrong(("evaluate",), f"two evaluators have the name {shown(label)}: write them in the same way")
        chosen = [self._labels(own or common, found, labels) for own in by_task]
        return tuple(found), [
            replace(task, judges=own) if len(own) < len(found) else task
            for task, own in zip(tasks, chosen, strict=True)
        ]

    def _labels(self, own: Sequence[Choice], found: Sequence[Choice], labels: Sequence[str]) -> tuple[str, ...]:
        named = [_named(choice) for choice in own]
        return tuple(label for choice, label in zip(found, labels, strict=True) if _named(choice) in named)


def _named(choice: Choice) -> tuple[str, dict[str, Any]]:
    """Return the identity of an evaluator in a file: presets with the same rules keep their names across tasks."""
    return choice.preset, choice.identity
