"""Of several matrices, what is the same is there once, and what differs is told apart."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.errors import ReidbenchError
from reidbench.registry.plugins import Registry
from reidbench.report.html.site.catalogue import Catalogue
from reidbench.report.html.site.sources import Given, sources
from reidbench.store.artifacts import Store
from tests.support.sites import given, publish, read

Write = Callable[..., Given]


@pytest.fixture
def write(matrix: Callable[..., Path], registry: Registry, tmp_path: Path) -> Write:
    """Writes NAME.yaml with these parts, and gives it with the results that the store `kept` has, or one of its own."""

    def make(name: str, numbers: dict[str, float] | None = None, kept: str = "store", **parts: str) -> Given:
        file = matrix(**{"seeds": "[0, 1, 2]", **parts}).rename(tmp_path / f"{name}.yaml")
        store = Store(tmp_path / kept)
        publish(read(file, registry), store, numbers or {})
        return given(file, registry, store)

    return make


def catalogue(*several: Given) -> Catalogue:
    return Catalogue(sources(several), "All")


def columns(found: Catalogue) -> dict[str, list[str]]:
    return {column.label: [source.name for source, _ in column.tasks] for column in found.columns.values()}


def methods(found: Catalogue) -> dict[str, list[str]]:
    return {method.label: [source.name for source, _ in method.recipes] for method in found.methods}


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
    places = {place[2]: [cell.source.name for cell in cells] for place, cells in found.cells.items()}
    assert places == {"cosine": ["a", "c"], "cosine(ap=trapezoid)": ["b"]}


# ---------------------------------------------------------------------- methods
def test_equal_results_of_two_matrices_count_once_and_name_both(write: Write) -> None:
    found = catalogue(write("a", {"untrained": 0.4}), write("b"))
    assert methods(found) == {"untrained": ["a", "b"]}
    assert [cell.source.name for cell in found.cells["untrained", "tiny", "cosine"]] == ["a", "b"]
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
    assert [cell.source.name for cell in found.cells["untrained", "tiny", "cosine"]] == ["b", "a"]
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

    def names(*files: str) -> list[str]:
        return [
            source.name
            for source in sources([Given(tmp_path / file, one.plan, one.store, one.board) for file in files])
        ]

    assert names("a.yaml", "b.zip") == ["a", "b"]
    both = names("a.yaml", "a.zip")
    assert [name.rpartition("-")[0] for name in both] == ["a-yaml", "a-zip"]
    assert both == names("a.yaml", "a.zip", "c.yaml")[:2]
    assert names("sub/a.yaml", "a.yaml")[0].startswith("sub-a-yaml-")
    assert len({name.lower() for name in names("con.yaml", "A.yaml", "a.yaml", "….yaml")}) == 4
    with pytest.raises(ReidbenchError, match=r"a\.yaml is given 2 times: name each file once"):
        names("a.yaml", "sub/../a.yaml")
