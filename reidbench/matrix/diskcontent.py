"""What the files of a data set contain now: the planner names it in a key, and `unchanged` looks again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from reidbench.components import Component, Params, load_attribute
from reidbench.data import fingerprint_file, fingerprint_folder


def content_of(component: Component, params: Params, root: Path | None) -> str:
    """The component's own fingerprint, else the hash of all names and contents under the root; "" without a root.

    Raises DataError where files cannot be read.
    """
    if component.fingerprint:
        return str(load_attribute(component.fingerprint)(params, root))
    if root is None:
        return ""
    return fingerprint_folder(root) if root.is_dir() else fingerprint_file(root)


def short(content: str) -> str:
    """32 digits that stand for what `content_of` gave."""
    return hashlib.sha256(content.encode()).hexdigest()[:32]
