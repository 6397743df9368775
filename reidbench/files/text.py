"""Users' text files: UTF-8 with or without a byte-order mark, any line ends; anything else is an error."""

from __future__ import annotations

import codecs
from pathlib import Path

from reidbench.errors import DataError

from .names import shown

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
CURE = "save it as UTF-8 (spreadsheets call it CSV UTF-8)"


def read_text(file: Path, what: str = "text file") -> str:
    """Return the text of a file without its byte-order mark.

    Raises DataError as `file: not a WHAT in UTF-8: reason; fix` for UTF-16 and for bytes that are not UTF-8, with their
    line, and for a missing or unreadable file.
    """
    where = shown(file)
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{where}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{where}: is a folder; name the {what} in it") from None
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error.strerror}") from None
    if data.startswith(_UTF16) or data.count(0) > len(data) // 4:  # without the mark, every second byte is zero
        raise DataError(f"{where}: not a {what} in UTF-8: it is UTF-16; {CURE}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start + (len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0)
        line = _line(data, at)
        raise DataError(f"{where}:{line}: not a {what} in UTF-8: byte 0x{data[at]:02x}; {CURE}") from None


def read_lines(file: Path, what: str = "text file") -> list[str]:
    """Return the lines of a file without their ends (LF, CR LF or CR). Raises DataError like `read_text`.

    `str.splitlines` would also split at characters that file names may contain.
    """
    lines = read_text(file, what).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _line(data: bytes, at: int) -> int:
    before = data[:at].replace(b"\r\n", b"\n")
    return 1 + before.count(b"\n") + before.count(b"\r")
