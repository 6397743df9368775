"""The scribe: a tracker that writes down every call."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reidbench.testing import make_plugin

SCRIBE = Path(__file__).parents[1] / "support" / "tracker_plugin.py"
Calls = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def scribe(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the scribe next to the toy plugin. Returns the file that it writes."""
    make_plugin(site, "tracker_plugin", SCRIBE.read_text())
    monkeypatch.delitem(sys.modules, "tracker_plugin", raising=False)
    monkeypatch.setenv("REIDBENCH_PLUGINS", f"{os.environ['REIDBENCH_PLUGINS']},reidbench-tracker-plugin")
    return tmp_path / "calls.jsonl"


@pytest.fixture
def calls(scribe: Path) -> Calls:
    """Function that returns what the scribe has written, and removes it."""

    def read() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in scribe.read_text().splitlines()]
        scribe.unlink()
        return found

    return read
