"""`evaluate:` of a file and of its tasks: which evaluators judge what, their names, and every mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.errors import ConfigError
from reidbench.matrix import plan
from reidbench.matrix.labels import evaluator_labels, judges_of
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry

Write = Callable[..., Path]
EUCLIDEAN, RERANKED = "{source: tiny, target: tiny, evaluate: euclidean}", "{use: k-reciprocal, k1: 4}"


def cells(file: Path, registry: Registry) -> set[tuple[str, str]]:
    return {(row.task, row.evaluator) for row in plan.expand(reader.read(file, registry)).rows}


def test_a_task_is_judged_by_its_own_evaluators_and_another_by_those_of_the_file(
    matrix: Write, registry: Registry
) -> None:
    tasks = f"{{a: {EUCLIDEAN}, b: {{target: tiny, evaluate: [cosine, {RERANKED}]}}, c: {{target: tiny}}}}"
    file = matrix(tasks=tasks, evaluate="[cosine]")
    assert cells(file, registry) == {("a", "euclidean"), ("b", "cosine"), ("b", "k-reciprocal"), ("c", "cosine")}
    found = reader.read(file, registry)
    assert evaluator_labels(found.evaluate) == ["cosine", "euclidean", "k-reciprocal"]
    assert [label for _, label in judges_of(found, found.tasks[1])] == ["cosine", "k-reciprocal"]


def test_a_task_with_all_evaluators_of_the_file_says_nothing_of_its_own(matrix: Write, registry: Registry) -> None:
    found = reader.read(matrix(tasks="{a: {target: tiny, evaluate: cosine}}", evaluate=""), registry)
    assert found.tasks[0].judges == ()
    assert [choice.name for choice in found.evaluate] == ["cosine"]


def test_all_tasks_of_a_family_have_the_evaluators_of_its_entry(matrix: Write, registry: Registry) -> None:
    data = ", ".join(f"{name}: {{use: synthetic, seed: {seed}}}" for seed, name in enumerate("abc"))
    tasks = "{g: {leave-one-out: [a, b, c], evaluate: euclidean}, plain: {target: a}}"
    found = cells(matrix(data=f"{{{data}}}", tasks=tasks), registry)
    assert {evaluator for task, evaluator in found if task != "plain"} == {"euclidean"}
    assert ("plain", "cosine") in found
    assert len(found) == 4


WRONG = {
    "{a: {target: tiny, evaluate: []}}": "tasks.a.evaluate: is empty, so no row would have a number",
    "{a: {target: tiny, evaluate: cosin}}": "tasks.a.evaluate: unknown evaluator 'cosin'",
    "{a: {target: tiny, evaluate: [cosine, cosine]}}": "tasks.a.evaluate.1: evaluator cosine appears twice",
    "{a: {target: tiny, evaluate: {use: cosine, tie: x}}}": "tasks.a.evaluate.tie: evaluator cosine has no such param",
}


@pytest.mark.parametrize("tasks", WRONG)
def test_mistakes(tasks: str, matrix: Write, registry: Registry) -> None:
    with pytest.raises(ConfigError) as error:
        reader.read(matrix(tasks=tasks, evaluate=""), registry)
    assert WRONG[tasks] in error.value.problems[0]


def test_evaluators_of_the_file_that_no_task_uses_are_a_mistake(matrix: Write, registry: Registry) -> None:
    with pytest.raises(ConfigError, match="evaluate: has no effect, since each task has its own `evaluate`"):
        reader.read(matrix(tasks=f"{{a: {EUCLIDEAN}}}", evaluate="cosine"), registry)


def test_presets_with_equal_rules_keep_their_names_in_different_tasks(matrix: Write, registry: Registry) -> None:
    general = "{use: cosine, preset: ltcc-general}"
    tasks = f"{{a: {{target: tiny, evaluate: {general}}}, b: {{target: tiny, evaluate: cosine}}}}"
    assert cells(matrix(tasks=tasks, evaluate=""), registry) == {("a", "cosine(ltcc-general)"), ("b", "cosine")}
    both = f"{{a: {{target: tiny, evaluate: [cosine, {general}]}}}}"
    sentence = r"tasks\.a\.evaluate\.1: evaluators cosine and cosine\(ltcc-general\) have the same rules"
    with pytest.raises(ConfigError, match=sentence):
        reader.read(matrix(tasks=both, evaluate=""), registry)


def test_two_presets_with_equal_rules_are_named_both(matrix: Write, registry: Registry) -> None:
    pair = "[{use: cosine, preset: vc-clothes-general}, {use: cosine, preset: ltcc-general}]"
    with pytest.raises(ConfigError) as error:
        reader.read(matrix(tasks=f"{{a: {{target: tiny, evaluate: {pair}}}}}", evaluate=""), registry)
    (problem,) = error.value.problems
    names = "evaluators cosine(vc-clothes-general) and cosine(ltcc-general)"
    assert problem.endswith(f"tasks.a.evaluate.1: {names} have the same rules and so give the same numbers: remove one")


def test_what_is_written_beside_a_preset_is_in_the_name(matrix: Write, registry: Registry) -> None:
    tasks = "{a: {target: tiny, evaluate: {use: cosine, preset: mars, ap: step}}}"
    assert {evaluator for _, evaluator in cells(matrix(tasks=tasks, evaluate=""), registry)} == {
        "cosine(mars, ap=step)"
    }
