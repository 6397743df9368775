"""`published:` gives rows of papers to a file: each number is checked with its line, and no key depends on any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from reidbench.components import Component, Metric, Published
from reidbench.errors import ConfigError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry
from tests.support.copies import market1501

GOOD = {"row": "PCB", "task": "real", "metric": "mAP", "value": 0.693, "ap": "step", "source": "ECCV 2018, Table 2"}


@pytest.fixture(scope="module")
def known(papers: Path) -> Registry:
    found = plugins.load()
    found.add("timed", [("evaluator", Component("timed", "none:none", metrics=(Metric("speed", range=(0, None)),)))])
    return found


@pytest.fixture(scope="module")
def market_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return market1501(tmp_path_factory.mktemp("quoted") / "market")


@pytest.fixture
def quoting(matrix: Callable[..., Path], market_root: Path, known: Registry) -> Callable[..., tuple[Published, ...]]:
    """Numbers read from a file with this `published:` YAML, from line 8 on."""
    data = f'{{real: {{use: market1501, root: {market_root}, check: "off"}}, drawn: {{use: synthetic, world: plaza}}}}'
    tasks = "{real: {source: real, target: real}, across: {source: drawn, target: real}, alone: {target: real}}"

    def read(published: str, **more: str) -> tuple[Published, ...]:
        file = matrix(data=data, tasks=tasks, published=published, **more)
        return reader.read(file, known).published

    return read


def entry(**changes: object) -> str:
    """An entry like GOOD with other values as YAML text; None leaves a key out."""
    given = {**{key: repr(value) for key, value in GOOD.items()}, **changes}
    return "{" + ", ".join(f"{key}: {value}" for key, value in given.items() if value is not None) + "}"


def problems(read: Callable[..., object], entries: Sequence[str], **more: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read("".join(f"\n  - {one}" for one in entries), **more)
    return [problem.partition("matrix.yaml:")[2] for problem in caught.value.problems]


def test_a_number_is_read_as_it_is_written(quoting: Callable[..., tuple[Published, ...]]) -> None:
    note = entry(metric="cmc1", value=1, ap=None, note="re-ranked")
    assert quoting(f"[{entry()}, {note}]") == (
        Published("mAP", 0.693, "real", "PCB", "ECCV 2018, Table 2", "step"),
        Published("cmc1", 1, "real", "PCB", "ECCV 2018, Table 2", "unknown", "re-ranked"),
    )
    (ranked,) = quoting(f"[{entry(rules='[across modalities, queries of cameras 2+5]')}]")
    assert ranked.rules == ("across modalities", "queries of cameras 2+5")
    assert [one.rules for one in quoting(f"[{entry(rules='re-ranked')}]")] == [("re-ranked",)]
    assert quoting("[]") == ()


def test_every_mistake_is_named_with_its_line(quoting: Callable[..., tuple[Published, ...]]) -> None:
    known = "known: mAP, mINP, cmc1, cmc5, cmc10, cmc20, score"
    wrong = {
        entry(task="rael"): "task: unknown task 'rael'; did you mean 'real'? (known: real, across, alone)",
        entry(metric="map"): f"metric: unknown metric of the file's evaluators 'map'; did you mean 'mAP'? ({known})",
        entry(metric="Rank-5"): "metric: unknown metric of the file's evaluators 'Rank-5'; did you mean 'cmc5'? "
        f"({known})",
        entry(metric="speed"): f"metric: unknown metric of the file's evaluators 'speed' ({known})",
        entry(value=69.3): "value: must be a fraction, at least 0 and at most 1, not 69.3: write 0.693",
        entry(value=-0.5): "value: must be a fraction, at least 0 and at most 1, not -0.5",
        entry(value=2000): "value: must be a fraction, at least 0 and at most 1, not 2000",
        entry(value="69.3%"): "value: must be a number, not '69.3%'",
        entry(value="true"): "value: must be a number, not true",
        entry(value="null"): "value: must be a number, not nothing",
        entry(ap="stp"): "ap: unknown rule of average precision 'stp'; did you mean 'step'? "
        "(known: step, trapezoid, unknown)",
        entry(ap=None): "needs `ap:`",
        entry(source=None, value=None): "needs `value:` and `source:`",
        entry(row=2018): "row: must be text, not 2018; put it in quotes if it is text",
        entry(source="[a]"): "source: must be text, not a list",
        entry(row="' '"): "row: must be text, not ' '",
        entry(
            rwo="x"
        ): "rwo: unknown key; did you mean 'row'? (known: row, task, metric, value, ap, source, note, rules)",
        entry(rules="3"): "rules: must be a list of words of the protocol column, like [across modalities]",
        entry(rules="[AP step]"): "rules: 'AP step' is the AP rule, which belongs in ap",
        "5": "must be a map (key: value), not a number",
    }
    found = problems(quoting, list(wrong))
    expected = []
    for number, sentence in enumerate(wrong.values()):
        place = f"published.{number}" + ("." if ": " in sentence and sentence.split(":")[0].isalpha() else ": ")
        expected.append(f"{9 + number}: {place}{sentence}")
    assert found == expected


def test_a_misspelt_ranking_rule_has_a_guess(quoting: Callable[..., object]) -> None:
    (found,) = problems(quoting, [entry(rules="[across modality]")])
    assert found.startswith("9: published.0.rules: 'across modality' is not a known word; did you mean ")
    assert "did you mean 'across modalities'?" in found


@pytest.mark.parametrize(("text", "what"), [("{row: x}", "a map"), ("3", "a number"), ("null", "nothing")])
def test_the_whole_must_be_a_list(quoting: Callable[..., object], text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=f"8: published: must be a list of maps, not {what}"):
        quoting(text)


def test_the_same_number_twice_is_a_mistake(quoting: Callable[..., object]) -> None:
    """A line that was copied, and whose metric was forgotten; another source is another number."""
    again = problems(quoting, [entry(), entry(source="README"), entry(value=0.7), entry()])
    sentence = "mAP of this row, task and source already exists"
    assert again == [f"{9 + number}: published.{number}: {sentence}" for number in (2, 3)]


def test_a_value_is_in_the_unit_that_the_evaluator_declares(quoting: Callable[..., tuple[Published, ...]]) -> None:
    """Fractions where that is %, and anything within its range else; no metric that no evaluator of the file gives."""
    speed = entry(metric="speed", value=69.3, ap=None)
    (found,) = quoting(f"[{speed}]", evaluate="timed")
    assert found.value == 69.3
    assert problems(quoting, [entry(metric="speed", value=-1, ap=None)], evaluate="timed") == [
        "9: published.0.value: must be at least 0, not -1"
    ]
    assert problems(quoting, [entry()], evaluate="timed") == [
        "9: published.0.metric: unknown metric of the file's evaluators 'mAP' (known: speed)"
    ]


def test_no_key_depends_on_published_rows(matrix: Callable[..., Path], known: Registry) -> None:
    keys = []
    for more in ({}, {"published": f"[{entry(task='tiny')}]"}):
        benchmark = reader.read(matrix(**more), known)
        assert len(benchmark.published) == len(more)
        keys.append(list(plan.expand(benchmark).stages))
    assert keys[0] == keys[1]


# ---------------------------------------------------------------------- rows of a component
def test_rows_of_a_component_are_those_for_the_tasks_of_the_file(quoting: Callable[..., tuple[Published, ...]]) -> None:
    found = quoting(
        "[{component: bot, source: 'official README, networks', row: 'ResNet-50, 256x128, from ImageNet, centre loss'}]"
    )
    title = "Bag of Tricks and A Strong Baseline for Deep Person Re-identification"
    row = "BoT, ResNet-50, 256x128, from ImageNet, centre loss"
    assert {(one.task, one.row, one.source, one.ap) for one in found} == {
        (task, row, f"{title}: official README, networks", "step") for task in ("real", "alone")
    }  # `across` learns from a set other than a fine-tuner's published row, which names the target alone
    assert {(one.metric, one.value) for one in found} == {("mAP", 0.859), ("cmc1", 0.945)}  # as its README has it


def test_without_a_row_only_those_that_may_be_compared(quoting: Callable[..., tuple[Published, ...]]) -> None:
    rows = {one.row for one in quoting("[{component: bot}]")}
    assert any("ResNet-50" in row for row in rows)
    assert not any("standard baseline" in row for row in rows)  # a step of the ladder
    named = quoting("[{component: bot, row: standard baseline}]")
    assert {one.note.rpartition("; ")[2] for one in named} == {"no row with bot here is comparable with it"}


def test_a_paper_that_two_components_have_is_shown_once(quoting: Callable[..., tuple[Published, ...]]) -> None:
    assert quoting("[{component: cfs}, {component: list}]") == quoting("[{component: cfs}]") != ()


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("{component: bott}", "component: unknown component with published numbers 'bott'; did you mean 'bot'?"),
        ("{component: cosine}", "component: unknown component with published numbers 'cosine'; did you mean"),
        ("{component: 3}", "component: must be text, not 3; put it in quotes if it is text"),
        ("{component: bot, kind: adapter}", "kind: unknown kind 'adapter' (known: finetuner)"),
        ("{component: bot, value: 1}", "value: unknown key"),
        ("{component: bot, row: standard baselin}", "with row 'standard baselin'; did you mean 'standard baseline'?"),
        ("{component: bot, source: x}", "with source 'x' comparable with measured ones: add `row:` (`reid"),
        ("{component: gcl}", "gcl has no published number comparable with measured ones: add `row:`"),
        ("{component: hhl}", "hhl has no published numbers for market1501, synthetic->market1501, only"),
    ],
)
def test_a_component_that_cannot_be_meant_is_a_sentence(
    quoting: Callable[..., object], entry: str, sentence: str
) -> None:
    (problem,) = problems(quoting, [entry])
    assert problem.startswith("9: published.0")
    assert sentence in problem
