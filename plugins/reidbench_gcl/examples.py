"""What `reidbench check` tries this plugin with: boxes for bodies, an untrained regressor."""

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
    """Parameters of gcl with a mesh for every image of a folder such as the check writes."""
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
    """Its regressor is another stage's: what it does with one is tried by hmr-weights."""
    return Example(skip="its pool must be rendered persons, which the check's is not; hmr-weights runs the same code")


def weights(folder: Path) -> dict[str, Any]:
    """Parameters of hmr-weights with an untrained network: its bodies stand about the middle."""
    save_regressor(folder, untrained_regressor())
    return {"weights": str(folder / WEIGHTS), "angles": [180]}


def anny(folder: Path) -> Example:
    """One turn is enough to see it work; without its package it cannot be tried at all."""
    if importlib.util.find_spec("anny") is None:
        return Example(skip="needs the package anny; pip install 'reidbench[anny]'")
    AnnyBody()  # the package builds its model once for a machine, into its own cache
    return Example(params={"angles": [180]})
