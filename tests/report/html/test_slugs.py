"""Names as parts of addresses."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from reidbench.report.html.slugs import row_anchor, slug


def digits(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


@pytest.mark.parametrize("name", ["bot", "plaza", "k-reciprocal", "resnet50-2", "0", "console", "com10"])
def test_a_plain_name_stays(name: str) -> None:
    assert slug(name) == name


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("BoT", "bot-"),
        ("plaza->station", "plaza-station-"),
        ("a--b", "a-b-"),
        ("-a-", "a-"),
        ("con", "con-"),
        ("lpt1", "lpt1-"),
        ("../../etc/passwd", "etc-passwd-"),
        ("<script>alert(1)</script>", "script-alert-1-script-"),
        ("été", "t-"),
        ("", ""),
        ("..", ""),
        ("人", ""),
        ("\u202e", ""),
        ("deadbeef", "deadbeef-"),  # else it would be the slug of a name without letters
        ("bot-0123abcd", "bot-0123abcd-"),
    ],
)
def test_any_other_gets_digits_of_its_own(name: str, begin: str) -> None:
    assert slug(name) == begin + digits(name)


def test_a_long_name_is_cut() -> None:
    assert slug("a" * 200) == "a" * 60 + "-" + digits("a" * 200)
    assert slug("a" * 59 + "-" + "b" * 200).startswith("a" * 59 + "-")
    assert "--" not in slug("a" * 59 + "-" + "b" * 200)


def test_no_two_names_have_one_slug() -> None:
    """All names of up to three of these characters, and the slugs of all of them as names."""
    names = {"".join(some) for count in range(4) for some in itertools.product("aA-/1 é", repeat=count)}
    names |= {slug(name) for name in names}
    assert len({slug(name) for name in names}) == len(names)
    assert all(slug(name).isascii() and slug(name) == slug(name).lower() for name in names)


def test_anchors_of_rows_differ_where_rows_do() -> None:
    assert row_anchor("bot", "plaza", "cosine") == "row-bot--plaza--cosine"
    assert row_anchor("a", "b--c", "d") != row_anchor("a--b", "c", "d")
