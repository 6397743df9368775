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
from typing import Any

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
        _write_info(info, distribution, entry, module, _description(place))
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


def is_plugin(place: Path) -> bool:
    """Return whether a path is a project with a pyproject.toml, a package folder or a module's file."""
    return (place / "pyproject.toml").is_file() or _is_module(place)


def _is_module(place: Path) -> bool:
    return (place / "__init__.py").is_file() or (place.suffix == ".py" and place.is_file())


def _entry_point(place: Path) -> tuple[str, str, str, Path]:
    """Return (distribution, entry, module, folder to import from) of the plugin at a path."""
    project = place / "pyproject.toml"
    if project.is_file():
        declared = _declared(project)
        entries = _table(project, _table(project, declared, "entry-points"), GROUP)
        if not entries:
            raise PluginError(f"{project}: no entry point in the group {GROUP!r}")
        if len(entries) > 1:
            raise PluginError(
                f"{project}: {len(entries)} entry points in the group {GROUP!r} ({', '.join(entries)}); install the "
                "project, and name one plugin, for example "
                f"{declared.get('name', place.name)}:{next(iter(entries))}"
            )
        entry, target = next(iter(entries.items()))
        source = place / "src"
        return str(declared.get("name", place.name)), entry, str(target), source if source.is_dir() else place
    if _is_module(place):
        return place.stem.replace("_", "-"), place.stem, place.stem, place.parent
    raise PluginError(f"{place}: neither a module, nor a package, nor a project with a pyproject.toml")


def _declared(project: Path) -> dict[str, Any]:
    """Return the table `project` of a pyproject.toml. Raises PluginError for a file that cannot be read."""
    try:
        return _table(project, tomllib.loads(project.read_text(encoding="utf-8")), "project")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PluginError(f"{project}: cannot be read as TOML: {' '.join(str(error).split())}") from None


def _table(project: Path, given: dict[str, Any], name: str) -> dict[str, Any]:
    found = given.get(name, {})
    if not isinstance(found, dict):
        raise PluginError(f"{project}: {name} must be a table, not {found!r}")
    return found


def _description(place: Path) -> str:
    """Return the README that a pyproject.toml names, as its metadata would have it; "" without one."""
    project = place / "pyproject.toml"
    readme = _declared(project).get("readme", "") if project.is_file() else ""
    if isinstance(readme, dict) and "text" in readme:
        return str(readme["text"])
    file = place / str(readme.get("file", "") if isinstance(readme, dict) else readme)
    return file.read_text(encoding="utf-8", errors="replace") if readme and file.is_file() else ""


def _write_info(info: Path, distribution: str, entry: str, target: str, description: str = "") -> None:
    info.mkdir(exist_ok=True)
    body = f"\n{description}\n" if description else ""
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n{body}", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entry} = {target}\n", encoding="utf-8")


def _forget(target: str) -> None:
    package = target.partition(":")[0].partition(".")[0]
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
