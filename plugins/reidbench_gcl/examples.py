"""What `reidbench check` tries this plugin with: boxes for bodies, an untrained regressor."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidbench.testing import Example, write_market_folder
from reidbench.training import Preprocess

from .hmr.network import WEIGHTS, NetworkSpec, Regressor, save_regressor
from .structure.anny_body import AnnyBody

FACES = np.array([
    [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
    [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
])  # fmt: skip


def box(width: float, height: float, depth: float) -> np.ndarray:
    """The corners [8, 3] of a box about the origin."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    corners: np.ndarray = signs * np.array([width, height, depth]) / 2
    return corners


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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        regressor = Regressor(NetworkSpec(Preprocess((64, 32)), width=2, grid=(2, 1), hidden=8))
    save_regressor(folder, regressor)
    return {"weights": str(folder / WEIGHTS), "angles": [180]}


def anny(folder: Path) -> Example:
    """One turn is enough to see it work; without its package it cannot be tried at all."""
    if importlib.util.find_spec("anny") is None:
        return Example(skip="needs the package anny; pip install 'reidbench[anny]'")
    AnnyBody()  # the package builds its model once for a machine, into its own cache
    return Example(params={"angles": [180]})
