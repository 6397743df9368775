"""Anny, the open body model (Bregier et al., ECCV 2026): Apache-2.0 code, CC0 MakeHuman assets inside its wheel."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from reidbench.errors import DataError

from .renderer import in_view, turned_body
from .smpl import rodrigues

ARMS = ("upperarm01.L", "upperarm01.R")


class AnnyBody:
    """The full body of 104 bones and 13,718 vertices, z up, facing -y, in metres.

    The first use on a machine builds it within two minutes from the package's own files and caches it (about 800 MB) in
    the folder of the environment variable ANNY_CACHE_DIR. Raises DataError if the package is not installed.
    """

    def __init__(self) -> None:
        try:
            anny = importlib.import_module("anny")  # by name, since it is an extra
        except ImportError:
            raise DataError("anny: the body model needs an extra: pip install 'reidbench[anny]'") from None
        self._model: Any = anny.Anny(skinning_method="lbs")
        self.faces = self._model.faces.numpy().astype(np.int64)
        self.phenotypes: tuple[str, ...] = tuple(self._model.phenotype_labels)
        self.bones: tuple[str, ...] = tuple(self._model.bone_labels)

    def standing(self, arms: float) -> np.ndarray:
        """Return a pose [J, 3] whose arms hang `arms` degrees lower than in the model's own pose, an A."""
        pose = np.zeros((len(self.bones), 3))
        for name, side in zip(ARMS, (1, -1), strict=True):
            pose[self.bones.index(name), 1] = side * np.radians(arms)
        return pose

    def of_arrays(self, arrays: Mapping[str, np.ndarray], arms: float) -> np.ndarray:
        """Return the body [V, 3] in the image's frame from `pose`, `yaw` (degrees) and phenotypes, all optional.

        `cam` is accepted and ignored. Raises ValueError for any other name, and as `vertices` does.
        """
        unknown = sorted(set(arrays) - {"pose", "yaw", "cam", *self.phenotypes})
        if unknown:
            raise ValueError(f"unknown {', '.join(unknown)}; use pose, yaw, cam, {', '.join(self.phenotypes)}")
        numbers = {name: array for name, array in arrays.items() if name not in ("pose", "cam")}
        several = [name for name, array in numbers.items() if array.size != 1]
        if several:
            raise ValueError(f"{', '.join(several)} must be one number per image")
        single = {name: float(array.item()) for name, array in numbers.items()}
        yaw = single.pop("yaw", 0.0)
        body = self.vertices(single, arrays.get("pose", self.standing(arms)))
        return turned_body(in_view(body, "z"), yaw)

    def vertices(self, phenotype: Mapping[str, float], pose: np.ndarray) -> np.ndarray:
        """Return the posed body [V, 3].

        `phenotype` has values of 0 to 1 by name, 0.5 by default; `pose` [J, 3] is a rotation vector (radians, about the
        world's axes, Anny's `local-ref`) for each of `bones`. Raises ValueError for other input.
        """
        unknown = sorted(set(phenotype) - set(self.phenotypes))
        if unknown:
            raise ValueError(f"Anny has no phenotype {', '.join(unknown)}; use {', '.join(self.phenotypes)}")
        if any(not 0 <= value <= 1 for value in phenotype.values()):
            raise ValueError("phenotypes must be from 0 to 1")
        if pose.shape != (len(self.bones), 3):
            raise ValueError(f"pose is {list(pose.shape)}, not [{len(self.bones)}, 3]")
        transforms = np.tile(np.eye(4), (1, len(self.bones), 1, 1))
        transforms[0, :, :3, :3] = rodrigues(pose)
        values = {name: phenotype.get(name, 0.5) for name in self.phenotypes}
        with torch.no_grad():
            posed = self._model(pose_parameters=torch.from_numpy(transforms), phenotype_kwargs=values)
        vertices: np.ndarray = posed["vertices"][0].numpy()
        return vertices
