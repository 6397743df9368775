"""Results that a plugin has recorded, so that a change of results without a change of version is noticed."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reidbench.components import Component
from reidbench.errors import PluginError
from reidbench.registry.plugins import Plugin

from .examples import Example
from .report import need

SUITE = 2  # bump when the data or the way of trying changes, for then all digests do


def place(plugin: Plugin) -> Path:
    """The file beside the plugin's code: `reidbench-check.json` in a package, `NAME.reidbench-check.json` else."""
    file = Path(plugin.file)
    name = "reidbench-check.json"
    return file.with_name(name if file.name == "__init__.py" else f"{file.stem}.{name}")


def read(plugin: Plugin) -> dict[str, Any]:
    """What was recorded, or nothing. Raises PluginError for a file that is no record."""
    file = place(plugin)
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise PluginError(f"{file}: no record of a check: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise PluginError(f"{file}: no record of a check; make a new one with --record")
    return content


def write(plugin: Plugin, digests: Mapping[str, Any]) -> Path:
    """Record these results beside those that are there. Returns the file."""
    file = place(plugin)
    file.write_text(json.dumps({**read(plugin), **digests}, indent=1, sort_keys=True) + "\n")
    return file


def entry(component: Component, example: Example, digests: Mapping[str, str]) -> dict[str, object]:
    """What is kept of one result: its version and digest, what it was tried with, and where bits are the same."""
    tried = json.dumps([SUITE, dict(example.params), str(example.backbone), example.before], default=_stable)
    return {
        "version": component.version,
        "digest": _short(json.dumps(digests, sort_keys=True)),
        "tried": _short(tried),
        "environment": environment(),
    }


def compare(known: Mapping[str, Any] | None, now: Mapping[str, object]) -> str:
    """Raise Broken when the result changed and the version did not; else words for the line, or nothing."""
    if known is None:
        return ""
    if known.get("version") != now["version"]:
        return f"version {now['version']}, recorded was {known.get('version')}: record it with --record"
    if known.get("tried") != now["tried"]:
        return "recorded with other parameters: record it with --record"
    if known.get("environment") != now["environment"]:
        return f"not compared with the record, which is of {known.get('environment')}"
    sentence = f"version: results differ from those recorded for version {now['version']}; bump the component's version"
    need(known.get("digest") == now["digest"], sentence)
    return "same result as recorded"


def environment() -> str:
    """Where the last bits of a result are the same: libraries and the processor's kind."""
    import numpy
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    return f"torch {torch.__version__}, numpy {numpy.__version__}, {platform.machine()} {capability}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _stable(value: object) -> str:
    """Paths of an example's own making lie elsewhere each time; their names stay."""
    return value.name if isinstance(value, Path) else str(value)
