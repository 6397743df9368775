"""Comparison of a result with the recorded one, and the remarks when it is impossible."""

from __future__ import annotations

from typing import Any

import pytest

from reidbench.check.record import compare
from reidbench.check.report import Broken

NOW: dict[str, Any] = {"version": 2, "digest": "a", "tried": "b", "environment": "torch 1, x86"}


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (None, ""),
        ({}, "same result as recorded"),
        ({"version": 1, "digest": "z"}, "version 2 differs from the recorded 1; update with --record"),
        ({"tried": "z", "digest": "z"}, "recorded with other parameters; update with --record"),
        ({"environment": "torch 0", "digest": "z"}, "not compared with the record, which is from torch 0"),
    ],
)
def test_only_equal_versions_parameters_and_machines_are_compared(known: dict[str, Any] | None, words: str) -> None:
    assert compare(None if known is None else NOW | known, NOW) == words


def test_a_changed_result_of_one_version_is_broken() -> None:
    with pytest.raises(Broken, match="results differ from those recorded for version 2; bump the component's version"):
        compare(NOW | {"digest": "z"}, NOW)
