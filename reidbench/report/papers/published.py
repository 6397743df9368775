"""Choose the published numbers that may stand beside a measured cell, and name what differs between the two.

A published number belongs to one method on one data set. It stands beside a row only where the row's last training step
is that method, learning from and tested on the same data sets, whole; its rules of AP and ranking stand with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from reidbench.components import Published
from reidbench.matrix.benchmark import Benchmark, Choice, Recipe, Task
from reidbench.matrix.reading.expect import changed_params, published_task
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
    place = published_task(benchmark.data, [recipe], task)
    apart = [*transductive([recipe], task), *from_stand_ins(benchmark, task)]
    for line in lines(paper.published):
        shown = {metric: percent(metric, value) for metric, value in line.values.items() if metric in measured}
        if line.first.beside and line.first.task == place and shown:
            means = {metric: measured[metric] for metric in shown}
            rules = ap_rule(line.first.ap, judge) if "mAP" in shown else ()
            warnings = [*rules, *ranking_rule(*words_apart(line.first, judge)), *apart]
            warnings += [f"the published row: {line.first.note}"] if line.first.note else []
            yield Compared(line, shown, means, tuple(warnings))


def transductive(parts: Sequence[Recipe], task: Task) -> Iterator[str]:
    """That a row learned from the images that it is tested on, where it did."""
    if task.adapt_on == "test" and any(kind == "adapt" for part in parts for kind, _ in part.steps):
        yield "transductive: the measured row learned from the test images"


def from_stand_ins(benchmark: Benchmark, task: Task) -> Iterator[str]:
    """That data of a task are stand-ins, where some are: no number from them compares with a published one."""
    used = dict.fromkeys(ref.name for role in ("source", "target", "pool", "auxiliary") for ref in task.refs(role))
    marked = [name for name in used if benchmark.data[name].stand_in]
    if marked:
        yield f"stand-in data: {' and '.join(marked)} is not the published data set, but made by reidbench"


def ap_rule(published: str, judge: Choice) -> Iterator[str]:
    """That average precision is computed by another rule than published, or that one of the two is not known."""
    rules = sorted(word.removeprefix("AP ") for word in _words(judge) if word.startswith("AP "))
    if not rules:
        yield f"AP rule unknown: {judge.name} does not say under which rule it measured"
    elif published == "unknown":
        yield f"AP rule unknown: none is stated for the published mAP, measured here is {rules[0]}"
    elif rules != [published]:
        yield f"other AP rule: published {published}, measured here {', '.join(rules)}"


def words_apart(number: Published, judge: Choice) -> tuple[list[str], list[str]]:
    """Words of ranking that only the published number has, and those that only the evaluator has.

    The seed of drawn galleries is none: no paper's draws are those of a seed here.
    """
    measured = {word for word in _words(judge) if not word.startswith(("AP ", "draw seed "))}
    return sorted(set(number.rules) - measured), sorted(measured - set(number.rules))


def ranking_rule(published: Sequence[str], measured: Sequence[str]) -> Iterator[str]:
    """That published and measured ranking have words that the other does not have."""
    if published:
        here = f"measured here with {', '.join(measured)}" if measured else "measured here without"
        yield f"other ranking rule: published with {', '.join(published)}, {here}"
    elif measured:
        yield f"other ranking rule: measured here with {', '.join(measured)}"


def _words(judge: Choice) -> AbstractSet[str]:
    return judge.component.protocol_with(judge.params)


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
