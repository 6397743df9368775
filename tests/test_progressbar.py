"""Long looks at a store show how far they are, on a terminal alone, and leave nothing behind."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from reidbench.progressbar import counting, going_through


def shown(terminal: bool) -> tuple[list[int], str]:
    """Return the result of an iteration over 100 numbers, and the output during it."""
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


@pytest.mark.parametrize("terminal", [True, False])
def test_counts_are_shown_on_a_terminal_alone(terminal: bool) -> None:
    stream = io.StringIO()
    with counting(Console(file=stream, force_terminal=terminal, width=80), "embedding") as show:
        for done in range(11):
            show(done, 10)
    text = stream.getvalue()
    assert ("embedding" in text) == ("10/10" in text) == terminal
    assert text.rpartition("\x1b[2K")[2].strip() == ""  # the line is erased


@pytest.mark.slow
@pytest.mark.parametrize("words", [["table", "{file}"], ["clean", "--dry-run", "{file}"]], ids=lambda words: words[0])
def test_commands_show_it_on_a_terminal_and_print_the_same(
    words: list[str], matrix: Callable[..., Path], tmp_path: Path
) -> None:
    """Standard error is a terminal, and standard output a pipe, as in `reidbench table FILE > table.md`."""
    file = matrix(methods="{mine: {finetune: colour-histogram}}")
    command = [sys.executable, "-m", "reidbench", *(word.format(file=file) for word in words)]
    command += ["--store", str(tmp_path / "store")]
    alone = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "checking artifacts" not in alone.stderr
    assert "reading" not in alone.stderr
    screen, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, text=True, env=environment) as watched:
        os.close(terminal)
        output, _ = watched.communicate()
    seen = os.read(screen, 1 << 16).decode()
    os.close(screen)
    assert (watched.returncode, output) == (0, alone.stdout)
    assert {"table": "reading results", "clean": "checking artifacts"}[words[0]] in seen
