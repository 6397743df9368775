"""Commands with placeholders in braces: `python extract.py {images} {out}`."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Collection, Mapping

PLACEHOLDER = re.compile(r"(?<!\$)\{([A-Za-z_]\w*)\}")  # `${HOME}` is the shell's


def placeholders(command: str) -> set[str]:
    """Return the names in braces."""
    return set(PLACEHOLDER.findall(command))


def fault(field: str, command: str, known: Collection[str], needed: Collection[str]) -> str:
    """Return the fault of a parameter's command, or "": quotes, unknown placeholders and missing ones."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        return f"{field} cannot be split into words: {error}"
    if not words or "\0" in command:
        return f"{field} must name a program"
    unknown = sorted(placeholders(command) - set(known))
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"; did you mean {{{near[0]}}}?" if near else ""
        return f"{field} has an unknown placeholder {{{unknown[0]}}}{hint} (known: {_listed(known)})"
    missing = sorted(set(needed) - placeholders(command))
    return f"{field} needs {_listed(missing)}" if missing else ""


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))


def filled(command: str, values: Mapping[str, str], *, shell: bool) -> list[str]:
    """Return the words of a command with values for its placeholders.

    It is split first, so that a value is always part of a single word; for a shell, values are quoted.
    """
    if shell:
        return ["/bin/sh", "-c", _replaced(command, {name: shlex.quote(value) for name, value in values.items()})]
    return [_replaced(word, values) for word in shlex.split(command)]


def _replaced(text: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: values[found[1]], text)
