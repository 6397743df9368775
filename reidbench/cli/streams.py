"""Standard streams as the caller left them: closed, full, or of an encoding that lacks characters."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

from reidbench.errors import ReidbenchError


class _Patient(io.TextIOWrapper):
    """Standard error that never ends a run: what cannot be written there is lost, and the work goes on."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed meanwhile
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().flush()


class _Output(io.TextIOWrapper):
    """Standard output that says of itself when it cannot be written, but for a pipe that nobody reads any more."""

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
    """Make the three standard streams usable, before anything else is opened.

    A closed descriptor gets the null device: else the next pipe or file would take its number, and what is printed
    would go there. Characters that an encoding lacks are written as backslash escapes.
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
    """Another writer on the descriptor of a stream, which stays as it is for its other users."""
    return open(stream.fileno(), "wb", closefd=False)


def _fill_closed() -> list[int]:
    closed = []
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            closed.append(descriptor)
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    return closed


class _Closed(io.StringIO):
    """Standard output that was closed at the start: remembers whether somebody wanted to say something."""

    wanted = False

    def write(self, text: str) -> int:
        self.wanted = self.wanted or bool(text)
        return len(text)


def finish() -> None:
    """Write out what is buffered. Raises ReidbenchError when standard output does not take it, BrokenPipeError."""
    if isinstance(sys.stdout, _Closed):
        if sys.stdout.wanted:
            raise ReidbenchError("standard output is closed: what belongs there is not written")
        return
    try:
        sys.stdout.flush()
    except ValueError:
        raise ReidbenchError("standard output is closed: what belongs there is not written") from None


def is_closed() -> bool:
    """Whether standard output was closed when the program started."""
    return isinstance(sys.stdout, _Closed)


def give_up() -> None:
    """Point standard output at nothing, so that the interpreter does not try to write the rest when it ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
