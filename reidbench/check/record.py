"""Recorded results of a plugin, to detect changed results without a new version."""

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

SUITE = 2  # bump when the check's data or procedure changes, since all digests change then


def place(plugin: Plugin) -> Path:
    """Return the record's path: `reidbench-check.json` in a package, `NAME.reidbench-check.json` next to a module."""
    file = Path(plugin.file)
    name = "reidbench-check.json"
    return file.with_name(name if file.name == "__init__.py" else f"{file.stem}.{name}")


def read(plugin: Plugin) -> dict[str, Any]:
    """Return the record, or an empty dict. Raises PluginError for a malformed file."""
    file = place(plugin)
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise PluginError(f"{file}: not a record of a check ({error}); delete it and use --record") from None
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise PluginError(f"{file}: not a record of a check; delete it and use --record")
    return content


def write(plugin: Plugin, digests: Mapping[str, Any]) -> Path:
    """Add results to the record. Returns the file."""
    file = place(plugin)
    file.write_text(json.dumps({**read(plugin), **digests}, indent=1, sort_keys=True) + "\n")
    return file


def entry(component: Component, example: Example, digests: Mapping[str, str]) -> dict[str, object]:
    """Return the record of one result: version, digest, hash of the example, and environment."""
    tried = json.dumps([SUITE, dict(example.params), str(example.backbone), example.before], default=_stable)
    return {
        "version": component.version,
        "digest": _short(json.dumps(digests, sort_keys=True)),
        "tried": _short(tried),
        "environment": environment(),
    }


def compare(known: Mapping[str, Any] | None, now: Mapping[str, object]) -> str:
    """Raise Broken if the result changed but the version did not; otherwise return a remark or ""."""
    if known is None:
        return ""
    if known.get("version") != now["version"]:
        return f"version {now['version']} differs from the recorded {known.get('version')}; update with --record"
    if known.get("tried") != now["tried"]:
        return "recorded with other parameters; update with --record"
    if known.get("environment") != now["environment"]:
        return f"not compared with the record, which is from {known.get('environment')}"
    sentence = f"version: results differ from those recorded for version {now['version']}; bump the component's version"
    need(known.get("digest") == now["digest"], sentence)
    return "same result as recorded"


def environment() -> str:
    """Return the libraries and processor type on which results are bit-identical."""
    import numpy
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    return f"torch {torch.__version__}, numpy {numpy.__version__}, {platform.machine()} {capability}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _stable(value: object) -> str:
    """Return the name of a path, since the folders of generated examples change; other values as text."""
    return value.name if isinstance(value, Path) else str(value)
