"""Fit Markdown to the width of a terminal: wide tables are split, with the key columns in each part."""

from __future__ import annotations

import itertools
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len

MOST_KEYS = 3  # columns that name a row: task, method, evaluator
BORDERS = 3  # characters of a column besides its text
UNESCAPED_BAR = re.compile(r"(?<!\\)\|")

Column = list[str]  # heading, then cells


def shown(text: str) -> str:
    """Return Markdown as standard output should show it: fitted to a terminal, unchanged elsewhere."""
    return fitted(text, shutil.get_terminal_size().columns) if sys.stdout.isatty() else text


def fitted(text: str, width: int) -> str:
    """Return Markdown whose tables and sentences are at most `width` columns wide, where words allow it.

    Nothing is dropped: a table that is too wide is split by columns, and a sentence says so.
    """
    parts: list[str] = []
    how = " Output to a file or a pipe is not split."  # said once
    for is_table, lines in itertools.groupby(text.split("\n"), lambda line: line.startswith("|")):
        block = list(lines)
        if is_table and max(map(cell_len, block)) > width:
            split, is_whole = _split(_columns(block), width, how)
            parts += split
            how = how if is_whole else ""
        else:
            parts += block if is_table else [part for line in block for part in _wrapped(line, width)]
    return "\n".join(parts)


def _wrapped(line: str, width: int) -> list[str]:
    """Return the wrapped lines of a sentence; headings are not wrapped."""
    if cell_len(line) <= width or line.startswith("#"):
        return [line]
    indent = "  " if line.startswith("- ") else ""
    return textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _columns(lines: Sequence[str]) -> list[Column]:
    """Return the columns of a table, without the rule below its headings."""
    rows = [[cell.strip() for cell in UNESCAPED_BAR.split(line)[1:-1]] for line in lines if not _is_rule(line)]
    return [list(column) for column in zip(*rows, strict=True)]


def _is_rule(line: str) -> bool:
    return not line.strip("|:- ")


def _width(column: Column) -> int:
    return max(map(cell_len, column)) + BORDERS


def _split(columns: list[Column], width: int, how: str) -> tuple[list[str], bool]:
    """Return the lines of a table in parts, tables that fit, then a list for each column that is too wide.

    Also return whether one table is enough, since without its padding it fits.
    """
    keys, others = _keyed(columns)
    space = width - 1 - sum(map(_width, keys))
    wide = [column for column in others if _width(column) > space]
    tables = list(_groups([column for column in others if column not in wide], space))
    names = ", ".join(column[0] for column in keys)
    parts = len(tables) + len(wide)
    if tables and parts == 1:
        return list(_table([*keys, *tables[0]])), True
    said = f"The table is wider than this terminal ({width} columns). It is split into {parts} parts by {names}."
    lines = list(_wrapped(f"{said}{how}", width))
    for group in tables:
        lines += ["", *_table([*keys, *group])]
    for column in wide:
        lines += ["", f"{column[0]}:"]
        for row, cell in enumerate(column[1:], 1):
            lines += _wrapped(f"- {', '.join(key[row] for key in keys)}: {cell}", width)
    return lines, False


def _keyed(columns: list[Column]) -> tuple[list[Column], list[Column]]:
    """Return the leading columns that identify each row, and the others. Without such columns, the first is the key."""
    for count in range(1, min(MOST_KEYS, len(columns) - 1) + 1):
        names = list(zip(*columns[:count], strict=True))
        if len(set(names)) == len(names):
            return columns[:count], columns[count:]
    return columns[:1], columns[1:]


def _groups(columns: Sequence[Column], space: int) -> Iterator[list[Column]]:
    """Yield groups of consecutive columns that fit."""
    group: list[Column] = []
    for column in columns:
        if group and sum(map(_width, group)) + _width(column) > space:
            yield group
            group = []
        group.append(column)
    if group:
        yield group


def _table(columns: Sequence[Column]) -> Iterator[str]:
    widths = [_width(column) - BORDERS for column in columns]
    for number, row in enumerate(zip(*columns, strict=True)):
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        yield f"| {' | '.join(cells)} |"
        if number == 0:
            yield f"|{'|'.join('-' * (width + 2) for width in widths)}|"
