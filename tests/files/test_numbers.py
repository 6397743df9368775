"""Numbers in text: ASCII digits and a sign, and nothing that only Python accepts."""

from __future__ import annotations

import pytest

from reidbench.files.numbers import decimal_number, whole_number


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("12", 12), ("-1", -1), ("+7", 7), ("0012", 12), ("9" * 30, 10**30 - 1)]
)
def test_whole_numbers(text: str, number: int) -> None:
    assert whole_number(text) == number


NOT_WHOLE = [
    "", "1_23", "１２", "٣", "²", " 12", "12 ", "1 2", "12\n", "1e3", "0x1f", "1.0", "1,000", "--1", "+", "-", "−1",
    "x", "True", "\x1b[2J", "1\0", "9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_WHOLE)
def test_what_is_not_a_whole_number(text: str) -> None:
    assert whole_number(text) is None


@pytest.mark.parametrize(("text", "number"), [("1", 1.0), ("-0.5", -0.5), (".25", 0.25), ("3.", 3.0), ("2e-3", 0.002)])
def test_decimal_numbers(text: str, number: float) -> None:
    assert decimal_number(text) == number


@pytest.mark.parametrize(
    "text", ["", ".", "nan", "inf", "-Infinity", "1_0", "１.5", " 1", "1e999", "1e", "0x1p3", "1,5"]
)
def test_what_is_not_a_decimal_number(text: str) -> None:
    assert decimal_number(text) is None
