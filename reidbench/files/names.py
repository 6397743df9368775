"""File names in messages: they are untrusted, and some contain terminal control characters."""

from __future__ import annotations

import os

LONGEST = 300


def shown(name: str | os.PathLike[str]) -> str:
    """Return a path or name for a message, with control characters escaped and long ones cut in the middle."""
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in os.fspath(name))
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}...{text[-LONGEST // 2 :]}"


def shown_value(value: object) -> str:
    """Return a plugin's value for a message; its repr is the plugin's own code and may fail."""
    try:
        return shown(repr(value))
    except Exception as error:  # noqa: BLE001
        return f"a {type(value).__name__}, whose repr raises {type(error).__name__}"


def stays_inside(path: object) -> bool:
    """Return whether a path cannot leave its folder: text, relative, without `..` and null characters."""
    if not isinstance(path, str) or not path or path.startswith("/") or "\0" in path:
        return False
    return ".." not in path or ".." not in path.split("/")
