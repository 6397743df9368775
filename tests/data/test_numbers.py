"""One rule for whole numbers in text."""

from __future__ import annotations

import pytest

from reidbench.data.numbers import whole_number


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("0012", 12), ("-1", -1), ("+7", 7), ("9007199254740993", 9007199254740993)]
)
def test_whole_numbers(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "text", ["", " 12", "12\n", "1_23", "1e3", "1.0", "0x1f", "１２", "٣", "²", "--1", "+", "nan", "True", "9" * 5000]
)
def test_what_is_not_one(text: str) -> None:
    assert whole_number(text) is None
