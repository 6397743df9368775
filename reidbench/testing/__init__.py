"""For plugin authors: the contract suite, tiny data on disk, a plugin that is not installed yet, a run in one call."""

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

import numpy as np
from PIL import Image

from reidbench.check import Example, check_plugin
from reidbench.errors import PluginError
from reidbench.registry.plugins import GROUP

__all__ = ["Example", "check_plugin", "installed", "make_plugin", "run_matrix", "write_market_folder"]

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


def write_market_folder(
    folder: Path,
    *,
    identities: int = 4,
    cameras: int = 2,
    images: int = 2,
    size: tuple[int, int] = (32, 16),
    seed: int = 0,
) -> Path:
    """Write a small Market-1501-style folder: coloured stripes that tell the identity, tinted by the camera.

    `identities` are for training; as many others are for testing. The first image of each test identity and camera
    is a query, the others are the gallery. Returns the folder.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    for part in FOLDERS.values():
        (folder / part).mkdir(parents=True, exist_ok=True)
    for pid in range(1, 2 * identities + 1):
        stripes = random.integers(30, 226, (4, 3))
        for camera in range(1, cameras + 1):
            tint = random.integers(-20, 21, 3)
            for number in range(images):
                part = "train" if pid <= identities else "query" if number == 0 else "gallery"
                picture = np.repeat(stripes + tint, size[0] // 4, axis=0)[:, None].repeat(size[1], axis=1)
                noisy = np.clip(picture + random.integers(-12, 13, picture.shape), 0, 255).astype(np.uint8)
                name = f"{pid:04d}_c{camera}s1_{number:06d}_00.png"
                Image.fromarray(noisy).save(folder / FOLDERS[part] / name)
    return folder


def make_plugin(site: Path, name: str, source: str, *, distribution: str | None = None) -> Path:
    """Write a module and its entry point into `site`, as if it had been pip installed there.

    Put `site` on `sys.path` (or PYTHONPATH, for subprocesses) to have it found. Returns the module's file.
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
    """Have a plugin on disk found inside the block, as if it were installed; gives its name, `distribution:entry`.

    `path` is a project with a pyproject.toml (flat or `src` layout), a package folder or a module's file. Stages in
    worker processes find it too. Afterwards the import path is as before and the plugin's modules are forgotten.
    Raises PluginError for a path that holds no plugin.
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
    """(distribution, entry, module, folder to import from) of what lies at a path."""
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


def run_matrix(text: str, folder: Path, *, store: Path | None = None, jobs: int = 0) -> Any:
    """Run a matrix given as YAML text and return its `report.Leaderboard`.

    `jobs` = 0 runs the stages in this process, more run that many worker processes at a time.
    """
    from rich.console import Console

    from reidbench import report
    from reidbench.execution import executors, progress, runner
    from reidbench.matrix import plan, reader
    from reidbench.registry import plugins
    from reidbench.store.artifacts import Store

    file = folder / "matrix.yaml"
    file.write_text(text)
    registry = plugins.load()
    the_plan = plan.expand(reader.read(file, registry), registry)
    the_store = Store(store or folder / "store")
    executor = executors.make("process" if jobs else "inline", max(jobs, 1))
    runner.Runner(the_plan, the_store, executor, progress.Lines(Console(stderr=True)), registry.disabled).run()
    return report.collect(the_plan, the_store)
