"""Patterns of file names: what a field is, and that nothing is guessed where a name can be read in two ways."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from reidbench.data.layouts.patterns import PathExpression, PathPattern, fill, template_fields
from reidbench.errors import DataError


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("store{store}_cam{camid}_person{pid}_{}.jpg", "storeA_cam2_person17_0003.jpg",
         {"store": "A", "camid": "2", "pid": "17"}),
        ("{pid}/{camid}_*.png", "anna b/cam é_.png", {"pid": "anna b", "camid": "cam é"}),
        ("{pid}_{}.jpg", "deep/er/0002_x.jpg", {"pid": "0002"}),  # without a /: the name, in any folder
        ("{pid}_c{camid}s{}_{}.jpg", "0002_c1s1_000451_03.jpg", {"pid": "0002", "camid": "1"}),  # two ways for {}
        ("*{}_{pid}.JPG", "a_7.JPG", {"pid": "7"}),
        ("p{pid}.[1].jpg", "p5.[1].jpg", {"pid": "5"}),  # what is special in regular expressions is text
        ("{pid}/x.jpg", "a/b/x.jpg", None),  # a field ends at a /
        ("{pid}_{}.jpg", "0002_.jpg", None),
        ("{pid}.jpg", "0002.jpg.png", None),
        ("{pid}.jpg", "0002.JPG", None),
    ],
)  # fmt: skip
def test_fields(pattern: str, path: str, fields: dict[str, str] | None) -> None:
    assert PathPattern(pattern).read(path) == fields


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{pid}{camid}.jpg", r"the border between {pid} and {camid} is ambiguous"),
        ("{pid}*.jpg", r"the border between {pid} and \* is ambiguous"),
        ("{pid}/{pid}_{}.jpg", r"{pid} occurs twice: write \* for one of them"),
        ("{pid:04d}_{}.jpg", r"'{pid:04d}' is not a field"),
        ("{pid}_}.jpg", r"'}' is not a field"),
        ("{ pid }.jpg", r"'{ pid }' is not a field"),
    ],
)
def test_a_wrong_pattern(pattern: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        PathPattern(pattern)


def test_a_name_that_can_be_read_in_two_ways() -> None:
    pattern = PathPattern("{pid}_{camid}_*.jpg")
    assert pattern.read("anna_1_.jpg") == {"pid": "anna", "camid": "1"}
    with pytest.raises(DataError, match=r"x/anna_b_1_2\.jpg matches with {pid} as 'anna' or 'anna_b'"):
        pattern.read("x/anna_b_1_2.jpg")


def ways(pieces: tuple[str, ...], text: str) -> Iterator[tuple[str, ...]]:
    """All that the fields can be, by trying every length of each."""
    if not pieces:
        yield from [()] if not text else []
    elif pieces[0].startswith(("{", "*")):
        for length in range(pieces[0] != "*", len(text) + 1):
            if "/" not in text[:length]:
                yield from ((text[:length], *rest) for rest in ways(pieces[1:], text[length:]))
    elif text.startswith(pieces[0]):
        yield from ways(pieces[1:], text[len(pieces[0]) :])


@pytest.mark.slow
def test_a_field_is_what_it_is_in_every_way_to_read_the_path() -> None:
    chance, tried = random.Random(0), {"no": 0, "one": 0, "two": 0}
    while min(tried.values()) < 100:
        pieces = tuple(chance.choices(["_", "a", "/", "{}", "*", "{x}", "{y}"], k=chance.randint(1, 6)))
        path = "".join(chance.choices("aab_/", k=chance.randint(1, 8)))
        try:
            pattern = PathPattern("".join(pieces))
        except DataError:
            continue
        fields = [piece for piece in pieces if piece.startswith(("{", "*"))]
        found = list(ways(pieces, path if "/" in pieces else path.rpartition("/")[2]))
        read = {name: {way[at] for way in found} for at, name in enumerate(fields) if name in ("{x}", "{y}")}
        if any(len(values) > 1 for values in read.values()):
            tried["two"] += 1
            with pytest.raises(DataError, match="matches with"):
                pattern.read(path)
        else:
            tried["one" if found else "no"] += 1
            expected = {name.strip("{}"): values.pop() for name, values in read.items()} if found else None
            assert pattern.read(path) == expected


def test_a_regular_expression_is_of_the_whole_path() -> None:
    expression = PathExpression(r"(?:.*/)?(?P<pid>\d{4})(?P<camid>\d{3})(-(?P<time>\d+))?\.png")
    assert expression.read("campus/0001003.png") == {"pid": "0001", "camid": "003", "time": ""}
    assert expression.read("campus/0001003.png.bak") is None
    with pytest.raises(DataError, match=r"regular expression \(: missing \)"):
        PathExpression("(")


def test_templates() -> None:
    assert template_fields("{store}-{camid}") == {"store", "camid"}
    assert fill("{store}-{camid}", {"store": "A", "camid": "1", "pid": "7"}) == "A-1"
    for wrong in ("store", "{}-{camid}", ""):
        with pytest.raises(DataError, match="expected fields of the pattern"):
            template_fields(wrong)
