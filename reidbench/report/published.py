"""Choose the published numbers that may stand beside a measured cell, and name what differs between the two.

A published number belongs to one method on one data set. It stands beside a row only where the row's last training step
is that method, learning from and tested on the same data sets, whole; its AP rule stands with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reidbench.components import SameContent
from reidbench.matrix.benchmark import Benchmark, Choice, DataRef, Recipe, Task, marker
from reidbench.matrix.protocol import protocol_words
from reidbench.registry.published import Line, lines, percent


@dataclass(frozen=True)
class Compared:
    """One published line beside a cell: `published` texts and measured means (fractions) by metric, and warnings."""

    line: Line
    published: Mapping[str, str]
    measured: Mapping[str, float]
    warnings: tuple[str, ...]


def own_method(recipe: Recipe) -> tuple[str, Choice] | None:
    """Kind and choice of the last training step, which is the row's own method; None for an ensemble."""
    return recipe.steps[-1] if recipe.steps and not recipe.ensemble else None


def compared(
    benchmark: Benchmark, recipe: Recipe, task: Task, judge: Choice, measured: Mapping[str, float]
) -> Iterator[Compared]:
    """The published lines of the row's own method on this task's data, for the metrics that were measured."""
    own = own_method(recipe)
    paper = own[1].component.paper if own else None
    if paper is None:
        return
    place = published_task(benchmark, recipe, task)
    for line in lines(paper.published):
        shown = {metric: percent(metric, value) for metric, value in line.values.items() if metric in measured}
        if line.first.beside and line.first.task == place and shown:
            means = {metric: measured[metric] for metric in shown}
            warnings = [*_rules(line, "mAP" in shown, judge), *_transductive(recipe, task)]
            warnings += [f"the published row: {line.first.note}"] if line.first.note else []
            yield Compared(line, shown, means, tuple(warnings))


def _transductive(recipe: Recipe, task: Task) -> Iterator[str]:
    if task.adapt_on == "test" and any(kind == "adapt" for kind, _ in recipe.steps):
        yield "transductive: the measured row learned from the test images"


def _rules(line: Line, with_map: bool, judge: Choice) -> Iterator[str]:
    """Parts of the evaluation that are other than published, or not known."""
    words = judge.component.protocol_with(judge.params)
    rules = sorted(word.removeprefix("AP ") for word in words if word.startswith("AP "))
    if with_map and not rules:
        yield f"AP rule unknown: {judge.name} does not say under which rule it measured"
    elif with_map and line.first.ap == "unknown":
        yield f"AP rule unknown: none is stated for the published mAP, measured here is {rules[0]}"
    elif with_map and rules != [line.first.ap]:
        yield f"other AP rule: published {line.first.ap}, measured here {', '.join(rules)}"
    others = sorted(word for word in words if not word.startswith("AP "))
    if others:
        yield f"other ranking rule: measured here with {', '.join(others)}"


def published_task(benchmark: Benchmark, recipe: Recipe, task: Task) -> str | None:
    """The task of a row as published numbers name it, or None where no published number can be for it.

    That is so for data sets of which the task takes only some identities.
    """
    labelled = "source labels" in protocol_words([recipe], task, benchmark.data)
    refs = task.source if labelled else ()
    if any(ref.identities not in (None, 1.0) or type(ref.identities) is int for ref in (task.target, *refs)):
        return None
    target, sources = data_set(benchmark, task.target), sorted(data_set(benchmark, ref) for ref in refs)
    adapted = recipe.steps[-1][0] == "adapt"
    if not sources or (sources == [target] and not adapted):
        return target
    return f"{'+'.join(sources)}->{target}"


def data_set(benchmark: Benchmark, ref: DataRef) -> str:
    """A data set by the name of its component, with the parameters that make it another set than the plain one."""
    choice = benchmark.data[ref.name].choice
    changed = changed_params(choice, same_content=False)
    return choice.name + (f"({', '.join(f'{name}={value}' for name, value in changed.items())})" if changed else "")


def changed_params(choice: Choice, *, same_content: bool = True) -> dict[str, object]:
    """The parameters that are not at their defaults; without those that change no content, where so asked."""
    fields = type(choice.params).model_fields
    return {
        name: value
        for name, value in choice.resolved.items()
        if getattr(choice.params, name) != fields[name].get_default(call_default_factory=True)
        and (same_content or not marker(fields[name], SameContent))
    }


def circumstances(recipe: Recipe) -> Iterator[str]:
    """Circumstances of the measured row in which the published one may differ."""
    own = own_method(recipe)
    if own is None:
        return
    earlier = [f"{kind} {choice.name}" for kind, choice in recipe.steps[:-1]]
    yield f"steps before {own[1].name}: {', '.join(earlier) or 'none, so no pre-trained weights'}"
    changed = changed_params(own[1])
    if changed:
        yield f"parameters not at their defaults: {', '.join(f'{name}={value}' for name, value in changed.items())}"
    if recipe.flip_test:
        yield "flip_test: features are means over a test image and its mirror image"
