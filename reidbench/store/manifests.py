"""Validation of manifests: a foreign store may have correct checksums and invalid values in any field."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from reidbench.files.names import stays_inside

LARGEST_METRIC = 1e100  # its square and sums over seeds are still finite
LONGEST = 1e12  # seconds of a stage: more than thirty thousand years
KEY = re.compile(r"\w[\w.-]{0,250}", re.ASCII)  # of an artifact: the name of one folder, never a path

# Extent to which an evaluation from elsewhere was checked: not at all; recomputed from its features with the checker's
# own labels; trained again.
CHECKED = ("self-reported", "re-scored", "re-trained")

Check = Callable[[Any], bool]


def checksum(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest without its `checksum`, as JSON on one line with sorted names."""
    rest = {name: value for name, value in manifest.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def sealed(manifest: Mapping[str, Any]) -> str:
    """Return the text of a manifest as stores write it, with a new checksum."""
    whole = {**manifest, "checksum": checksum(manifest)}
    return json.dumps(whole, indent=1, sort_keys=True) + "\n"


def is_sealed(text: bytes, given: bytes) -> bool:
    """Return whether a text has the checksum that `checksum` computes, without decoding it.

    Stages write a manifest as that JSON with line breaks and the checksum on its own line. Other forms of the same JSON
    may be intact too.
    """
    rest = text.replace(b'\n "checksum": "%b",' % given, b"", 1)
    line = b"".join(map(bytes.lstrip, rest.replace(b",\n", b", \n").split(b"\n")))
    return hashlib.sha256(line).hexdigest().encode() == given


def is_whole(text: bytes, manifest: Mapping[str, Any]) -> bool:
    """Return whether the checksum of a manifest, of a file with that text, is correct."""
    given = manifest["checksum"]
    sealed = isinstance(given, str) and is_sealed(text, given.encode(errors="replace"))
    return sealed or bool(checksum(manifest) == given)


def fault(manifest: Mapping[str, Any]) -> str:
    """Return the first value in a manifest that no stage writes, as "FIELD is not ..."; "" if all are valid.

    A missing field is not an error here; `Artifact.need` reports it where it is needed.
    """
    found = _wrong(manifest, FIELDS)
    if not found and "stage" in manifest:
        found = _wrong(manifest["stage"], STAGE, "stage.")
        if not found and manifest.get("key") in [key for _, key in manifest["stage"].get("parents", ())]:
            found = "stage.parents is not free of the artifact itself"
    return found


def _wrong(given: Mapping[str, Any], fields: Mapping[str, tuple[str, Check]], prefix: str = "") -> str:
    for name, value in given.items():
        if name in fields and not fields[name][1](value):
            return f"{prefix}{name} is not {fields[name][0]}"
    return ""


# ---------------------------------------------------------------------- what values may be
def is_number(value: object, largest: float) -> bool:
    """Return whether a value is a number, not a boolean, of at most that size. NaN is allowed, infinity is not."""
    if type(value) not in (int, float):
        return False
    return abs(value) <= largest or (type(value) is float and math.isnan(value))  # type: ignore[arg-type]


def _text(value: object) -> bool:
    return isinstance(value, str)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _dict(value: object) -> bool:
    return isinstance(value, dict)


def _seconds(value: object) -> bool:
    return is_number(value, LONGEST) and value >= 0  # type: ignore[operator]


def _numbers(value: object) -> bool:
    return isinstance(value, dict) and all(is_number(one, LARGEST_METRIC) for one in value.values())


def _whole(value: object) -> bool:
    return type(value) is int


def _checked(value: object) -> bool:
    return value in CHECKED


def _versions(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _place(value: object) -> bool:
    """Return whether a value is None or a path that the operating system accepts."""
    try:
        return value is None or (isinstance(value, str) and b"\0" not in os.fsencode(value))
    except UnicodeEncodeError:
        return False


def _parents(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) and _key(one[1]) for one in value
    )


def _key(value: object) -> bool:
    return isinstance(value, str) and KEY.fullmatch(value) is not None


def _inputs(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(one, dict) and _key(one.get("key")) and all(name in one for name in INPUT) for one in value
    )


INPUT = ("role", "data", "part", "hidden", "identities", "subset_seed")  # of one data set given to a stage
STAGE: Mapping[str, tuple[str, Check]] = {
    "kind": ("text", _text),
    "use": ("text", _text),
    "label": ("text", _text),
    "parents": ("a list of [role, key]", _parents),
    "data": ("a list of data sets", _inputs),
    "root": ("a path", _place),
}
FIELDS: Mapping[str, tuple[str, Check]] = {
    "stage": ("a mapping", _dict),
    "metrics": ("numbers by name", _numbers),
    "seconds": ("a number of seconds", _seconds),
    "work_seconds": ("a number of seconds", _seconds),
    "versions": ("strings by name", _versions),
    "settings": ("a mapping", _dict),
    "platform": ("text", _text),
    "processor": ("text", _text),
    "machine": ("text", _text),
    "network": ("text", _text),
    "plugin": ("text", _text),
    "source": ("text", _text),
    "version": ("a whole number", _whole),
    "environment": ("text", _text),
    "checked": (f"one of {', '.join(CHECKED)}", _checked),
    "claimed": ("numbers by name", _numbers),
    "notes": ("a list of strings", _texts),
    "protocol": ("a list of strings", _texts),
    "root": ("a path", _place),
    "root_from_given": ("a path", _place),
}


def names_files(manifest: Mapping[str, Any]) -> bool:
    """Return whether it lists only files inside its folder, each with size and checksum; a store may be untrusted."""
    files = manifest["files"].items()
    return all(stays_inside(name) and {"size", "sha256"} <= entry.keys() for name, entry in files)
