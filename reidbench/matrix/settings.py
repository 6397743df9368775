"""The settings of a file, a method or a step that say which size its images have, and how pictures come to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reidbench.components import STEP_SETTINGS
from reidbench.data.pictures.size import setting_fault

from .checker import Checker
from .yamlfile import Path_


def read_settings(check: Checker, given: Mapping[str, Any], path: Path_) -> dict[str, Any]:
    """The settings among the values of a map; what is no such value is noted as a problem and left out."""
    found = {}
    for name in STEP_SETTINGS:
        if name not in given:
            continue
        if fault := setting_fault(name, given[name]):
            check.wrong((*path, name), f"{fault}, not {check.text((*path, name), given[name])}")
        else:
            found[name] = given[name]
    return found
