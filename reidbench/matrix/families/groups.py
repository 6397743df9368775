"""Numbers of several tasks: the mean of a family, and what a sequence of data sets is judged by."""

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
    SEEN: "Pu et al., Lifelong Person Re-Identification via Adaptive Knowledge Accumulation, CVPR 2021; computed so by "
    "test_model in continual_train.py of https://github.com/zhoujiahuan1991/CVPR2024-DKP (Xu et al., CVPR 2024)",
    UNSEEN: "as the seen average; each unseen data set has the same weight",
    FORGETTING: "Chaudhry et al., Riemannian Walk for Incremental Learning, ECCV 2018; negative where the last step is "
    "the best",
}


@dataclass(frozen=True)
class Derived:
    """A number of several tasks.

    Each of `terms` is the task whose value counts. Of forgetting it is several: the tests of one data set after each
    step from the one that trained on it, the last step's at the end. The number is the mean over the terms.
    """

    group: str
    name: str
    terms: tuple[tuple[str, ...], ...]

    @property
    def heading(self) -> str:
        """Its name in tables, where tasks have theirs."""
        return heading(self.group, self.name)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it needs, each once."""
        return tuple(dict.fromkeys(task for term in self.terms for task in term))


def heading(group: str, name: str) -> str:
    """The name of a group's number in tables."""
    return f"{group}: {name}"


def derived(tasks: Sequence[Task]) -> tuple[Derived, ...]:
    """The numbers of all groups of a file, in its order. A family of one task has none: that is the task's own."""
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
    """Whether the sequence up to here has the data set that is tested."""
    return task.target.name in {ref.name for ref in task.source}
