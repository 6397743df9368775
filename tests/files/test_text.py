"""Text files as editors and spreadsheets write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.errors import DataError
from reidbench.files.text import read_lines, read_text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", ["", "END"])
def test_marks_and_line_ends(end: str, mark: bytes, last: str, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    text = end.join(["a.jpg 0", "", "b\x0b\u2028.jpg 1"]) + last.replace("END", end)
    file.write_bytes(mark + text.encode())
    assert read_lines(file) == ["a.jpg 0", "", "b\x0b\u2028.jpg 1"]


@pytest.mark.parametrize("form", ["utf-16", "utf-16-le", "utf-16-be"])
def test_sixteen_bits_are_refused_with_a_cure(form: str, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("path,pid,split\na.jpg,1,train\n", encoding=form)
    with pytest.raises(DataError, match=r"list\.csv: not a CSV .* it is UTF-16; save it as UTF-8"):
        read_text(file, "CSV text file")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_another_encoding_is_named_by_line_and_byte(mark: bytes, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(mark + "a\r\nb\rJos\u00e9.jpg\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"list\.txt:3: not a text file in UTF-8: byte 0xe9; save it as UTF-8"):
        read_text(file)


def test_what_is_not_there_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt: no such file"):
        read_text(tmp_path / "none.txt")
    with pytest.raises(DataError, match="is a folder; name the text file in it"):
        read_text(tmp_path)
