"""Paths lose all but their last part, or but what they are known as; other text stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from reidbench.errors import ReidbenchError
from reidbench.packs.redaction import Redaction, bare

REDACTION = Redaction([("/mnt/Jürgen Müller/market", "root of m"), ("/home/jane", "home")], ["jane", "box7", "root"])
PATHS = {
    "/mnt/Jürgen Müller/market/query/1.jpg: no such file": "<root of m>/query/1.jpg: no such file",
    "cannot read /home/jane/a/b.txt.": "cannot read <home>/a/b.txt.",
    "/home/jane2/x/y z/q.jpg, and /c/d": "q.jpg, and d",
    "/mnt/Jürgen Müller/other/x.jpg": "x.jpg",
    "file:///home/j/x%20y.png": "x%20y.png",
    "file:/home/j/x.png": "x.png",
    r"C:\Users\Jane Doe\data\x.jpg: bad": "x.jpg: bad",
    "C:/Users/Jane": "<home>",
    r"\\server\share\x": "x",
    "//server/share/x": "x",
    "~bob/data/x": "x",
    "{root: /data/market1501, use: x}": "{root: market1501, use: x}",
    "PATH=/a/b:/c/d": "PATH=b:d",
    "open('/srv/x/y.npy')": "open('y.npy')",
    "the home of /home/bob": "the home of <home>",
    "/Users/é ü/z": "z",
}
TEXTS = (
    "see https://example.org/a/b and/or query/gallery 1/2 m/s",
    "root: ${MARKET1501}/sub",
    "../data/x ./y ~/data",
    "pattern (\\d+)/(\\d)",
    "x = a / b, </div>, /",
    "s3://bucket/key",
    "<root of m>/query/1.jpg",
)


@pytest.mark.parametrize("text", PATHS)
def test_paths_are_replaced(text: str) -> None:
    assert REDACTION.text(text) == PATHS[text]


@pytest.mark.parametrize("text", TEXTS)
def test_other_text_stays(text: str) -> None:
    assert REDACTION.text(text) == text


@pytest.mark.parametrize("text", PATHS)
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert REDACTION.text(PATHS[text]) == PATHS[text]


def test_every_text_of_a_value_is_redacted_names_of_fields_too() -> None:
    given = {"/home/jane/x": ["/a/b", {"k": ("/c/d", 1, None, True)}]}
    assert REDACTION.value(given) == {"<home>/x": ["b", {"k": ["d", 1, None, True]}]}


def test_notes_of_a_store_and_of_a_pack_are_compared_by_the_last_parts_of_paths() -> None:
    note = "/mnt/Jürgen Müller/market/query/1.jpg: left out"
    assert bare(note) == bare(REDACTION.text(note)) == "1.jpg: left out"


@pytest.mark.parametrize(
    "content",
    [b"made by jane.", b'"../../Jane/x"', "of box7, ü".encode(), b"x" + np.array(["ab jane"]).tobytes(), b"jane_2"],
)
def test_a_name_that_is_left_as_a_whole_word_is_refused(content: bytes) -> None:
    with pytest.raises(ReidbenchError, match=r"contain the name '(jane|box7)' .*results/x"):
        REDACTION.check("results/x", content)


@pytest.mark.parametrize("content", [b"janet", b"mary-jan", b"the root of all", b"box70"])
def test_parts_of_words_and_ordinary_words_are_no_names(content: bytes) -> None:
    REDACTION.check("results/x", content)


def test_a_name_that_is_also_a_component_is_no_name() -> None:
    REDACTION.check("board.json", b'"use": "jane"', frozenset({"jane"}))
