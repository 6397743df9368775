"""For plugin authors: tiny data on disk, a plugin made of text, and a harness run in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[reidbench]\n{name} = {name}\n")
    return module


def run_matrix(text: str, folder: Path, *, store: Path | None = None, jobs: int = 0) -> Any:
    """Run a matrix given as YAML text and return its `report.Leaderboard`.

    `jobs` = 0 runs the stages in this process, more run that many worker processes at a time.
    """
    from rich.console import Console

    from . import config, display, executors, plan, plugins, report, runner
    from .store import Store

    file = folder / "matrix.yaml"
    file.write_text(text)
    registry = plugins.load()
    the_plan = plan.expand(config.read(file, registry), registry)
    the_store = Store(store or folder / "store")
    executor = executors.make("process" if jobs else "inline", max(jobs, 1))
    runner.Runner(the_plan, the_store, executor, display.Lines(Console(stderr=True)), registry.disabled).run()
    return report.collect(the_plan, the_store)
