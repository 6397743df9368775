"""What the files of a data set contain now: the planner names it in a key, and a stage looks again before it ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .components import Component, Params, load_attribute
from .data import fingerprint_file, fingerprint_folder
from .errors import DataError
from .plugins import Registry


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


def refuse_changed(spec: Mapping[str, Any], registry: Registry) -> None:
    """Raise DataError where the files that a stage was given are no longer those that the plan saw.

    Its result would be kept under the key of the files as they were. Sets without a root are made, not read; below
    a root that has the store in it files always change.
    """
    for name, given in _given(spec):
        if given["root"] and given.get("content") and not Path(spec["store"]).is_relative_to(given["root"]):
            component = registry.get("dataset", given["use"])
            now = content_of(component, component.params(**given["params"]), Path(given["root"]))
            if short(now) != given["content"]:
                raise DataError(
                    f"{name}: its files changed during the run; this result is not kept, because it may mix old and "
                    "new files: run it again"
                )


def _given(spec: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(name of the data set, its stage) for everything that a stage reads from disk."""
    if spec["stage"]["kind"] == "data":
        yield spec["stage"]["label"], spec["stage"]
    names = {given["key"]: given["data"] for given in spec["stage"]["data"]}
    for key, stage in spec.get("data_stages", {}).items():
        yield f"data {names.get(key, key)}", stage
