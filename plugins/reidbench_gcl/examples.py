"""Inputs for `reidbench check` of this plugin: boxes as bodies, an untrained regressor."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.testing import Example, write_market_folder

from .hmr.network import WEIGHTS, save_regressor
from .stand_ins import FACES, box, untrained_regressor
from .structure.anny_body import AnnyBody


def gcl(folder: Path) -> dict[str, Any]:
    """Return parameters of gcl with a mesh for every image of the check's folder."""
    pictures = write_market_folder(folder / "pictures", images=4)
    meshes = folder / "meshes"
    meshes.mkdir()
    for number, file in enumerate(sorted(pictures.rglob("*.png"))):
        np.savez(meshes / f"{file.stem}.npz", v=box(0.5, 1.7 + number / 100, 0.3), f=FACES)
    return {
        "structure": {"use": "mesh", "folder": str(meshes)},
        "dim": 2, "mlp": 8, "dilations": [1, 2, 3], "critic_dim": 2, "critic_blocks": 1, "rho": 0.05,
    }  # fmt: skip


def hmr(folder: Path) -> Example:
    """Skip hmr, whose regressor comes from another stage; hmr-weights tests what it does with one."""
    return Example(skip="its pool must be rendered persons, and the check's is not; hmr-weights runs the same code")


def weights(folder: Path) -> dict[str, Any]:
    """Return parameters of hmr-weights with an untrained network, whose bodies are near the centre."""
    save_regressor(folder, untrained_regressor())
    return {"weights": str(folder / WEIGHTS), "angles": [180]}


def anny(folder: Path) -> Example:
    """Use a single angle, which is enough for a check; skip without the package."""
    if importlib.util.find_spec("anny") is None:
        return Example(skip="needs the package anny; pip install 'reidbench[anny]'")
    AnnyBody()  # the package builds its model once per machine, into its own cache
    return Example(params={"angles": [180]})
