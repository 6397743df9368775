"""Tables on a terminal: no wider than it is, nothing dropped, and whole everywhere else."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from reidbench.cli.results.fitting import fitted, shown
from tests.support.terminals import in_terminal

ROOT = Path(__file__).parents[3]
PACK = ROOT / "benchmarks" / "results" / "packs" / "quickstart.zip"
WIDE = (
    "| method   | evaluator   | plaza     | 中文       | protocol                        |\n"
    "|----------|-------------|-----------|------------|---------------------------------|\n"
    "| a \\| b   | cosine      | **1.0**   | 2.0        | no labels, AP step              |\n"
    "| a \\| b   | euclidean   | 1.5       | 2.5        | source labels, target labels, x |"
)


def cells(text: str) -> list[str]:
    """All strings between bars, without the lines below headings."""
    rows = [line for line in text.splitlines() if line.startswith("|") and line.strip("|:- ")]
    return [cell.strip() for line in rows for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_what_fits_is_unchanged() -> None:
    text = f"# {'title ' * 40}\n\nShort.\n\n{WIDE}\n"
    assert fitted(text, 200) == text


@pytest.mark.parametrize("width", [40, 60])
def test_a_wide_table_is_split_and_says_so(width: int) -> None:
    lines = fitted(WIDE, width).splitlines()
    assert max(map(cell_len, lines)) <= width
    text = "\n".join(lines)
    assert f"wider than this terminal ({width} columns). It is split into" in " ".join(lines)
    assert "by\nmethod, evaluator" in text or "by method, evaluator" in " ".join(lines)
    assert set(cells(text)) >= {"**1.0**", "1.5", "中文", "2.0", "2.5", "a \\| b"}
    for words in ("no labels, AP step", "source labels, target labels, x"):
        assert words in " ".join(" ".join(lines).split())


def test_a_table_that_fits_without_its_padding_is_not_split() -> None:
    text = fitted(WIDE, 80)
    assert max(map(cell_len, text.splitlines())) <= 80
    assert cells(text) == cells(WIDE)
    assert "split" not in text
    assert "is not split" in fitted(f"{WIDE}\n\n{WIDE.replace('labels', 'labels' * 9)}", 80)  # at the first split


def test_a_column_wider_than_the_terminal_becomes_a_list() -> None:
    text = fitted(WIDE, 50)
    assert "\nprotocol:\n- a \\| b, cosine: no labels, AP step\n" in text


def test_sentences_are_wrapped_between_words() -> None:
    text = fitted(f"- {'seven ' * 20}end\n{'x' * 90}", 40)
    lines = text.splitlines()
    assert max(map(len, lines[:-1])) <= 40
    assert lines[1].startswith("  seven")
    assert lines[-1] == "x" * 90  # a path or an address stays whole


def test_a_file_or_a_pipe_gets_the_table_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setenv("COLUMNS", "40")
    assert shown(WIDE) == WIDE


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_command_in_a_terminal(width: int, tmp_path: Path) -> None:
    """The same numbers as in a pipe, in lines that the terminal does not break."""
    text = in_terminal(["table", str(PACK)], width, tmp_path)
    table = [line for line in text.splitlines() if line.startswith(("|", "The table is"))]
    assert max(map(cell_len, table)) <= width
    assert ("wider than this terminal" in text) == (width < 200)
    assert {"**69.3** ± 2.4 [63.4, 75.2]", "**21.7** ± 2.0 [16.8, 26.6]", "colour-histogram"} <= set(cells(text))
