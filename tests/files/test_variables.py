"""Environment variables in paths."""

from __future__ import annotations

import pytest

from reidbench.files.variables import UnsetVariable, expanded


def test_what_is_replaced_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "/my data")
    monkeypatch.setenv("SET_1", "market")
    for text, path in {
        "${DATA}/${SET_1}": "/my data/market",
        "$DATA/$SET_1.zip": "/my data/market.zip",
        "a$$DATA": "a$DATA",  # a folder whose name has a dollar sign
        "C$/5$": "C$/5$",
        "${DATA": "${DATA",
        "${DA-TA}": "${DA-TA}",
        "~/data": "~/data",
    }.items():
        assert expanded(text) == path


def test_a_value_is_not_expanded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "/$HOME/${DATA}/$$")
    assert expanded("$DATA") == "/$HOME/${DATA}/$$"


@pytest.mark.parametrize(("value", "words"), [(None, "not set"), ("", "empty")])
def test_one_that_is_not_set_or_empty_is_named(monkeypatch: pytest.MonkeyPatch, value: str, words: str) -> None:
    monkeypatch.delenv("MARKET1501", raising=False)
    if value is not None:
        monkeypatch.setenv("MARKET1501", value)
    with pytest.raises(UnsetVariable, match=f"^the environment variable MARKET1501 is {words}$") as caught:
        expanded("${MARKET1501}/images")
    assert caught.value.name == "MARKET1501"
