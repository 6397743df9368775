"""Handling of standard streams that are closed, full, or in an encoding without some characters."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

from reidbench.errors import ReidbenchError


class _Patient(io.TextIOWrapper):
    """Standard error that never stops a run: text that cannot be written is dropped."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):  # ValueError: the stream was closed
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().flush()


class _Output(io.TextIOWrapper):
    """Standard output that raises ReidbenchError if it cannot be written. A broken pipe stays a BrokenPipeError."""

    def write(self, text: str) -> int:
        with _telling():
            return super().write(text)

    def flush(self) -> None:
        with _telling():
            super().flush()


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ReidbenchError(f"standard output cannot be written: {error.strerror}") from None


def prepare() -> None:
    """Make the three standard streams usable, before any other file is opened.

    A closed descriptor is opened on the null device; otherwise the next pipe or file would take its number and receive
    the printed text. Characters that the encoding lacks are written as backslash escapes.
    """
    closed = _fill_closed()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            descriptor = {"stdout": 1, "stderr": 2}[name]
            setattr(sys, name, open(descriptor, "w", closefd=False, encoding="utf-8"))  # noqa: SIM115
    if type(sys.stdout) is io.TextIOWrapper:
        interactive = sys.stdout.isatty()
        sys.stdout = _Output(_beside(sys.stdout), sys.stdout.encoding, "backslashreplace", line_buffering=interactive)
    if type(sys.stderr) is io.TextIOWrapper:
        sys.stderr = _Patient(_beside(sys.stderr), sys.stderr.encoding, "backslashreplace", line_buffering=True)
    if 1 in closed:
        sys.stdout = _Closed()


def _beside(stream: io.TextIOWrapper) -> io.BufferedWriter:
    """Return a second writer on the descriptor of a stream. The stream itself does not change."""
    return open(stream.fileno(), "wb", closefd=False)


def _fill_closed() -> list[int]:
    closed = []
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            closed.append(descriptor)
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, normally this one
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    return closed


class _Closed(io.StringIO):
    """Standard output that was closed at startup. Records whether anything was written to it."""

    wanted = False

    def write(self, text: str) -> int:
        self.wanted = self.wanted or bool(text)
        return len(text)


def finish() -> None:
    """Flush standard output. Raises ReidbenchError if it cannot be written, BrokenPipeError if its reader is gone."""
    if isinstance(sys.stdout, _Closed):
        if sys.stdout.wanted:
            raise ReidbenchError("standard output is closed; the output is lost")
        return
    try:
        sys.stdout.flush()
    except ValueError:
        raise ReidbenchError("standard output is closed; the output is lost") from None


def is_closed() -> bool:
    """Return whether standard output was closed when the program started."""
    return isinstance(sys.stdout, _Closed)


def give_up() -> None:
    """Point standard output at the null device, so that the interpreter does not flush the rest at exit."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
