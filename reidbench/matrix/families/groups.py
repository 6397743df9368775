"""Summaries of several tasks: means of families, and measures of sequences of data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reidbench.matrix.benchmark import Task

MEAN, SEEN, UNSEEN, FORGETTING = "mean", "seen average", "unseen average", "forgetting"
DEFINITIONS = {
    MEAN: "the mean over the tasks of the group, each with the same weight",
    SEEN: "the mean over the data sets of the sequence, tested after the last step",
    UNSEEN: "the mean over the unseen data sets, tested after the last step",
    FORGETTING: "the best value of a data set after any earlier step that had seen it, minus the value after the last "
    "step; the mean over all data sets of the sequence but the last",
}
REFERENCES = {
    SEEN: "Pu et al., Lifelong Person Re-Identification via Adaptive Knowledge Accumulation, CVPR 2021; computed as in "
    "test_model in continual_train.py of https://github.com/zhoujiahuan1991/CVPR2024-DKP (Xu et al., CVPR 2024)",
    UNSEEN: "as the seen average; each unseen data set has the same weight",
    FORGETTING: "Chaudhry et al., Riemannian Walk for Incremental Learning, ECCV 2018; negative if the last step is "
    "the best",
}


@dataclass(frozen=True)
class Derived:
    """Summary of several tasks: the mean over its terms.

    Each of `terms` is the task whose value counts. For forgetting a term is several tasks: the tests of one data set
    after each step from the one that trained on it, ending with the last step.
    """

    group: str
    name: str
    terms: tuple[tuple[str, ...], ...]

    @property
    def heading(self) -> str:
        """Its name in tables, in place of a task's name."""
        return heading(self.group, self.name)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it needs, each once."""
        return tuple(dict.fromkeys(task for term in self.terms for task in term))


def heading(group: str, name: str) -> str:
    """Return the name of a group's summary in tables."""
    return f"{group}: {name}"


def derived(tasks: Sequence[Task]) -> tuple[Derived, ...]:
    """Return the summaries of all groups of a file, in order; a family of one task has none."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        if task.group:
            groups.setdefault(task.group, []).append(task)
    return tuple(one for name, members in groups.items() for one in _of_group(name, members))


def _of_group(name: str, members: Sequence[Task]) -> Iterator[Derived]:
    if not members[0].in_order:
        if len(members) > 1:
            yield Derived(name, MEAN, tuple((task.name,) for task in members))
        return
    steps = max(len(task.source) for task in members)
    last = [task for task in members if len(task.source) == steps]
    seen = [task for task in last if _trained_on(task)]
    for word, several in ((SEEN, seen), (UNSEEN, [task for task in last if task not in seen])):
        if several:
            yield Derived(name, word, tuple((task.name,) for task in several))
    tests = [[task for task in members if task.target == one.target and _trained_on(task)] for one in seen]
    terms = [tuple(task.name for task in sorted(own, key=lambda task: len(task.source))) for own in tests]
    if earlier := tuple(term for term in terms if len(term) > 1):
        yield Derived(name, FORGETTING, earlier)


def _trained_on(task: Task) -> bool:
    """Return whether the sequence up to this task has trained on the tested data set."""
    return task.target.name in {ref.name for ref in task.source}
