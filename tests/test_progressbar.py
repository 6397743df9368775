"""Long looks at a store show how far they are, on a terminal alone, and leave nothing behind."""

from __future__ import annotations

import io

from rich.console import Console

from reidbench.progressbar import going_through


def shown(terminal: bool) -> tuple[list[int], str]:
    """What comes out of a walk through 100 numbers, and what is printed meanwhile."""
    stream = io.StringIO()
    with going_through(Console(file=stream, force_terminal=terminal, width=80)) as through:
        found = list(through("counting", range(100)))
    return found, stream.getvalue()


def test_a_terminal_sees_a_line_that_is_cleared() -> None:
    found, text = shown(terminal=True)
    assert found == list(range(100))
    assert "counting" in text
    assert text.rpartition("\x1b[2K")[2].strip() == "\x1b[?25h"  # the line is erased, and the cursor back


def test_nothing_else_sees_anything() -> None:
    assert shown(terminal=False) == (list(range(100)), "")
