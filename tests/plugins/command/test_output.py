"""The log of a program: its beginning and its end, without secrets, for any division of the output into blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench_command.output import HEAD, TAIL, Output


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_secrets_are_masked_across_blocks(size: int, tmp_path: Path) -> None:
    text = b"a token token-long: tok" + b"en, to ken and 1\n" * 3
    output = Output(tmp_path / "log", ["token", "token-long", "1"])
    for start in range(0, len(text), size):
        output.write(text[start : start + size])
    output.close()
    expected = "a *** ***: ***, to ken and 1\n" + "en, to ken and 1\n" * 2
    assert (tmp_path / "log").read_text() == expected
    assert output.last_line == "en, to ken and 1"


def test_the_middle_of_a_long_output_is_left_out(tmp_path: Path) -> None:
    output = Output(tmp_path / "log", [])
    output.title("$ program")
    lines = b"".join(b"%07d\n" % number for number in range(100_000))
    for start in range(0, len(lines), 65536):
        output.write(lines[start : start + 65536])
    output.close()
    note = f"\n[... {len(lines) - HEAD - TAIL} bytes of its output are omitted ...]\n".encode()
    assert (tmp_path / "log").read_bytes() == b"$ program\n" + lines[:HEAD] + note + lines[-TAIL:]


def test_the_last_line_is_fit_for_a_sentence_and_never_the_title(tmp_path: Path) -> None:
    output = Output(tmp_path / "log", [])
    output.title("$ program")
    assert output.last_line == ""
    output.write(b"first\n\x1b[31mred\xff\n  \n")
    assert output.last_line.isprintable()
    assert "red" in output.last_line
    output.close()
    nowhere = Output(None, [])
    nowhere.write(b"kept for the sentence")
    nowhere.close()
    assert nowhere.last_line == "kept for the sentence"
