"""The field's type distinguishes true, text and numbers, so no author of parameters needs to check them."""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel, BeforeValidator, Field, RootModel, field_validator

from reidbench.components import Params
from reidbench.registry.fieldtypes import DECIMAL, TRUTH, WHOLE, misfits


class Inner(BaseModel):
    count: int = 1
    fast: bool = False


class Numbers(RootModel[list[int]]):
    pass


class Level(enum.IntEnum):
    low = 1
    high = 2


@dataclasses.dataclass
class Point:
    x: float


class Pair(NamedTuple):
    a: int
    b: bool


def quotient(value: Any) -> Any:
    return int(value.partition("/")[0]) / int(value.partition("/")[2]) if isinstance(value, str) else value


class Many(Params):
    """Every way in which an author may write a number, or true and false."""

    whole: int = 1
    share: float = 1.0
    fast: bool = False
    perhaps: int | None = None
    items: tuple[float, ...] = ()
    mixed: tuple[int, bool] = (1, True)
    stride: Literal[1, 2] = 1
    size: int | Literal["auto"] = "auto"
    name: str | int = "x"
    table: dict[str, int] = Field(default_factory=dict)
    inner: Inner | None = None
    numbers: Numbers | None = None
    level: Level = Level.low
    point: Point | None = None
    pair: Pair | None = None
    one_or_more: int | list[int] = 1
    bounded: Annotated[int, Field(ge=0)] = 0
    check: Annotated[Literal["on", "off"], BeforeValidator(lambda v: "off" if v is False else v)] = "on"
    ratio: Annotated[float, BeforeValidator(quotient)] = 1.0
    early: int = 0
    anything: Any = None

    @field_validator("early", mode="before")
    @classmethod
    def _early(cls, value: Any) -> int:
        return int(value)


STRIDE = "must be one of 1, 2"


@pytest.mark.parametrize(
    ("value", "place", "sentence"),
    [
        ({"whole": True}, ("whole",), WHOLE),
        ({"whole": "1_000"}, ("whole",), WHOLE),
        ({"whole": " 7"}, ("whole",), WHOLE),
        ({"whole": "１２"}, ("whole",), WHOLE),
        ({"whole": 2.5}, ("whole",), WHOLE),
        ({"share": True}, ("share",), DECIMAL),
        ({"share": "0.5"}, ("share",), DECIMAL),
        ({"fast": 1}, ("fast",), TRUTH),
        ({"fast": 0.0}, ("fast",), TRUTH),
        ({"fast": "yes"}, ("fast",), TRUTH),
        ({"perhaps": True}, ("perhaps",), WHOLE),
        ({"items": [0.5, False]}, ("items", 1), DECIMAL),
        ({"mixed": [1, 1]}, ("mixed", 1), TRUTH),
        ({"stride": True}, ("stride",), STRIDE),
        ({"size": True}, ("size",), WHOLE),
        ({"size": "7"}, ("size",), WHOLE),
        ({"name": False}, ("name",), WHOLE),
        ({"table": {"a": True}}, ("table", "a"), WHOLE),
        ({"inner": {"count": True}}, ("inner", "count"), WHOLE),
        ({"inner": {"fast": 1}}, ("inner", "fast"), TRUTH),
        ({"numbers": [1, True]}, ("numbers", 1), WHOLE),
        ({"level": True}, ("level",), STRIDE),
        ({"point": {"x": True}}, ("point", "x"), DECIMAL),
        ({"pair": [1, 0]}, ("pair", 1), TRUTH),
        ({"one_or_more": True}, ("one_or_more",), WHOLE),
        ({"one_or_more": [1, True]}, ("one_or_more", 1), WHOLE),
        ({"bounded": False}, ("bounded",), WHOLE),
        ({"ratio": True}, ("ratio",), DECIMAL),
        ({"early": True}, ("early",), WHOLE),
    ],
)
def test_a_value_of_a_wrong_kind(value: dict[str, Any], place: tuple[str | int, ...], sentence: str) -> None:
    ((found, said, _),) = misfits(Many, value)
    assert (found, said) == (place, sentence)


@pytest.mark.parametrize(
    "value",
    [
        {"whole": 2}, {"whole": 2.0}, {"share": 1}, {"fast": True}, {"perhaps": None}, {"items": [1, 2.5]},
        {"mixed": [1, True]}, {"stride": 2}, {"size": "auto"}, {"size": 3}, {"name": "x"}, {"table": {"a": 1}},
        {"inner": {"count": 1, "fast": True}}, {"inner": None}, {"numbers": [1]}, {"level": 2}, {"point": {"x": 1}},
        {"pair": [1, True]}, {"one_or_more": [1]}, {"check": False}, {"ratio": "1/3"}, {"early": "3"},
        {"anything": True},
    ],
)  # fmt: skip
def test_a_value_that_fits(value: dict[str, Any]) -> None:
    assert misfits(Many, value) == []
    Many(**value)  # and pydantic takes it


def test_what_pydantic_itself_would_have_taken() -> None:
    """The reason for all this: without it, true trains for one epoch."""
    taken = Many(whole=True, share="1_0", fast=1, stride=True, table={"a": True})  # type: ignore[arg-type]
    assert (taken.whole, taken.share, taken.fast, taken.table["a"]) == (1, 10.0, True, 1)
