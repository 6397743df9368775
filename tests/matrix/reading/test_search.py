"""`search:` of rows and steps: what it becomes, and a sentence with its line for everything that it cannot be."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.errors import ConfigError
from reidbench.matrix.benchmark import Benchmark, Recipe
from reidbench.matrix.reading import reader
from reidbench.matrix.search import CRITERIA, Search, Space
from reidbench.metrics import unsupervised
from reidbench.registry.plugins import Registry

Matrix = Callable[..., Path]


def read(matrix: Matrix, registry: Registry, methods: str, **parts: str) -> Benchmark:
    return reader.read(matrix(methods=methods, **{"validate": "{identities: 0.5}", **parts}), registry)


def refused(matrix: Matrix, registry: Registry, methods: str, **parts: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(matrix, registry, methods, **parts)
    return [problem.replace(str(matrix().parent) + "/", "") for problem in caught.value.problems]


def searched(benchmark: Benchmark, name: str) -> Search:
    (row,) = (one for one in benchmark.methods if one.name == name)
    assert row.search is not None
    return row.search


def test_the_criteria_are_those_of_the_metrics() -> None:
    assert set(CRITERIA) == set(unsupervised.CRITERIA)


def test_a_row_with_a_search_stands_for_two(matrix: Matrix, registry: Registry) -> None:
    written = "{lr: {log: [1e-4, 1e-2]}, margin: [0.2, 0.3]}"
    step = f"{{use: bot, epochs: 3, search: {written}, trials: 20, select: source-val}}"
    found = read(matrix, registry, f"{{bot: {{finetune: {step}}}, other: {{finetune: none}}}}")
    assert [one.name for one in found.methods] == ["bot", "bot (tuned)", "other"]
    plain, tuned, _ = found.methods
    assert plain.search is None
    assert plain.steps == tuned.steps
    assert plain.steps[0][1].resolved["epochs"] == 3
    spaces = {"finetune.lr": Space("log", (1e-4, 1e-2)), "finetune.margin": Space("choices", (0.2, 0.3))}
    assert searched(found, "bot (tuned)") == Search(spaces, 20, "source-val", "random")


def test_a_row_without_a_search_is_as_it_was(matrix: Matrix, registry: Registry) -> None:
    (row,) = read(matrix, registry, "{bot: {finetune: {use: bot, epochs: 3}}}").methods
    assert (row.search, dict(row.tuned)) == (None, {})


def test_a_search_of_the_row_names_steps_lists_and_networks(matrix: Matrix, registry: Registry) -> None:
    """Its values reach a step that is a name alone, a step in a list, and a row's copy of the file's network."""
    search = "{finetune.lr: [0.1, 0.2], adapt.1.lr: [0.3, 0.4], backbone.width: [4, 8], flip_test: [true, false]}"
    row = f"{{finetune: bot, adapt: [adabn, pseudo-label], search: {search}, select: oracle}}"
    found = searched(read(matrix, registry, f"{{m: {row}}}"), "m (tuned)")
    assert (found.trials, found.sampler, found.size) == (16, "grid", 16)
    made = found.row({"finetune.lr": 0.2, "adapt.1.lr": 0.4, "backbone.width": 8, "flip_test": True})
    params = [choice.resolved for _, choice in made.steps]
    assert (params[0]["lr"], params[2]["lr"], made.flip_test) == (0.2, 0.4, True)
    assert made.backbone is not None
    assert made.backbone.resolved["width"] == 8


def test_searches_of_several_steps_are_one(matrix: Matrix, registry: Registry) -> None:
    steps = "finetune: {use: bot, search: {lr: [0.1, 0.2]}, select: oracle}"
    steps += ", adapt: {use: adabn, search: {passes: [1, 2]}}"
    row = f"{{{steps}, sampler: random, trials: 3, search_seed: 4}}"
    found = searched(read(matrix, registry, f"{{m: {row}}}"), "m (tuned)")
    assert list(found.spaces) == ["finetune.lr", "adapt.passes"]
    assert (found.trials, found.sampler, found.seed) == (3, "random", 4)


def test_defaults_of_the_file_hold_where_a_row_says_nothing(matrix: Matrix, registry: Registry) -> None:
    first = "{finetune: {use: bot, search: {lr: {uniform: [0.1, 1]}}}}"
    second = "{finetune: {use: bot, search: {lr: [1, 2]}, select: unsupervised, trials: 1}}"
    found = read(matrix, registry, f"{{a: {first}, b: {second}}}", search_defaults="{select: source-val, trials: 7}")
    one, other = searched(found, "a (tuned)"), searched(found, "b (tuned)")
    assert (one.select, one.trials, one.criterion) == ("source-val", 7, "")
    assert (other.select, other.trials, other.criterion) == ("unsupervised", 1, "silhouette")


def test_a_step_of_a_combination_may_search(matrix: Matrix, registry: Registry) -> None:
    combinations = "[{finetune: [{use: bot, search: {lr: [0.1, 0.2]}, select: oracle}, none]}]"
    file = matrix(methods="", validate="{identities: 0.5}", matrix=combinations)
    found = reader.read(file, registry)
    assert [one.name for one in found.methods] == ["bot", "bot (tuned)", "none"]


def test_select_of_a_row_that_pretrains_is_its_selector(matrix: Matrix, registry: Registry) -> None:
    row = "{pretrain: moco-v2, select: {use: random}, finetune: {use: bot, search: {lr: [0.1, 0.2]}, select: oracle}}"
    found = read(matrix, registry, f"{{m: {row}}}", tasks="{t: {source: tiny, target: tiny, pool: tiny}}")
    plain: Recipe = found.methods[0]
    assert [kind for kind, _ in plain.steps] == ["select", "pretrain", "finetune"]
    assert searched(found, "m (tuned)").select == "oracle"


SEARCHED = "select: oracle}}}"
LR = "search: {finetune.lr: [1, 2]}"


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ("search: {lr: 0.1}", "search.lr: must be a list of choices or a range, .* or {int"),
        ("search: {lr: {lg: [1, 2]}}", "must be a list of choices or a range, .* not a map; did you mean 'log'"),
        ("search: {lr: [0.1]}", r"search.lr: needs two or more choices, as in \[0.2, 0.3\]"),
        ("search: {lr: [0.1, 0.1]}", "search.lr: has the same choice twice"),
        ("search: {epochs: {log: [1, 8]}}, trials: 2", r"epochs takes whole numbers: write {int: \[1, 8\]}"),
        ("search: {epochs: {uniform: [1, 8]}}, trials: 2", r"epochs takes whole numbers: write {int: \[1, 8\]}"),
        ("search: {lr: {log: [0, 1]}}", r"search.lr.log: must be above 0 for a logarithmic range, not \[0, 1\]"),
        ("search: {lr: {uniform: [1, 0.5]}}", "must be two different numbers, the lower one first, not"),
        ("search: {lr: {uniform: [0.1, yes]}}", r"must be two numbers, \[LOW, HIGH\], not \[0.1, yes \(which YAML"),
        ("search: {epochs: {int: [1, 2.5]}}", r"must be two whole numbers, \[LOW, HIGH\], not \[1, 2.5\]"),
        ("search: {}", "search: must name a parameter"),
        ("search: {lr: {uniform: [-1e308, 1e308]}}", "must be numbers with a finite difference"),
        (f"search: {{lr: {list(range(1, 1002))}}}", "must have at most 1000 choices, not 1001"),
        ("search: [lr]", "search: must be a map"),
        ("search: {lr: {log: [1e-3, 1]}}", "search: needs `trials:` next to it, the number of trials to draw"),
        ("search: {lr: [1, 2]}, trials: 3", "trials: must be at most the 2 combinations: omit `trials` to run all"),
        ("search: {lr: [1, 2]}, trials: 1, sampler: grid", "grid runs all of its 2 combinations: omit `trials`"),
        ("search: {lr: {log: [1e-3, 1]}}, sampler: grid", "grid needs lists, and finetune.lr is a range"),
        ("search: {lr: {log: [1e-3, 1]}}, trials: 0", "trials: must be a whole number >= 1, not 0"),
        ("search: {lr: {log: [1e-3, 1]}}, trials: 1001", "must be at most 1000 trials for one search, not 1001"),
        ("search: {lr: [1, 2]}, sampler: gird", "must be one of grid, random, tpe, not 'gird'; did you mean 'grid'"),
        ("search: {lr: [1, 2]}, search_seeds: 2", "search_seeds: 2 is more than the 1 of the file's `seeds`"),
        ("search: {epochs: {int: [1, 2000]}}, sampler: random", "needs `trials:` next to it"),
        ("trials: 3", "finetuner bot has no such parameter"),
    ],
)  # fmt: skip
def test_what_a_search_cannot_be(step: str, sentence: str, matrix: Matrix, registry: Registry) -> None:
    rows = f"{{m: {{finetune: {{use: bot, {step}, {SEARCHED}"
    (problem,) = refused(matrix, registry, rows)[:1]
    assert re.search(sentence, problem), problem
    assert problem.startswith("matrix.yaml:")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("{finetune: none, search: {finetune: [none, {use: command, extract: 'x {images} {out}', env: {TOKEN: abc}}]}}",
         "search.finetune: has values with secrets, which the search would show"),
        ("{finetune: bot, search: {finetun.lr: [1, 2]}, select: oracle}", "the row has no `finetun`; did you mean"),
        ("{finetune: bot, search: {finetune.lrr: [1, 2]}, select: oracle}", "no such parameter; did you mean 'lr'"),
        ("{finetune: bot, search: {finetune.lr.x: [1, 2]}, select: oracle}", "lr: must be a number"),
        ("{finetune: bot, adapt: [adabn], search: {adapt.passes: [1, 2]}}", "adapt is a list: select one"),
        ("{finetune: bot, adapt: [adabn], search: {adapt.1.passes: [1, 2]}}", "adapt is a list: select one"),
        ("{finetune: bot, search: {trials: [1, 2]}, select: oracle}", "trials: is a setting of the search"),
        ("{finetune: bot, trials: 3}", "trials: is a search setting: add `search:`"),
        ("{finetune: bot, LR}", "needs `select:` next to it, the way to select trials"),
        ("{finetune: bot, LR, select: source-vall}", "did you mean 'source-val'"),
        ("{finetune: bot, LR, select: {unsupervised: sillhouette}}", "did you mean 'silhouette'"),
        ("{finetune: {use: bot, search: {lr: [1, 2]}}, LR, select: oracle}", "is already searched"),
        ("{finetune: {use: bot, search: {lr: [1, 2]}, select: oracle}, select: oracle}", "select: is given twice"),
        ("{finetune: bot, pretrain: moco-v2, LR, select: oracle}", "oracle is both a selector and a way to "),
        ("{ensemble: [a, b], LR, select: oracle}", "a row with `ensemble` trains nothing"),
        ("{features: x.npz, LR, select: oracle}", "a row with `features` trains nothing"),
        ("{finetune: bot, LR, select: held-out-domain}", "held-out-domain` needs `validate: {data: NAME}`"),
    ],
)  # fmt: skip
def test_what_a_row_with_a_search_cannot_be(row: str, sentence: str, matrix: Matrix, registry: Registry) -> None:
    problems = refused(matrix, registry, f"{{a: {{finetune: none}}, b: {{finetune: bot}}, m: {row.replace('LR', LR)}}}")
    assert any(sentence in problem for problem in problems), problems


def test_each_value_is_held_against_its_component_at_its_own_line(
    matrix: Matrix, registry: Registry, tmp_path: Path
) -> None:
    file = matrix(methods="", validate="{identities: 0.5}")
    file.write_text(
        file.read_text().replace("methods: \n", "")
        + "methods:\n  m:\n    finetune:\n      use: bot\n      select: source-val\n      trials: 2\n      search:\n"
        + "        lr: [0.1, x]\n        epochs:\n          int:\n          - 0\n          - 3\n        flip:\n"
        + "        - 0.5\n        - 1.5\n"
    )
    first = file.read_text().splitlines().index("        lr: [0.1, x]") + 1
    with pytest.raises(ConfigError) as caught:
        reader.read(file, registry)
    lines = {int(problem.split(":")[1]) - first: problem for problem in caught.value.problems}
    assert sorted(lines) == [0, 3, 7]
    assert "finetune.lr: must be a number, like 2 or 0.5, not 'x'" in lines[0]
    assert "finetune.epochs: " in lines[3]
    assert ", not 1.5" in lines[7]


def test_a_value_may_need_another_one_that_is_searched_too(matrix: Matrix, registry: Registry) -> None:
    """bot looks at every second epoch only with patience: alone that is refused, together with patience not."""
    problems = refused(
        matrix, registry, "{m: {finetune: {use: bot, search: {validate_every: [1, 2]}, select: oracle}}}"
    )
    assert "validate_every requires `choose_epoch: best` or `patience` above 0" in problems[0]
    both = "{m: {finetune: {use: bot, search: {validate_every: [1, 2], patience: [0, 5]}, select: oracle}}}"
    found = searched(read(matrix, registry, both), "m (tuned)")
    with pytest.raises(ConfigError, match="validate_every requires"):
        found.row({"finetune.validate_every": 2, "finetune.patience": 0})
    assert found.row({"finetune.validate_every": 2, "finetune.patience": 5}).steps[0][1].resolved["patience"] == 5


def test_a_name_that_the_search_takes_is_a_clash(matrix: Matrix, registry: Registry) -> None:
    rows = "{m: {finetune: {use: bot, search: {lr: [1, 2]}, select: oracle}}, m (tuned): {finetune: none}}"
    (problem,) = refused(matrix, registry, rows)
    assert "the row 'm (tuned)' already exists" in problem


@pytest.mark.skipif(importlib.util.find_spec("optuna") is not None, reason="Optuna is installed")
def test_without_optuna_a_sentence_names_the_extra(matrix: Matrix, registry: Registry) -> None:
    rows = "{m: {finetune: {use: bot, search: {lr: [1, 2]}, select: oracle, sampler: tpe, trials: 2}}}"
    (problem,) = refused(matrix, registry, rows)
    assert "finetune.sampler: tpe needs Optuna, which is not installed: run pip install 'reidbench[search]'" in problem


def test_no_validation_and_no_metric_are_refused_before_anything_runs(matrix: Matrix, registry: Registry) -> None:
    rows = "{m: {finetune: {use: bot, search: {lr: [1, 2]}, select: source-val}}}"
    (problem,) = refused(matrix, registry, rows, validate="")
    assert "`select: source-val` needs `validate: {identities: 0.2}` of the file or a task, but no task has" in problem
