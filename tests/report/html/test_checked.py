"""The word for how far numbers were checked."""

from __future__ import annotations

import pytest

from reidbench.report.html.checked import checked, level


@pytest.mark.parametrize(
    ("protocol", "word"),
    [
        ("source labels, AP step", "run here"),
        ("source labels, AP step, self-reported", "self-reported"),
        ("no labels, self-reported (1 of 3), re-scored (1 of 3)", "self-reported (1 of 3), re-scored (1 of 3)"),
        ("declared self-reported", "run here"),  # another word
    ],
)
def test_the_word_is_in_the_protocol_or_else_the_runs_are_own(protocol: str, word: str) -> None:
    assert checked(protocol.split(", ")) == word


def test_a_row_is_checked_as_far_as_the_least_of_its_results() -> None:
    ordered = ["self-reported", "re-scored", "re-trained", "run here"]
    assert sorted(ordered, key=level) == ordered
    assert level("re-trained (1 of 3), re-scored (2 of 3)") == level("re-scored")
    assert level("self-reported (2 of 3), re-trained (1 of 3)") == level("self-reported")
