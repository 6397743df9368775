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

    The first one on a machine is built in a minute or two from the package's own files and kept (some 800 MB) where
    the environment variable ANNY_CACHE_DIR says. Raises DataError when the package is not there.
    """

    def __init__(self) -> None:
        try:
            anny = importlib.import_module("anny")  # by name, for it is an extra
        except ImportError:
            raise DataError("anny: the body model is an extra: pip install 'reidbench[anny]'") from None
        self._model: Any = anny.Anny(skinning_method="lbs")
        self.faces = self._model.faces.numpy().astype(np.int64)
        self.phenotypes: tuple[str, ...] = tuple(self._model.phenotype_labels)
        self.bones: tuple[str, ...] = tuple(self._model.bone_labels)

    def standing(self, arms: float) -> np.ndarray:
        """A pose [J, 3] in which the arms hang `arms` degrees lower than in the model's own, which is an A."""
        pose = np.zeros((len(self.bones), 3))
        for name, side in zip(ARMS, (1, -1), strict=True):
            pose[self.bones.index(name), 1] = side * np.radians(arms)
        return pose

    def of_arrays(self, arrays: Mapping[str, np.ndarray], arms: float) -> np.ndarray:
        """The body [V, 3] in the picture's frame of an image's `pose`, `yaw` (degrees) and phenotypes, all optional.

        `cam` may be among them. Raises ValueError for any other name, and as `vertices` does.
        """
        unknown = sorted(set(arrays) - {"pose", "yaw", "cam", *self.phenotypes})
        if unknown:
            raise ValueError(f"{', '.join(unknown)} is none of pose, yaw, cam, {', '.join(self.phenotypes)}")
        numbers = {name: array for name, array in arrays.items() if name not in ("pose", "cam")}
        several = [name for name, array in numbers.items() if array.size != 1]
        if several:
            raise ValueError(f"{', '.join(several)} must be one number for each image")
        single = {name: float(array.item()) for name, array in numbers.items()}
        yaw = single.pop("yaw", 0.0)
        body = self.vertices(single, arrays.get("pose", self.standing(arms)))
        return turned_body(in_view(body, "z"), yaw)

    def vertices(self, phenotype: Mapping[str, float], pose: np.ndarray) -> np.ndarray:
        """The posed body [V, 3].

        `phenotype` has values of 0 to 1 by name, 0.5 where there is none; `pose` [J, 3] a rotation vector (radians,
        about the world's axes, Anny's `local-ref`) of each of `bones`. Raises ValueError for anything else.
        """
        unknown = sorted(set(phenotype) - set(self.phenotypes))
        if unknown:
            raise ValueError(f"no phenotype {', '.join(unknown)} in Anny, which has {', '.join(self.phenotypes)}")
        if any(not 0 <= value <= 1 for value in phenotype.values()):
            raise ValueError("phenotypes are from 0 to 1")
        if pose.shape != (len(self.bones), 3):
            raise ValueError(f"pose is {list(pose.shape)} and not [{len(self.bones)}, 3]")
        transforms = np.tile(np.eye(4), (1, len(self.bones), 1, 1))
        transforms[0, :, :3, :3] = rodrigues(pose)
        values = {name: phenotype.get(name, 0.5) for name in self.phenotypes}
        with torch.no_grad():
            posed = self._model(pose_parameters=torch.from_numpy(transforms), phenotype_kwargs=values)
        vertices: np.ndarray = posed["vertices"][0].numpy()
        return vertices
