"""Equal tasks, methods and results of several matrices are merged, and different ones are labelled differently."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reidbench import report
from reidbench.components import Metric
from reidbench.errors import ReidbenchError
from reidbench.registry.plugins import Registry
from reidbench.report.html.site.catalogue import Catalogue
from reidbench.report.html.site.sources import Given, sources
from reidbench.store.artifacts import Store
from tests.support.sites import given, publish, read

Write = Callable[..., Given]


@pytest.fixture
def write(matrix: Callable[..., Path], registry: Registry, tmp_path: Path) -> Write:
    """Writes NAME.yaml with these parts, and returns it with the results in the store `kept`, or in a separate one."""

    def make(name: str, numbers: dict[str, float] | None = None, kept: str = "store", **parts: str) -> Given:
        file = matrix(**{"seeds": "[0, 1, 2]", **parts}).rename(tmp_path / f"{name}.yaml")
        store = Store(tmp_path / kept)
        publish(read(file, registry), store, numbers or {})
        return given(file, registry, store)

    return make


def catalogue(*several: Given) -> Catalogue:
    return Catalogue(sources(several), "All")


def columns(found: Catalogue) -> dict[str, list[str]]:
    return {column.label: [source.called for source, _ in column.tasks] for column in found.columns.values()}


def methods(found: Catalogue) -> dict[str, list[str]]:
    return {method.label: [source.called for source, _ in method.recipes] for method in found.methods}


@pytest.fixture
def other(market: Path, tmp_path: Path) -> str:
    """The data of a matrix file with the same folder under another name, and a copy in which a picture differs."""
    shutil.copytree(market, tmp_path / "copy")
    pictures = sorted(file for file in (tmp_path / "copy" / "bounding_box_train").iterdir() if file.suffix != ".db")
    shutil.copy(pictures[0], pictures[-1])  # another content
    entry = "{{use: market-folder, root: {}}}"
    return f"{{mine: {entry.format(market)}, tiny: {entry.format(tmp_path / 'copy')}}}"


# ---------------------------------------------------------------------- tasks
def test_a_task_of_the_same_content_is_one_whatever_it_is_called(write: Write, other: str) -> None:
    tasks = "{one: {source: mine, target: mine}, tiny: {source: tiny, target: tiny}}"
    found = catalogue(write("a"), write("b", data=other, tasks=tasks))
    assert columns(found) == {"tiny (a)": ["a", "b"], "tiny (b)": ["b"]}


@pytest.mark.parametrize(
    "task",
    [
        "{target: tiny}",
        "{source: {use: tiny, identities: 2}, target: tiny}",
        "{source: {use: tiny, identities: 2, subset_seed: 1}, target: tiny}",
        "{source: tiny, target: tiny, pool: tiny}",
        "{source: tiny, target: tiny, auxiliary: tiny}",
        "{source: tiny, target: tiny, adapt_on: test}",
    ],
)
def test_a_task_of_other_data_roles_or_parts_is_another(write: Write, task: str) -> None:
    found = catalogue(write("a"), write("b", tasks=f"{{tiny: {task}}}"))
    assert columns(found) == {"tiny (a)": ["a"], "tiny (b)": ["b"]}


def test_data_that_no_row_needs_are_never_the_same(write: Write) -> None:
    """Nothing was read of them, so that nobody knows."""
    nothing = "{only: {finetune: bot}}"  # not applicable: the task has no source
    found = catalogue(write("a"), write("b", tasks="{tiny: {target: tiny}}", methods=nothing))
    assert columns(found) == {"tiny (a)": ["a"], "tiny (b)": ["b"]}


# ---------------------------------------------------------------------- evaluators
def test_an_evaluator_with_other_parameters_is_another(write: Write) -> None:
    found = catalogue(
        write("a"), write("b", evaluate="[{use: cosine, ap: trapezoid}]"), write("c", evaluate="[cosine]")
    )
    assert [judge.label for judge in found.judges.values()] == ["cosine", "cosine(ap=trapezoid)"]
    places = {place[2]: [cell.source.called for cell in cells] for place, cells in found.cells.items()}
    assert places == {"cosine": ["a", "c"], "cosine(ap=trapezoid)": ["b"]}


# ---------------------------------------------------------------------- methods
def test_equal_results_of_two_matrices_count_once_and_name_both(write: Write) -> None:
    found = catalogue(write("a", {"untrained": 0.4}), write("b"))
    assert methods(found) == {"untrained": ["a", "b"]}
    assert [cell.source.called for cell in found.cells["untrained", "tiny", "cosine"]] == ["a", "b"]
    assert len(found.board.results) == 3
    assert found.board.summarised("untrained", "tiny", "cosine")["mAP"].mean == pytest.approx(0.401)


@pytest.mark.parametrize(
    "parts",
    [
        {"backbone": "{use: resnet-tiny, width: 8}"},
        {"image_size": "[64, 32]"},
        {"methods": "{untrained: {finetune: none, flip_test: true}}"},
        {"methods": "{untrained: {finetune: none, image_size: [64, 32]}}"},
        {"methods": "{untrained: {finetune: {use: colour-histogram}}}"},
        {"threads": "2"},
    ],
)
def test_a_method_of_another_recipe_is_told_apart_by_its_matrix(write: Write, parts: dict[str, str]) -> None:
    found = catalogue(write("a", {"untrained": 0.4}), write("b", {"untrained": 0.6}, **parts), write("c"))
    assert methods(found) == {"untrained (a)": ["a", "c"], "untrained (b)": ["b"]}
    assert found.contradictions == []


def test_a_method_is_the_same_on_tasks_that_it_does_not_share(write: Write) -> None:
    found = catalogue(write("a", {"untrained": 0.4}), write("b", tasks="{other: {target: tiny}}"))
    assert methods(found) == {"untrained": ["a", "b"]}
    assert columns(found) == {"tiny": ["a"], "other": ["b"]}


def test_of_one_cell_the_matrix_of_most_seeds_counts(write: Write) -> None:
    """Never a mean over two matrices: one may be of other versions."""
    found = catalogue(write("a", {"untrained": 0.4}, seeds="[0, 1]"), write("b", {"untrained": 0.4}))
    assert [cell.source.called for cell in found.cells["untrained", "tiny", "cosine"]] == ["b", "a"]
    assert [result.row.seed for result in found.board.results] == [0, 1, 2]


def test_of_equal_results_those_that_were_checked_further_count(
    write: Write, registry: Registry, tmp_path: Path
) -> None:
    first, second = write("a", kept="one"), write("b", {"untrained": 0.4}, kept="two")
    publish(first.plan, first.store, {"untrained": 0.4}, checked="self-reported")
    found = catalogue(given(first.file, registry, first.store), second)
    assert [cell.checked for cell in found.cells["untrained", "tiny", "cosine"]] == ["run here", "self-reported"]


def test_one_result_with_two_numbers_is_a_contradiction_and_both_are_shown(write: Write) -> None:
    found = catalogue(write("a", {"untrained": 0.4}, kept="one"), write("b", {"untrained": 0.41}, kept="two"))
    assert methods(found) == {"untrained (a)": ["a"], "untrained (b)": ["b"]}
    assert found.contradictions == [
        "untrained on tiny by cosine: a.yaml and b.yaml have different numbers for the same result"
    ]
    means = {s.method: round(s.mean, 4) for s in found.board.summary if s.metric == "mAP"}
    assert means == {"untrained (a)": 0.401, "untrained (b)": 0.411}


def test_one_result_of_two_names_counts_once(write: Write) -> None:
    two = "{plain: {finetune: none}, worse: {finetune: {use: colour-histogram}}}"
    found = catalogue(write("a", {"untrained": 0.4}), write("b", {"worse": 0.1}, methods=two))
    assert list(methods(found)) == ["untrained", "plain", "worse"]
    assert found.aliases == {("plain", "tiny", "cosine"): ("untrained", "tiny", "cosine")}
    assert {result.row.method for result in found.board.results} == {"untrained", "worse"}


# ---------------------------------------------------------------------- names of pages
def test_a_matrix_is_called_as_its_file(write: Write, tmp_path: Path) -> None:
    one = write("a")
    (tmp_path / "sub").mkdir()

    def called(*files: str) -> list[str]:
        found = sources([Given(tmp_path / file, one.plan, one.store, one.board) for file in files])
        return [source.called for source in found]

    def pages(*files: str) -> list[str]:
        found = sources([Given(tmp_path / file, one.plan, one.store, one.board) for file in files])
        return [source.page for source in found]

    assert called("a.yaml", "b.zip") == ["a", "b"]
    assert pages("a.yaml", "b.zip") == ["matrix/a.html", "matrix/b.html"]
    assert called("a.yaml", "a.zip", "c.yaml") == ["a.yaml", "a.zip", "c"]
    assert called("sub/a.yaml", "a.yaml", "a.zip")[::2] == ["sub/a.yaml", "a.zip"]
    assert pages("a.yaml", "a.zip") == pages("a.yaml", "a.zip", "c.yaml")[:2]  # neither has a page that one alone had
    assert pages("a.yaml", "a.zip")[0].startswith("matrix/a-yaml-")
    assert len({page.lower() for page in pages("con.yaml", "A.yaml", "a.yaml", "….yaml")}) == 4
    with pytest.raises(ReidbenchError, match=r"a\.yaml is given 2 times: name each file once"):
        called("a.yaml", "sub/../a.yaml")


def test_equal_results_of_other_protocols_are_not_the_same_row(write: Write) -> None:
    """Else what was chosen on test labels would take the place of what was not, or lose that word."""
    one = write("a", {"untrained": 0.5, "plain": 0.5}, methods="{untrained: {finetune: none}, plain: {finetune: none}}")
    results = [
        replace(result, row=replace(result.row, protocol=f"{result.row.protocol}, chosen on test labels"))
        if result.row.method == "plain"
        else result
        for result in one.board.results
    ]
    found = catalogue(replace(one, board=replace(one.board, results=tuple(results))))
    assert found.aliases == {}
    assert found.same_methods == {}


def test_an_evaluator_that_declares_its_metrics_otherwise_is_another_one(
    write: Write,
) -> None:
    """A pack may say that less mAP is better; it is then not ranked with the others, in any order of the files."""
    one, two = write("a", {"untrained": 0.5}), write("b", {"untrained": 0.5})
    (choice,) = one.plan.benchmark.evaluate
    forged = replace(choice.component, metrics=(Metric("mAP", better="lower", unit="furlongs", range=(0, 1)),))
    benchmark = replace(one.plan.benchmark, evaluate=(replace(choice, component=forged),))
    plan = replace(one.plan, benchmark=benchmark)
    first = Given(one.file, plan, one.store, report.collect(plan, one.store))
    board = catalogue(first, two).board
    assert len(board.evaluators) == 2
    better = {name: metric.better for name in board.evaluators if (metric := board.metric(name, "mAP"))}
    assert sorted(better.values()) == ["higher", "lower"]
