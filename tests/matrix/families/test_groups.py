"""Summaries that tables derive from the tasks of a family."""

from __future__ import annotations

from reidbench.matrix.benchmark import DataRef, Task
from reidbench.matrix.families.groups import derived


def task(group: str, sources: str, target: str, in_order: bool = False) -> Task:
    refs = tuple(map(DataRef, sources))
    return Task(f"{group}:{sources}{target}", DataRef(target), refs, group=group, in_order=in_order)


def test_a_family_has_a_mean_and_a_single_task_has_none() -> None:
    tasks = [Task("own", DataRef("a")), task("dg", "bc", "a"), task("one", "ab", "c"), task("dg", "ac", "b")]
    (mean,) = derived(tasks)
    assert (mean.heading, mean.terms) == ("dg: mean", (("dg:bca",), ("dg:acb",)))


def test_a_sequence_of_three_with_two_unseen_sets() -> None:
    """Tests after a: a; after b: a, b; after c: a, b, c and the unseen d, e."""
    tests = [("a", "a"), ("ab", "a"), ("ab", "b"), *(("abc", target) for target in "abcde")]
    seen, unseen, forgetting = derived([task("life", sources, target, True) for sources, target in tests])
    assert (seen.heading, seen.terms) == ("life: seen average", (("life:abca",), ("life:abcb",), ("life:abcc",)))
    assert (unseen.heading, unseen.terms) == ("life: unseen average", (("life:abcd",), ("life:abce",)))
    assert forgetting.heading == "life: forgetting"
    # The last set has had no chance to be forgotten; the others count from the step that trained on them.
    assert forgetting.terms == (("life:aa", "life:aba", "life:abca"), ("life:abb", "life:abcb"))
    assert forgetting.tasks == ("life:aa", "life:aba", "life:abca", "life:abb", "life:abcb")
