"""`expect:` finds the published row that is meant, and refuses every other name with its line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.errors import ConfigError
from reidbench.matrix import plan
from reidbench.matrix.benchmark import Expected
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry
from tests.support.copies import market1501

METHODS = """
  made: {finetune: made}
  parts: {finetune: {use: made, stripes: 2}}
  moved: {finetune: made, adapt: {use: moved, style: painted}}
  both: {ensemble: [made, parts]}
  bot: {finetune: none}
"""


@pytest.fixture(scope="module")
def known(papers: Path) -> Registry:
    return plugins.load()


@pytest.fixture(scope="module")
def market_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = market1501(tmp_path_factory.mktemp("expect") / "market")
    (root / "images").mkdir()
    shutil.copy(next((root / "bounding_box_test").glob("*.jpg")), root / "images" / "0000_c1s1_000001_00.jpg")
    return root


@pytest.fixture
def expecting(matrix: Callable[..., Path], market_root: Path, known: Registry) -> Callable[..., tuple[Expected, ...]]:
    """Expected rows read from a file with this `expect:` YAML."""
    sets = {
        "real": f'use: market1501, root: {market_root}, check: "off"',
        "crowd": f'use: market1501, root: {market_root}, check: "off", distractors: true',
        "layout": f"use: market-folder, root: {market_root}",
        "drawn": "use: synthetic, world: plaza, size: tiny",
    }
    data = ", ".join(f"{name}: {{{text}}}" for name, text in sets.items())
    tasks = (
        "{real: {source: real, target: real}, few: {source: {use: real, identities: 2}, target: real}, "
        "all: {source: {use: real, identities: 1.0}, target: real}, crowd: {source: crowd, target: crowd}, "
        "across: {source: layout, target: real}, drawn: {source: drawn, target: drawn}}"
    )

    def read(expect: str, *overrides: str) -> tuple[Expected, ...]:
        file = matrix(data=f"{{{data}}}", tasks=tasks, methods=METHODS, expect=expect)
        return reader.read(file, known, overrides).expect

    return read


def numbers(found: Expected) -> dict[str, float]:
    return {number.metric: number.value for number in found.numbers}


def test_a_row_is_found_by_its_name_or_by_the_end_of_it(expecting: Callable[..., tuple[Expected, ...]]) -> None:
    for row in ("Made, small, 32x16", '"small, 32x16"', "32x16"):
        (found,) = expecting(f"{{made: {{real: {row}}}}}" if '"' in row else f'{{made: {{real: "{row}"}}}}')
        assert (found.method, found.task, found.component) == ("made", "real", "made")
        assert numbers(found) == {"mAP": 0.6128, "cmc1": 0.7}
    (of_set,) = expecting("", 'expect={made: {real: "old rule"}}')
    assert {number.ap for number in of_set.numbers} == {"trapezoid"}
    assert expecting("") == ()


def test_a_source_chooses_among_rows_of_one_name(expecting: Callable[..., tuple[Expected, ...]]) -> None:
    for source, value in (("paper, Table 1", 0.859), ("README", 0.862)):
        (found,) = expecting(f'{{made: {{real: {{row: "256x128, full", source: "{source}"}}}}}}')
        assert numbers(found)["mAP"] == value


def test_components_that_are_nested_or_earlier_count(expecting: Callable[..., tuple[Expected, ...]]) -> None:
    (nested,) = expecting("{moved: {across: Painted}}")
    assert (nested.component, numbers(nested)) == ("painted", {"mAP": 0.25})
    for component, value in (("moved", 0.35), ("made", 0.2)):
        (found,) = expecting(f"{{moved: {{across: {{row: across, component: {component}}}}}}}")
        assert (found.component, numbers(found)) == (component, {"mAP": value})
    (joined,) = expecting("{both: {real: baseline}}")
    assert (joined.method, joined.component) == ("both", "made")


def test_data_sets_must_be_the_same_but_for_their_parameters(expecting: Callable[..., tuple[Expected, ...]]) -> None:
    """Other parameters are reported as a difference, if no row is published for these."""
    for task in ("few", "all", "crowd"):
        (found,) = expecting(f"{{made: {{{task}: baseline}}}}")
        assert found.numbers[0].task == "market1501"
    for task in ("crowd", "real"):
        (found,) = expecting(f"{{made: {{{task}: crowded}}}}")
        assert found.numbers[0].task == "market1501(distractors=True)"


FULL = "row 'Made, 256x128, full', source "
OLD = "row 'Made, small, 32x16, old rule', source 'paper, Table 1', component made, for market1501"
ACROSS = "row 'Made, across', source 'paper, Table"
WRONG = {
    "made": ["must be a map (key: value), not text"],
    "{mde: {real: baseline}}": ["expect.mde: unknown method 'mde'; did you mean 'made'? (known: made, parts, moved"],
    "{made: {reel: baseline}}": ["expect.made.reel: unknown task 'reel'; did you mean 'real'? (known: real, few"],
    "{made: baseline}": ["expect.made: must be a map (key: value), not text"],
    "{made: {real: 3}}": ["expect.made.real: must be a published row, or a map with `row: ROW`, not 3; put it in quot"],
    "{made: {real: }}": ["expect.made.real: must be a published row, or a map with `row: ROW`, not nothing"],
    "{made: {real: {source: README}}}": ["expect.made.real: needs `row:`, the name of the row in the paper"],
    "{made: {real: {row: 3}}}": ["expect.made.real.row: must be text, not 3; put it in quotes"],
    "{made: {real: {row: baseline, sauce: a}}}": ["expect.made.real.sauce: unknown key; did you mean 'source'?"],
    "{made: {real: basline}}": [
        "no published row 'basline' for market1501; did you mean 'baseline'?",
        "(known: 'Made, 256x128, full'; 'Made, small, 32x16'; ",
        "`reidbench show finetuner made --published` prints all)",
    ],
    "{made: {real: ful}}": ["no published row 'ful' for market1501; did you mean 'full'?"],
    "{made: {real: Painted}}": ["no published row 'Painted' for market1501 (known: "],  # that is of no component here
    "{made: {real: across}}": ["'across' is published for market-folder->market1501; this cell is market1501"],
    "{made: {across: baseline}}": ["'baseline' is published for market1501; this cell is market-folder->market1501"],
    "{made: {drawn: baseline}}": ["'baseline' is published for market1501; this cell is synthetic"],
    "{made: {drawn: any}}": ["this method has no published numbers for synthetic, only for market1501, "],
    "{bot: {real: baseline}}": ["no component of this method has published numbers"],
    '{made: {real: "256x128, full"}}': ["several rows match", f"{FULL}'paper, Table 1', ", f"; {FULL}'README', "],
    '{made: {real: {row: "old rule", source: README}}}': [f"'old rule': no row matches; available: {OLD}"],
    "{moved: {across: across}}": [f": {ACROSS} 2', component moved, ", f"; {ACROSS} 1', component made, "],
}


@pytest.mark.parametrize("expect", WRONG)
def test_what_is_wrong_is_one_sentence_with_its_line(
    expect: str, expecting: Callable[..., tuple[Expected, ...]]
) -> None:
    with pytest.raises(ConfigError) as caught:
        expecting(expect)
    (problem,) = caught.value.problems
    assert [words for words in WRONG[expect] if words not in problem] == []
    assert "matrix.yaml:14: expect" in problem


def test_all_wrong_cells_at_once_each_with_its_own_line(expecting: Callable[..., tuple[Expected, ...]]) -> None:
    with pytest.raises(ConfigError) as caught:
        expecting("\n  made: {real: nothing}\n  mode: {real: nothing}\n  parts:\n    real: baseline\n    few: none")
    assert [problem.split(": ")[0].rpartition(":")[2] for problem in caught.value.problems] == ["15", "16", "19"]


def test_numbers_that_two_components_share_are_one_row(known: Registry, market_root: Path, tmp_path: Path) -> None:
    """As where two methods of one paper list its table: no choice is asked for."""
    file = tmp_path / "shared.yaml"
    file.write_text(
        f'data: {{real: {{use: market1501, root: {market_root}, check: "off"}}}}\n'
        "tasks: {real: {source: real, target: real}}\nbackbone: resnet-tiny\n"
        "methods: {a: {finetune: made}, b: {finetune: copied}, ab: {ensemble: [a, b]}}\n"
        "expect: {ab: {real: baseline}}\n"
    )
    (found,) = reader.read(file, known).expect
    assert found.component == "made"


def test_keys_do_not_depend_on_it(
    expecting: Callable[..., tuple[Expected, ...]], known: Registry, tmp_path: Path
) -> None:
    expecting('{made: {real: "old rule"}, parts: {real: baseline}}')
    file = tmp_path / "matrix.yaml"
    with_it = plan.expand(reader.read(file, known))
    file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith("expect")))
    without = plan.expand(reader.read(file, known))
    assert (with_it.rows, with_it.stages) == (without.rows, without.stages)
    assert [len(one.benchmark.expect) for one in (with_it, without)] == [2, 0]


def test_the_example_of_the_readme_is_the_papers_row(registry: Registry, market_root: Path, tmp_path: Path) -> None:
    """HHL's paper has one L_CD from Duke to Market-1501, in Table 2: mAP 31.4 and rank 1 62.2, by trapezoids."""
    file = tmp_path / "hhl.yaml"
    copy = f'root: {market_root}, check: "off"'
    file.write_text(
        f"data:\n  market: {{use: market1501, {copy}}}\n"
        f"  duke: {{use: dukemtmc-reid, accept_withdrawal: true, {copy}}}\n"
        "tasks: {duke->market: {source: duke, target: market}}\nbackbone: resnet-tiny\n"
        'methods: {hhl: {adapt: hhl}}\nexpect: {hhl: {"duke->market": L_CD}}\n'
    )
    (found,) = reader.read(file, registry).expect
    assert numbers(found)["mAP"] == 0.314
    assert numbers(found)["cmc1"] == 0.622
    assert {number.ap for number in found.numbers} == {"trapezoid"}


def test_the_reader_has_no_part_in_other_mistakes(expecting: Callable[..., tuple[Expected, ...]]) -> None:
    """Rows are looked up once the rest of the file is right: a method that cannot be read has none."""
    with pytest.raises(ConfigError) as caught:
        expecting("{mode: {real: nothing}}", "seeds=none")
    (problem,) = caught.value.problems
    assert "seeds" in problem
