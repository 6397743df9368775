"""Command line of a forked process in `ps` and `pgrep`, which would otherwise be that of its parent."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

ROOM = " " * 2048  # an argument that reserves space for later titles, which cannot be longer than the first
ARGUMENTS = slice(45, 47)  # arg_start and arg_end among the fields after the name in /proc/self/stat, see proc(5)


def retitle(words: Sequence[str]) -> None:
    """Show `words` as this process's command line, truncated to the space reserved at its start.

    Raises OSError without /proc.
    """
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = map(int, fields[ARGUMENTS])
    if not 0 < begin < end:  # zeros in another user's view of the process
        return
    text = b"".join(word.encode(errors="surrogateescape") + b"\0" for word in words)
    room = end - begin - 1
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, text[:room], min(len(text), room))
