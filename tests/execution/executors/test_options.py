"""Options of executors: texts and maps, groups of options, and one sentence for each mistake."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from pydantic import Field

from reidbench import Component, Params
from reidbench.errors import ReidbenchError
from reidbench.execution.executors.options import read_options


class Needs(Params):
    time: int | None = Field(None, ge=1, description="minutes")
    queue: str = Field("", description="queue")


class Options(Needs):
    where: Literal["here", "there"] = Field("here", description="place")
    pretrain: Needs = Field(Needs(), description="of these stages")
    stage: dict[str, Needs] = Field({}, description="by kind of stage")


class Required(Params):
    host: str = Field(description="host")


FAR = Component("far", "nowhere:at_all", Options)


@pytest.mark.parametrize(
    "given",
    [
        ["time=60", "queue=gpu", "pretrain.time=600", "where=there"],
        ["time=5", "time=60", "pretrain.time=600", "where=there", "queue='gpu'"],
        {"time": 60, "queue": "gpu", "pretrain": {"time": 600}, "where": "there"},
    ],
)
def test_texts_and_a_map_are_the_same_options(given: Any) -> None:
    assert read_options(FAR, given) == Options(time=60, queue="gpu", where="there", pretrain=Needs(time=600))


def test_what_the_command_adds_overrides() -> None:
    assert read_options(FAR, ["queue=a"], {"queue": "b"}) == Options(queue="b")
    assert read_options(FAR, []) == Options()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("time", "--option 'time': expected KEY=VALUE, like partition=gpu"),
        ("=3", "--option '=3': expected KEY=VALUE"),
        ("pretrain..time=3", "--option 'pretrain..time=3': expected KEY=VALUE"),
        ("time.more=3", "--option time: Input should be a valid integer"),
        ("time=0", "--option time: Input should be greater than or equal to 1, not 0"),
        ("time=[1", "--option 'time=[1': the value is not plain YAML: "),
        ("where=nowhere", "--option where: Input should be 'here' or 'there', not 'nowhere'"),
        (
            "tme=3",
            "executor far has no option 'tme'; did you mean 'time'? (known: time, queue, where, pretrain, stage)",
        ),
        ("pretrain.tme=3", "executor far has no option 'pretrain.tme'; did you mean 'time'? (known: time, queue)"),
        ("stage.data.tme=3", "executor far has no option 'stage.data.tme'; did you mean 'time'? (known: time, queue)"),
        ("stage.data=3", "--option stage.data: Input should be a valid dictionary or instance of Needs, not 3"),
    ],
)
def test_mistakes(given: str, sentence: str) -> None:
    with pytest.raises(ReidbenchError, match=re.escape(sentence)):
        read_options(FAR, [given])


def test_a_value_cannot_be_a_group() -> None:
    with pytest.raises(ReidbenchError, match=r"--option 'time\.more=3': expected KEY=VALUE"):
        read_options(FAR, ["time=3", "time.more=3"])


def test_two_mistakes_are_two_sentences() -> None:
    with pytest.raises(ReidbenchError, match=r"--option time: Input .*; executor far has no option 'a'"):
        read_options(FAR, ["time=x", "a=1"])


def test_a_required_option() -> None:
    with pytest.raises(ReidbenchError, match="executor near needs the option host: add --option host=VALUE"):
        read_options(Component("near", "nowhere:at_all", Required), [])


def test_an_executor_without_options() -> None:
    with pytest.raises(ReidbenchError, match=re.escape("executor plain has no option 'a' (known: none)")):
        read_options(Component("plain", "nowhere:at_all"), ["a=1"])
