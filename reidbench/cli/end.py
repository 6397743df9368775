"""The end of a command: its exit code, and one sentence on standard error after an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from reidbench.errors import ConfigError, DataErrors, ReidbenchError

from . import streams


def exit_code(program: Callable[[], object]) -> int | str | None:
    """Run a program with usable standard streams. User errors and stream errors print a sentence and return 2."""
    streams.prepare()
    code: int | str | None = 0
    try:
        code = _ended(program)
        streams.finish()
    except ReidbenchError as error:
        code = code if code == 2 else _complain(error)  # 2: already printed
        streams.give_up()
    except BrokenPipeError:  # `reidbench ... | head`
        code = 1
        streams.give_up()
    return code


def _ended(program: Callable[[], object]) -> int | str | None:
    """Run the program. An unexpected OSError also prints one sentence."""
    try:
        program()
    except SystemExit as end:
        return end.code
    except ReidbenchError as error:
        return _complain(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _complain(ReidbenchError(f"{_files(error)}{error.strerror or error}"))
    return 0


def _files(error: OSError) -> str:
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return "".join(f"{name}: " for name in names)


def _complain(error: ReidbenchError) -> int:
    from reidbench.registry.plugins import printable

    sentences = error.problems if isinstance(error, ConfigError | DataErrors) else (str(error),)
    program = "" if isinstance(error, ConfigError) else "reidbench: "
    for sentence in sentences:
        print(printable(f"{program}{sentence}"), file=sys.stderr)
    return 2
