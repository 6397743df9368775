"""Plugins that are not installed: written to disk, or importable within a block."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reidbench.errors import PluginError

from .plugins import GROUP


def make_plugin(site: Path, name: str, source: str, *, distribution: str | None = None) -> Path:
    """Write a module and its entry point into `site`, as if installed by pip.

    Put `site` on `sys.path` (or PYTHONPATH, for subprocesses) to make it discoverable. Returns the module's file.
    """
    distribution = distribution or f"reidbench-{name.replace('_', '-')}"
    site.mkdir(parents=True, exist_ok=True)
    module = site / f"{name}.py"
    module.write_text(source)
    info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    _write_info(info, distribution, name, name)
    return module


@contextmanager
def installed(path: Path | str) -> Iterator[str]:
    """Make a plugin on disk discoverable inside the block, as if installed; yields its name, `distribution:entry`.

    `path` is a project with a pyproject.toml (flat or `src` layout), a package folder or a module's file. Worker
    processes find it too. Afterwards the import path is restored and the plugin's modules are removed from
    `sys.modules`. Raises PluginError for a path without a plugin.
    """
    place = Path(path).resolve()
    distribution, entry, module, folder = _entry_point(place)
    before = list(sys.path), os.environ.get("REIDBENCH_PLUGINS")
    with tempfile.TemporaryDirectory() as site:
        info = Path(site) / f"{distribution.replace('-', '_')}-0.dist-info"
        _write_info(info, distribution, entry, module)
        sys.path[:0] = [site, str(folder)]
        if before[1] is not None:
            os.environ["REIDBENCH_PLUGINS"] = ",".join(filter(None, [*before[1].split(","), distribution]))
        importlib.invalidate_caches()
        _forget(module)
        try:
            yield f"{distribution}:{entry}"
        finally:
            sys.path[:] = before[0]
            if before[1] is not None:
                os.environ["REIDBENCH_PLUGINS"] = before[1]
            _forget(module)
            importlib.invalidate_caches()


def _entry_point(place: Path) -> tuple[str, str, str, Path]:
    """Return (distribution, entry, module, folder to import from) of the plugin at a path."""
    project = place / "pyproject.toml"
    if project.is_file():
        declared = tomllib.loads(project.read_text()).get("project", {})
        entries = declared.get("entry-points", {}).get(GROUP, {})
        if not entries:
            raise PluginError(f"{project}: no entry point in the group {GROUP!r}")
        entry, target = next(iter(entries.items()))
        source = place / "src"
        return str(declared.get("name", place.name)), entry, target, source if source.is_dir() else place
    if (place / "__init__.py").is_file() or (place.suffix == ".py" and place.is_file()):
        return place.stem.replace("_", "-"), place.stem, place.stem, place.parent
    raise PluginError(f"{place}: neither a module, nor a package, nor a project with a pyproject.toml")


def _write_info(info: Path, distribution: str, entry: str, target: str) -> None:
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entry} = {target}\n")


def _forget(target: str) -> None:
    package = target.partition(":")[0].partition(".")[0]
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
