"""Run the command line in a terminal of a given size."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path


def in_terminal(arguments: list[str], width: int, folder: Path) -> str:
    """Return what `reidbench` prints to a terminal `width` columns wide, with its exit code checked."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "reidbench", *arguments]
    environment |= {"TERM": "xterm-256color", "NO_COLOR": "1"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder) as process:
        os.close(theirs)
        found = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not part:
                break
            found += part
    os.close(ours)
    text = found.decode().replace("\r\n", "\n")
    assert process.returncode == 0, text
    return text
