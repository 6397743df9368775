"""Names as parts of addresses of files and page fragments; they stay stable when others are added."""

from __future__ import annotations

import hashlib
import re

LONGEST = 60  # characters of a name that are kept
DIGITS = 8  # of the SHA-256 of a name
PLAIN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
HASHED = re.compile(r"(?:^|-)[0-9a-f]{8}$")  # plain names that look like hashed ones
RESERVED = re.compile(r"con|prn|aux|nul|(?:com|lpt)\d")  # file names that Windows reserves


def slug(name: str) -> str:
    """Return a plain name unchanged: lower-case ASCII letters and digits with single hyphens between them.

    Other names are converted and get the first digits of their SHA-256, so that different names stay different, also on
    case-insensitive file systems.
    """
    if PLAIN.fullmatch(name) and len(name) <= LONGEST and not HASHED.search(name) and not RESERVED.fullmatch(name):
        return name
    digits = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
    kept = "-".join(re.findall("[a-z0-9]+", name.lower()))[:LONGEST].rstrip("-")
    return f"{kept}-{digits}" if kept else digits


def row_anchor(method: str, task: str, evaluator: str) -> str:
    """Return the id of a row on its page. Slugs never contain two hyphens in a row."""
    return f"row-{slug(method)}--{slug(task)}--{slug(evaluator)}"
