"""User-written patterns for image paths, such as `store{store}_cam{camid}_person{pid}_{}.jpg`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from reidbench.errors import DataError
from reidbench.files.names import shown

_PIECE = re.compile(r"\{(?P<field>[^{}]*)\}|(?P<star>\*)|(?P<literal>[^{}*]+)|(?P<brace>[{}])")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Piece:
    """Piece of a pattern: a `literal`, or a field of at least `least` characters without `/`.

    A field without a name matches any text.
    """

    literal: str = ""
    name: str = ""
    least: int = 0

    @property
    def is_field(self) -> bool:
        """Whether the piece is a field."""
        return not self.literal

    def __str__(self) -> str:
        return self.literal or ("{" + self.name + "}" if self.least else "*")

    def expression(self, most: str) -> str:
        """The piece as a regular expression that prefers few (`?`) or many characters."""
        return re.escape(self.literal) if self.literal else f"([^/]{'+' if self.least else '*'}{most})"


class PathPattern:
    """Pattern with `{name}` and `{}` for one or more characters and `*` for any number, except `/`.

    It must match the whole path under a folder, or if it has no `/`, the file's name in any folder. Raises DataError
    for a brace that is not part of a field, a repeated name, and a name directly next to another field.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.pieces = tuple(_pieces(text))
        self.names = tuple(piece.name for piece in self.pieces if piece.name)
        for name in self.names:
            if self.names.count(name) > 1:
                raise DataError(f"pattern {shown(text)}: {{{name}}} occurs twice: write * for one of them")
        for one, other in zip(self.pieces, self.pieces[1:], strict=False):
            if one.is_field and other.is_field and (one.name or other.name):
                raise DataError(
                    f"pattern {shown(text)}: the border between {one} and {other} is ambiguous: write the text "
                    "between them, or give a regular expression"
                )
        self._fields = [piece.name for piece in self.pieces if piece.is_field]
        self._told = max((number for number, name in enumerate(self._fields, start=1) if name), default=0)
        few, many = ("".join(piece.expression(most) for piece in self.pieces) for most in ("?", ""))
        self._few, self._many = re.compile(few, re.DOTALL), re.compile(many, re.DOTALL)

    def read(self, path: str) -> dict[str, str] | None:
        """Value of each named field in a path, or None if it does not match.

        Raises DataError if a field can be read in two ways.
        """
        subject = path if "/" in self.text else path.rpartition("/")[2]
        few, many = self._few.fullmatch(subject), self._many.fullmatch(subject)
        if few is None or many is None:
            return None
        if few.groups()[: self._told] != many.groups()[: self._told]:  # otherwise there is only one reading
            self._refuse_two_ways(path, subject)
        return {name: value for name, value in zip(self._fields, few.groups(), strict=True) if name}

    def _refuse_two_ways(self, path: str, subject: str) -> None:
        for piece, values in self._readings(subject):
            if piece.name and len(values) > 1:
                told = " or ".join(map(repr, map(shown, sorted(values)[:2])))
                raise DataError(
                    f"pattern {shown(self.text)}: {shown(path)} matches with {piece} as {told}: write more of the "
                    "name into the pattern, or give a regular expression"
                )

    def _readings(self, subject: str) -> Iterator[tuple[Piece, set[str]]]:
        """Each field with all its values over all matches."""
        ends = self._ends(subject)
        starts = {0}
        for piece, after in zip(self.pieces, ends, strict=True):
            spans = [(start, end) for start in starts for end in after if _fits(piece, subject, start, end)]
            starts = {end for _, end in spans}
            if piece.is_field:
                yield piece, {subject[start:end] for start, end in spans}

    def _ends(self, subject: str) -> list[set[int]]:
        """For each piece the positions where it may end such that the remaining pieces match the rest."""
        after = {len(subject)}
        ends = []
        for piece in reversed(self.pieces):
            ends.append(after)
            after = {start for start in range(len(subject) + 1) if any(_fits(piece, subject, start, e) for e in after)}
        return ends[::-1]


class PathExpression:
    """Regular expression for the whole path under a folder; its named groups are the fields.

    Raises DataError if the expression is invalid.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._expression = re.compile(text)
        except re.error as error:
            raise DataError(f"regular expression {shown(text)}: {error}") from None
        self.names = tuple(self._expression.groupindex)

    def read(self, path: str) -> dict[str, str] | None:
        """Value of each named group in a path, empty if it took no part; None if the path does not match."""
        found = self._expression.fullmatch(path)
        return None if found is None else found.groupdict(default="")


def fill(template: str, values: dict[str, str]) -> str:
    """Fill a template like `{store}-{camid}` with the values of its fields."""
    return "".join(piece.literal or values[piece.name] for piece in _pieces(template))


def template_fields(template: str) -> set[str]:
    """Fields of a template. Raises DataError if there are none, or if a brace is not part of a field."""
    pieces = list(_pieces(template))
    if any(piece.is_field and not piece.name for piece in pieces) or not any(piece.name for piece in pieces):
        raise DataError(f"{shown(template)}: expected fields of the pattern, as in '{{store}}-{{camid}}'")
    return {piece.name for piece in pieces if piece.name}


def _pieces(text: str) -> Iterator[Piece]:
    for found in _PIECE.finditer(text):
        name = found["field"]
        if found["brace"] or (name and not _NAME.fullmatch(name)):
            raise DataError(
                f"pattern {shown(text)}: {shown(found[0])!r} is not a field: write {{name}} (letters, digits, _), "
                "{} for anything, or give a regular expression"
            )
        yield Piece(found["literal"] or "", name or "", 0 if found["star"] else 1)


def _fits(piece: Piece, subject: str, start: int, end: int) -> bool:
    if piece.literal:
        return subject[start:end] == piece.literal
    return end - start >= piece.least and "/" not in subject[start:end]
