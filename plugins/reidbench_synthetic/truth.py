"""Ground truth that real data sets lack: the same moment in another camera, from another side, or as a bare shape."""

from __future__ import annotations

import functools

from reidbench.errors import DataError
from reidbench.rendering.arrays import Bytes, Light, Mask

from .params import SyntheticParams
from .pictures.joints import Body, find_body
from .render import Studio
from .shots import Kind, Shot, list_shots
from .worlds import size_of

_KEPT_BYTES = 256 * 2**20  # cache of clean images, since `restyle` often uses the same ones


class Truth:
    """Renders ground truth on request. Every first argument is an image's file name; yaws are in radians."""

    def __init__(self, params: SyntheticParams) -> None:
        self._params = params
        self._studio = Studio(params)
        self._shots = {shot.name: shot for shot in list_shots(params.world, params.size)}
        height, width = self._studio.shape
        self._clean = functools.lru_cache(maxsize=_KEPT_BYTES // (height * width * 12))(self._render_clean)

    def __reduce__(self) -> tuple[type[Truth], tuple[SyntheticParams]]:
        """Pickle the parameters only, so that data-loading processes get separate instances."""
        return Truth, (self._params,)

    def restyle(self, name: str, camid: int, draw: int = 0) -> Bytes:
        """Return the same moment in camera `camid` (from 0): [H,W,3], 0 to 255.

        Each `draw` has different noise; draw 0 at the image's own camera is the image.
        """
        cameras = size_of(self._params.world, self._params.size).cameras
        if not 0 <= camid < cameras:
            raise DataError(f"{name}: cannot restyle to camera {camid}; cameras are 0 to {cameras - 1}")
        return self._studio.restyle(self._shot(name), self._clean(name, self._studio.is_infrared(camid)), camid, draw)

    def view(self, name: str, yaw: float) -> Bytes:
        """Return the same person, pose and camera, turned further by `yaw`: [H,W,3], 0 to 255."""
        shot = self._person_shot(name)
        return self._studio.restyle(shot, self._studio.rendering(shot, yaw).clean, shot.camera)

    def structure(self, name: str, yaw: float = 0.0) -> Bytes:
        """Return the person's shape, turned by `yaw`, light grey on white: [H,W], 0 to 255."""
        return self._studio.structure(self._person_shot(name), yaw)

    def mask(self, name: str) -> Mask:
        """Return the person's visible pixels: [H,W]; none in an irrelevant image."""
        return self._studio.rendering(self._shot(name)).mask

    def relevance(self, name: str) -> bool:
        """Return whether the image shows a person."""
        return self._shot(name).kind is not Kind.IRRELEVANT

    def yaw(self, name: str) -> float:
        """Return the direction that the person is seen from: 0 is the front, pi the back."""
        return self._studio.sighting(self._person_shot(name)).yaw

    def body(self, name: str) -> Body:
        """Return joints, direction and girths of the person in an image, without rendering it."""
        shot = self._person_shot(name)
        person, mesh = self._studio.person(shot.person, shot.outfit)
        pitch = self._studio.camera(shot.camera).pitch
        return find_body(person, mesh, self._studio.sighting(shot), pitch, self._studio.shape)

    def _shot(self, name: str) -> Shot:
        if name not in self._shots:
            raise DataError(f"{name}: not an image of {self._params.world}, size {self._params.size}")
        return self._shots[name]

    def _person_shot(self, name: str) -> Shot:
        shot = self._shot(name)
        if shot.kind is Kind.IRRELEVANT:
            raise DataError(f"{name}: shows no person")
        return shot

    def _render_clean(self, name: str, infrared: bool) -> Light:
        return self._studio.rendering(self._shot(name), infrared=infrared).clean
