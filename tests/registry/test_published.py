"""Published numbers: what a plugin may give, and how `show` prints it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reidbench import Component, Paper, Published
from reidbench.registry import plugins
from reidbench.registry import published as papers
from reidbench.testing import make_plugin

NUMBER = Published("mAP", 0.859, "market1501", "BoT, ResNet-50", "README", "step")
TO_DUKE = "market1501->dukemtmc-reid"


# ---------------------------------------------------------------------- what a plugin may give
@pytest.mark.parametrize(
    ("published", "where", "cure"),
    [
        ({"Market-1501 mAP/R1": "85.9/94.5"}, "paper.published must be a sequence", "write Published(metric, value"),
        ("85.9", "paper.published must be a sequence", "not str"),
        (NUMBER, "paper.published must be a sequence", "not Published"),
        (["85.9"], "paper.published[0] must be a reidbench.Published", "'85.9'"),
        ([replace(NUMBER, value=85.9)], ".value 85.9 of mAP", "write 0.859"),
        ([NUMBER, replace(NUMBER, metric="cmc1", value=-0.1)], "paper.published[1].value -0.1", "from 0 to 1"),
        ([replace(NUMBER, value=float("nan"))], ".value must be a number", "nan"),
        ([replace(NUMBER, value="0.859")], ".value must be a number", "'0.859'"),
        ([replace(NUMBER, value=True)], ".value must be a number", "True"),
        ([replace(NUMBER, metric="R1")], ".metric 'R1'", "write cmc1"),
        ([replace(NUMBER, metric="Rank-5")], ".metric 'Rank-5'", "write cmc5"),
        ([replace(NUMBER, metric="map")], ".metric 'map'", "write mAP"),
        ([replace(NUMBER, metric="")], ".metric must be text", "''"),
        ([replace(NUMBER, ap="trapezoidal")], ".ap 'trapezoidal'", "one of step, trapezoid, unknown"),
        ([replace(NUMBER, task="Market-1501")], ".task 'Market-1501'", "such as market1501"),
        ([replace(NUMBER, task="market1501 -> dukemtmc-reid")], ".task", "SOURCE->TARGET"),
        ([replace(NUMBER, task="market1501->")], ".task 'market1501->'", "SOURCE->TARGET"),
        ([replace(NUMBER, row=" ")], ".row must be text", "' '"),
        ([replace(NUMBER, source=None)], ".source must be text", "None"),
        ([replace(NUMBER, note=3)], ".note must be text", "3"),
        ([replace(NUMBER, beside="no")], ".beside must be True or False", "'no'"),
        ([replace(NUMBER, rules="re-ranked")], ".rules 're-ranked' must be a tuple", "('across modalities',)"),
        ([replace(NUMBER, rules=(3,))], ".rules (3,) must be a tuple", "('across modalities',)"),
        ([replace(NUMBER, rules=("AP step",))], ".rules: 'AP step' is the AP rule", "belongs in ap"),
        ([replace(NUMBER, rules=("across modality",))], ".rules: 'across modality'", "mean 'across modalities'?"),
        ([NUMBER, replace(NUMBER, value=0.857)], "mAP of 'BoT, ResNet-50' on market1501 twice", "one source"),
    ],
)
def test_a_wrong_number_is_one_sentence_with_a_cure(published: Any, where: str, cure: str) -> None:
    component = Component("mine", "mine:run", paper=Paper("A title", published=published))
    with pytest.raises(plugins.PluginError) as caught:
        plugins.Registry().add("mine", [("finetuner", component)])
    sentence = str(caught.value)
    assert sentence.startswith("finetuner mine: paper.published")
    assert where in sentence
    assert cure in sentence
    assert "\n" not in sentence


def test_a_paper_must_be_a_paper() -> None:
    component = Component("mine", "mine:run", paper="A title")  # type: ignore[arg-type]
    with pytest.raises(plugins.PluginError, match=r"paper must be a reidbench\.Paper, not 'A title'"):
        plugins.Registry().add("mine", [("finetuner", component)])


def test_right_numbers_are_taken() -> None:
    tasks = ["market1501", "a->b", "a+b->c", "msmt17-v1(train=trainval)", "a(x=1, y=two)+b->c(z=True)"]
    numbers = [replace(NUMBER, task=task) for task in tasks]
    numbers += [replace(NUMBER, metric=metric) for metric in ("cmc1", "cmc20", "mINP", "tpr")]
    numbers += [replace(NUMBER, metric="distance_crop", value=1.4), replace(NUMBER, row="another", value=1)]
    component = Component("mine", "mine:run", paper=Paper("A title", published=numbers))
    plugins.Registry().add("mine", [("finetuner", component)])


def test_an_old_plugin_costs_no_other_plugin_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("REIDBENCH_PLUGINS")
    text = (
        "from reidbench import Component, Paper, hookimpl\n@hookimpl\ndef reidbench_finetuners():\n"
        "    yield Component('mine', 'old:run', paper=Paper('T', published={'Market-1501': '85.9/94.5'}))\n"
    )
    make_plugin(tmp_path, "old", text)
    registry = plugins.load()
    (complaint,) = registry.complaints()
    assert "paper.published must be a sequence of reidbench.Published, not dict" in complaint
    assert ("finetuner", "bot") in registry.components


# ---------------------------------------------------------------------- how it is printed
def test_values_keep_the_digits_that_were_published() -> None:
    printed = [papers.percent("mAP", value) for value in (0.859, 0.8615, 0.91, 1, 0, 0.07)]
    assert printed == ["85.9", "86.15", "91.0", "100.0", "0.0", "7.0"]
    assert papers.percent("distance_crop", 0.049) == "0.049"


def test_a_table_is_read_as_it_is_printed() -> None:
    """Row by row, the tasks' columns one after another; a dash is not a number, a distance not a fraction."""
    columns = {"a": "mAP cmc1", "b->c": "mAP", "d": "distance_crop"}
    found = Published.table(
        "paper, Table 9", columns, {"one": "85.9 - 7 0.049", "two": "- 0 100 1.5"}, "step", "n", False
    )
    assert [(number.row, number.task, number.metric, number.value) for number in found] == [
        ("one", "a", "mAP", 0.859),
        ("one", "b->c", "mAP", 0.07),
        ("one", "d", "distance_crop", 0.049),
        ("two", "a", "cmc1", 0.0),
        ("two", "b->c", "mAP", 1.0),
        ("two", "d", "distance_crop", 1.5),
    ]
    rest = {(number.source, number.ap, number.note, number.beside) for number in found}
    assert rest == {("paper, Table 9", "step", "n", False)}


@pytest.mark.parametrize("cells", ["85.9", "85.9 94.5 1.0", "85.9 n/a"])
def test_a_row_that_does_not_fit_its_columns_is_refused(cells: str) -> None:
    with pytest.raises(ValueError, match=r"shorter|longer|could not convert string to float: 'n/a'"):
        Published.table("paper", {"a": "mAP cmc1"}, {"one": cells})


def test_other_ranking_rules_make_another_table() -> None:
    numbers = [
        *Published.line("a", "one", "README", "step", mAP=0.5),
        *Published.line("a", "two", "README", "step", rules=("across modalities", "ties worst"), mAP=0.4),
    ]
    assert papers.contents(numbers) == [
        "README; AP rule: step; rows: 1",
        "README; AP rule: step; ranking rules: across modalities, ties worst; rows: 1",
    ]


def test_tables_stand_under_their_source_and_rule_with_notes_below() -> None:
    numbers = [
        *Published.table("Table 1", {"a": "cmc1 mAP"}, {"one": "50.0 -"}, "trapezoid", "first"),
        *Published.table("Table 1", {"a": "cmc1 cmc5 mAP"}, {"two": "60.0 70.05 30.0"}, "trapezoid", "second"),
        *Published.table("Table 1", {"a": "cmc1 cmc5 mAP"}, {"three": "61.0 71.0 31.0"}, "trapezoid", "second", False),
        *Published.table("Table 2", {"a": "cmc1"}, {"four": "80.0"}, note="second"),
    ]
    assert papers.contents(numbers) == ["Table 1; AP rule: trapezoid; rows: 3", "Table 2; rows: 1"]
    assert papers.tables(numbers, {"cmc1": "R1", "cmc5": "R5"}) == [
        "",
        "Table 1; AP rule: trapezoid",
        "row            task    mAP    R1     R5",
        "-------------  ------  -----  -----  -----",
        "one [1]        a       -      50.00  -",
        "two [2]        a       30.00  60.00  70.05",
        "three [2] [3]  a       31.00  61.00  71.00",
        "[1] first",
        "[2] second",
        "[3] not comparable with measured rows",
        "",
        "Table 2",
        "row       task    R1",
        "--------  ------  ----",
        "four [1]  a       80.0",
        "[1] second",
    ]


def shown(*words: str) -> list[str]:
    command = [sys.executable, "-m", "reidbench", "show", *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()


@pytest.mark.slow
def test_show_prints_tables_where_asked_for_and_else_their_list() -> None:
    printed = shown("adapter", "hhl", "--published")
    first = printed.index("paper, Table 2; AP rule: trapezoid")
    assert printed[first + 1].split() == ["row", "task", "mAP", "R1", "R5", "R10", "R20"]
    found = [line for line in printed if line.startswith("HHL") and ", L_CD " in line and TO_DUKE in line]
    assert [re.split(r"\s{2,}", line.strip())[2:] for line in found] == [["27.2", "46.9", "61.0", "66.7", "71.9"]]
    assert not any(line.startswith(("params", "differs")) for line in printed)
    listed = shown("adapter", "hhl")
    assert "  paper, Table 2; AP rule: trapezoid; rows: 12" in listed
    assert "published (`reidbench show adapter hhl --published` prints the numbers):" in listed
    assert any(line.startswith("differs") for line in listed)
    assert not any("46.9" in line for line in listed)


@pytest.mark.slow
@pytest.mark.parametrize("words", [("adapter", "gcl-oracle"), ("finetuner", "colour-histogram")])
def test_show_says_where_nothing_was_published(words: tuple[str, str]) -> None:
    assert shown(*words, "--published")[1:] == [f"no published numbers for {' '.join(words)}"]
