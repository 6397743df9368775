"""Fast reading of a few fields of many manifests: all bytes are verified, and each distinct value is decoded once."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

from .manifests import fault, is_sealed

LABEL = re.compile(rb'\n  "label": ("[^\n]{0,1000}")[,\n]')  # of the stage, recognised by its indentation
SIZE = re.compile(rb'\n   "size": (\d{1,18})[,\n]')  # of a file
Fields = tuple[bytes | None, ...]


def facts(text: bytes, key: str, names: tuple[str, ...]) -> Mapping[str, Any] | None:
    """Return the named fields of a manifest; they are shared, so do not modify them.

    None if the text is not exactly as a stage writes it, has another key, or has values in these fields that no stage
    writes; `Store.manifest` then reports the error.
    """
    fields = _verified(text, key)
    return None if fields is None else _decoded(names, tuple(map(fields.get, _in_bytes(names))))


def shared(text: bytes, names: tuple[str, ...]) -> Mapping[str, Any] | None:
    """Return the named fields like `facts`, of a text that is already verified."""
    fields = _fields(text)
    return None if fields is None else _decoded(names, tuple(map(fields.get, _in_bytes(names))))


def glance(text: bytes, key: str) -> tuple[str, int] | None:
    """Return the label of a manifest's stage and the published size of the artifact in bytes; None as in `facts`."""
    fields = _verified(text, key)
    label = LABEL.search(fields.get(b"stage", b"")) if fields else None
    if fields is None or label is None:
        return None
    try:
        words = str(json.loads(label[1]))
    except ValueError:
        return None
    return words, len(text) + sum(map(int, SIZE.findall(fields.get(b"files", b""))))


def _verified(text: bytes, key: str) -> dict[bytes, bytes] | None:
    fields = _fields(text)
    if fields is None or fields.get(b"key") != b'"%b",' % key.encode(errors="replace"):
        return None
    return fields if is_sealed(text, fields.get(b"checksum", b"")[1:-2]) else None


def _fields(text: bytes) -> dict[bytes, bytes] | None:
    """Return the JSON of each field by name, with a trailing comma.

    Only the line of a field starts with one blank and a quote.
    """
    first, *rest = text.split(b'\n "')
    if first != b"{" or not rest or not rest[-1].endswith(b"\n}\n"):
        return None
    rest[-1] = rest[-1][:-3] + b","
    try:
        found: dict[bytes, bytes] = dict(field.split(b'": ', 1) for field in rest)
    except ValueError:  # a line without a value
        return None
    return found if len(found) == len(rest) else None


@functools.cache
def _in_bytes(names: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(name.encode() for name in names)


@functools.lru_cache(maxsize=1024)
def _decoded(names: tuple[str, ...], values: Fields) -> Mapping[str, Any] | None:
    """Decode values; versions, settings and the like are equal in thousands of manifests."""
    try:
        found = {name: json.loads(value[:-1]) for name, value in zip(names, values, strict=True) if value is not None}
    except (ValueError, RecursionError):
        return None
    return None if fault(found) else found
