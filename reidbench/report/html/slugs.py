"""Names as parts of addresses: of files, and of places on a page, that stay when others are added."""

from __future__ import annotations

import hashlib
import re

LONGEST = 60  # characters of a name that are kept
DIGITS = 8  # of the SHA-256 of a name
PLAIN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
HASHED = re.compile(r"(?:^|-)[0-9a-f]{8}$")  # a plain name that looks like one with digits behind it
RESERVED = re.compile(r"con|prn|aux|nul|(?:com|lpt)\d")  # names that Windows gives to no file


def slug(name: str) -> str:
    """The name where it is plain: lower-case ASCII letters and digits with single hyphens between them.

    Any other is made so and gets the first digits of its SHA-256, so that different names stay different, also where
    a file system does not know capitals.
    """
    if PLAIN.fullmatch(name) and len(name) <= LONGEST and not HASHED.search(name) and not RESERVED.fullmatch(name):
        return name
    digits = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
    kept = "-".join(re.findall("[a-z0-9]+", name.lower()))[:LONGEST].rstrip("-")
    return f"{kept}-{digits}" if kept else digits


def row_anchor(method: str, task: str, evaluator: str) -> str:
    """The id of a row on its page. No slug has two hyphens in a row."""
    return f"row-{slug(method)}--{slug(task)}--{slug(evaluator)}"
