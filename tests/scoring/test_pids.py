"""Labels as numbers, as strings, and as what is neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench.errors import DataError
from reidbench.scoring.pids import mapped

FILE = Path("a.npz")


def numbers(**given: Any) -> tuple[dict[str, list[int]], bool, bool]:
    found = mapped(FILE, given)
    assert all(values.dtype == np.int64 for values in found.values.values())
    return {key: values.tolist() for key, values in found.values.items()}, bool(found.texts), found.mixed


@pytest.mark.parametrize("kind", [str, np.bytes_, list])
def test_texts_that_are_whole_numbers_mean_them(kind: Any) -> None:
    query, gallery = np.array(["0002", "17"]), np.array(["-1", "0000", "2", "+17"])
    given = (query.tolist(), gallery.tolist()) if kind is list else (query.astype(kind), gallery.astype(kind))
    assert numbers(q=given[0], g=given[1]) == ({"q": [2, 17], "g": [-1, 0, 2, 17]}, False, False)


def test_names_are_numbered_together() -> None:
    found = numbers(q=np.array(["bob", "al"]), g=["cy", "al", "bob", "-1"])
    assert found == ({"q": [3, 2], "g": [4, 2, 3, -1]}, True, False)  # "-1" comes first in order, and stays -1


def test_each_number_has_its_text() -> None:
    found = mapped(FILE, {"q": ["bob", "al"], "g": ["-1", "cy"]})
    assert found.texts == {-1: "-1", 2: "al", 3: "bob", 4: "cy"}
    assert mapped(FILE, {"q": ["2", "-1"]}).texts == {}


def test_numbers_and_names_are_compared_as_texts() -> None:
    values, texts, mixed = numbers(q=np.array([2, 3]), g=np.array(["2", "0002", "x", "1_23", "123"]))
    assert texts
    assert mixed
    assert values["q"][0] == values["g"][0]
    assert len({*values["q"], *values["g"]}) == 6


def test_digits_of_other_scripts_and_python_numbers_are_names() -> None:
    values, _, mixed = numbers(q=["１２"], g=["12", "1e1", "1_2", "12"])
    assert mixed
    assert values["q"][0] not in values["g"]
    assert len(set(values["g"])) == 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["a", ""], r"a\.npz: k\[1\] = '' is empty"),
        (["a", " b"], r"k\[1\] = ' b' starts or ends with a space"),
        (["12.0", "3"], r"k\[0\] = '12\.0' is a decimal number, not a whole number"),
        (["3", "-1."], "is a decimal number"),
        (["1,5"], "is a decimal number"),
        (["1e+15", "-1.000e+00"], r"k\[0\] = '1e\+15' is a decimal number"),
        (["3", "None"], r"k\[1\] = 'None' is a missing value"),
        (["3", "nan"], r"k\[1\] = 'nan' is a missing value"),
        (["9" * 30], "overflows a 64-bit integer"),
        (["a\x1b[2J "], r"x1b\[2J . starts or ends with a space"),
        ([1.5], r"k\[0\] = 1\.5 is not an integer"),
        (np.array(["a", None], dtype=object), "must contain whole numbers or strings, not Python objects"),
        ([[1, 2], [3]], "is not one array"),
        (np.array([b"\xff"]), "strings that are not UTF-8"),
        (np.array([0x110000, 65], np.uint32).view("<U1"), "strings with invalid characters"),
        (np.array([["a", "b"], ["c", "d"]]), r"must have one dimension, not shape \(2, 2\)"),
        (np.array([True]), "not bool"),
        (np.array("a"), r"must have one dimension, not shape \(\)"),
    ],
    ids=range(18),
)
def test_what_is_not_a_label(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        mapped(FILE, {"k": value})
    assert str(caught.value).isprintable()


def test_matlab_has_rows_of_labels() -> None:
    assert numbers(q=np.array([["a", "b"]]), g=np.array([["b"], ["a"]]))[0] == {"q": [1, 2], "g": [2, 1]}


@pytest.mark.parametrize(("kind", "largest"), [(np.float16, 2**11), (np.float32, 2**24), (np.float64, 2**53)])
def test_floats_that_may_be_rounded_are_refused(kind: Any, largest: int) -> None:
    """The first whole number that a float cannot hold becomes its even neighbour, which is another identity."""
    assert kind(largest + 1) == kind(largest)
    assert numbers(k=np.array([largest - 1, 3], kind))[0] == {"k": [largest - 1, 3]}
    for value in (largest, -largest):
        with pytest.raises(
            DataError, match=rf"k\[1\] = .* may be rounded: .* only below {largest}; save them as int64"
        ):
            numbers(k=np.array([3, value], kind))


def test_one_text_in_two_spellings_of_unicode_is_one_label() -> None:
    """macOS writes an accent as a separate character."""
    values, _, _ = numbers(q=["Ren\u00e9"], g=["Rene\u0301", "Rene"])
    assert values["q"][0] == values["g"][0] != values["g"][1]
