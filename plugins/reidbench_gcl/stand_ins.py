"""Stand-ins for a user's files and folders in `reidbench rehearse`, in the layouts of the released ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, ImageDraw

from reidbench.training import Preprocess, seeded
from reidbench.training.networks.torchvision_compat import torchvision_models

from .hmr.network import SPEC, WEIGHTS, NetworkSpec, Regressor, save_regressor
from .hmr.params import HMRTrainingParams, HMRWeightsParams
from .params import GCLWeightsParams
from .structure.params import MeshParams, ReleaseParams

JVTC = 512  # output size of its linear layer
SEED = 0
FACES = np.array([
    [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
    [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
])  # fmt: skip


def box(width: float, height: float, depth: float) -> np.ndarray:
    """Return the corners [8, 3] of a box around the origin."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    corners: np.ndarray = signs * np.array([width, height, depth]) / 2
    return corners


def released_renders(params: ReleaseParams, folder: Path, names: Sequence[str]) -> Path:
    """Write `<part>/render` and a folder per angle, with a grey body on white for each image, under its name."""
    picture = Image.new("L", (64, 128), 255)
    ImageDraw.Draw(picture).ellipse((16, 4, 47, 123), fill=128)
    for render in ("render", *(f"render_{angle}" for angle in params.angles)):
        for name in (PurePosixPath(name).name for name in names):
            inner = name[:4] if params.layout == "identity-folders" else ""
            place = folder / params.part / render / inner
            place.mkdir(parents=True, exist_ok=True)
            picture.save(place / name)
    return folder


def meshes(params: MeshParams, folder: Path, names: Sequence[str]) -> Path:
    """Write a box of a person's size for each image, with HMR's camera, which `camera: given` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        file = folder / f"{PurePosixPath(name).stem}.npz"
        np.savez(file, v=box(0.5, 1.7, 0.3), f=FACES, cam=np.array([0.9, 0.0, 0.0]))
    return folder


def first_stage(params: GCLWeightsParams, folder: Path, names: Sequence[str]) -> Path:
    """Write JVTC's layout with random numbers: a ResNet-50 in torchvision's names, a linear layer, a batch norm."""
    folder.mkdir(parents=True, exist_ok=True)
    state = _torchvision("resnet50")
    width = state.pop("fc.weight").shape[1]
    del state["fc.bias"]
    with seeded(SEED, "head"):
        head = {"feat": torch.nn.Linear(width, JVTC), "feat_bn": torch.nn.BatchNorm1d(JVTC)}
    for part, layer in head.items():
        state |= {f"{part}.{name}": tensor for name, tensor in layer.state_dict().items()}
    return _saved(state, folder / params.file.name)


def encoder_weights(params: HMRTrainingParams, folder: Path, names: Sequence[str]) -> Path:
    """Write random weights of the encoder in torchvision's names."""
    assert params.encoder_weights is not None
    folder.mkdir(parents=True, exist_ok=True)
    return _saved(_torchvision(params.backbone), folder / params.encoder_weights.name)


def regressor(params: HMRWeightsParams, folder: Path, names: Sequence[str]) -> Path:
    """Write untrained weights, with their description."""
    folder.mkdir(parents=True, exist_ok=True)
    save_regressor(folder, untrained_regressor())
    return folder / WEIGHTS


def regressor_spec(params: HMRWeightsParams, folder: Path, names: Sequence[str]) -> Path:
    """Write the description of the untrained weights."""
    return regressor(params, folder, names).with_name(SPEC)


def untrained_regressor() -> Regressor:
    """Return a small regressor, whose bodies are near the centre."""
    with seeded(SEED, "regressor"):
        return Regressor(NetworkSpec(Preprocess((64, 32)), width=2, grid=(2, 1), hidden=8))


def _torchvision(network: str) -> dict[str, torch.Tensor]:
    with seeded(SEED, network):
        state: dict[str, torch.Tensor] = getattr(torchvision_models(), network)(weights=None).state_dict()
    return dict(state)


def _saved(state: dict[str, torch.Tensor], file: Path) -> Path:
    if file.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(state, file)
    else:
        torch.save(state, file)
    return file
