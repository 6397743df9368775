"""A row of a file is found by method, task and seed; what is not there, or not made, is one sentence with the cure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.errors import ReidbenchError
from reidbench.export.rows import Choice
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan, matches
from reidbench.registry import plugins
from reidbench.store.artifacts import Store

BOT = "{finetune: {use: bot, epochs: 1}}"
METHODS = f"{{untrained: {{finetune: none}}, colours: {{finetune: colour-histogram}}, bot: {BOT}}}"


@pytest.fixture
def planned(matrix: Callable[..., Path], registry: plugins.Registry) -> Callable[..., Plan]:
    def make(**parts: str) -> Plan:
        return plan.expand(reader.read(matrix(**parts), registry))

    return make


def choice(method: str | None = None, task: str | None = None, seed: int | None = None) -> Choice:
    return Choice(Path("m.yaml"), method, task, seed, ["--set", "seeds=[0, 1]"])


def test_a_row_is_that_of_its_seed(planned: Callable[..., Plan]) -> None:
    found = planned(methods=METHODS, seeds="[3, 5]", evaluate="[cosine, euclidean]")
    row = choice("bot", "tiny", 5).row(found)
    assert (row.method, row.task, row.seed) == ("bot", "tiny", 5)
    assert row.key in {one.key for one in found.rows if (one.method, one.seed) == ("bot", 5)}


def test_what_there_is_one_of_need_not_be_said(planned: Callable[..., Plan]) -> None:
    assert choice("bot").row(planned(methods=METHODS)).seed == 0
    assert choice().row(planned(methods=f"{{bot: {BOT}}}", seeds="[4]")).seed == 4


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_a_row_without_a_seed_stands_for_every_seed_of_the_file(planned: Callable[..., Plan], seed: int | None) -> None:
    assert choice("colours", "tiny", seed).row(planned(methods=METHODS, seeds="[0, 1]")).seed is None


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (choice(), r"^no method given; choose one with --row: m\.yaml has untrained, colours, bot$"),
        (choice("bott"), r"^unknown method 'bott'; did you mean 'bot'\?; m\.yaml has untrained, colours, bot$"),
        (choice("bot", "duke"), r"^unknown task 'duke'; m\.yaml has tiny$"),
        (choice("bot", "tiny"), r"^bot on tiny has several seeds; choose one with --seed: 0, 1$"),
        (choice("bot", "tiny", 7), r"^bot on tiny has no seed 7; m\.yaml has 0, 1$"),
        (choice("colours", "tiny", 7), r"^colours on tiny has no seed 7; m\.yaml has 0, 1$"),
    ],
)
def test_a_row_that_is_not_there_is_a_sentence_with_what_there_is(
    planned: Callable[..., Plan], chosen: Choice, sentence: str
) -> None:
    with pytest.raises(ReidbenchError, match=sentence):
        chosen.row(planned(methods=METHODS, seeds="[0, 1]"))


def test_pre_trainings_of_several_seeds_are_told_apart(planned: Callable[..., Plan]) -> None:
    moco = "{moco: {pretrain: {use: moco-v2, epochs: 1}, finetune: none}}"
    tasks = "{t: {target: tiny, pool: tiny}}"
    with pytest.raises(ReidbenchError, match=r"several pre-training seeds \(0, 1\); .* --set 'pretrain_seeds=\[0\]'$"):
        choice("moco").row(planned(methods=moco, tasks=tasks, pretrain_seeds="[0, 1]"))
    assert choice("moco").row(planned(methods=moco, tasks=tasks, pretrain_seeds="[1]")).pretrain_seed == 1


def test_a_cell_that_cannot_be_says_why(planned: Callable[..., Plan]) -> None:
    with pytest.raises(ReidbenchError, match=r"^bot on t is not applicable: .*source"):
        choice("bot").row(planned(methods=f"{{bot: {BOT}}}", tasks="{t: {target: tiny}}"))


def test_a_row_that_was_not_made_gives_the_command_that_makes_it(planned: Callable[..., Plan], tmp_path: Path) -> None:
    found = planned(methods=f"{{'bot [a]': {BOT}}}", seeds="[0, 1]")
    with pytest.raises(ReidbenchError) as caught:
        choice("bot [a]", seed=1).members(found, Store(tmp_path / "none"))
    told, _, command = str(caught.value).partition("; to run it: ")
    assert (
        told
        == f"bot [a] on tiny, seed 1, is not in the store {tmp_path / 'none'} (finetune bot [tiny, seed 1] is missing)"
    )
    assert command == "reidbench run m.yaml --only 'bot [[]a]/tiny' --set 'seeds=[0, 1]'"
    assert matches(["bot [[]a]/tiny"], "bot [a]", "tiny")


def test_an_ensemble_has_the_networks_of_its_members(planned: Callable[..., Plan], tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    found = planned(methods=f"{{a: {BOT}, b: {{flip_test: true, finetune: none}}, both: {{ensemble: [a, b]}}}}")
    for stage in found.stages.values():
        if stage.kind == "finetune":
            with store.publishing(stage.key) as (folder, _):
                (folder / "any").write_text("network")
    members = choice("both").members(found, store)
    labels = [found.stages[member.artifact.key].label for member in members]
    assert labels == ["finetune bot [tiny, seed 0]", "finetune none [tiny, seed 0]"]
    assert [member.flip for member in members] == [False, True]
