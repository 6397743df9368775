"""The command line that a forked process shows in `ps` and `pgrep`, else that of the process it was forked from."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

ROOM = " " * 2048  # an argument that keeps room for later titles, since they cannot be longer than the first
ARGUMENTS = slice(45, 47)  # arg_start and arg_end among the fields behind the name in /proc/self/stat, see proc(5)


def retitle(words: Sequence[str]) -> None:
    """Show `words` as this process's command line, cut where the process was not started with room for them.

    Raises OSError where there is no /proc.
    """
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = map(int, fields[ARGUMENTS])
    if not 0 < begin < end:  # another user's view of the process has zeros
        return
    text = b"".join(word.encode(errors="surrogateescape") + b"\0" for word in words)
    room = end - begin - 1
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, text[:room], min(len(text), room))
