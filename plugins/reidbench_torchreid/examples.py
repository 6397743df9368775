"""Example of torchreid for `reidbench check`: a small network, if the package is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reidbench.check.examples import Example


def small(folder: Path) -> Example | dict[str, Any]:
    """Return parameters, or the reason why the check is skipped."""
    from reidbench.check.examples import Example

    if importlib.util.find_spec("torchreid") is None:
        return Example(skip="needs the package torchreid; pip install 'reidbench[torchreid]'")
    return {"model": "osnet_x0_25"}
