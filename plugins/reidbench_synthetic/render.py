"""Renders a shot: the person, the background and the camera."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np

from reidbench.rendering.arrays import Bytes, Ints, Light, Mask
from reidbench.rendering.mesh import Mesh

from .params import SyntheticParams
from .persons.body import build_body
from .persons.identity import Identity, draw_identity, redress
from .persons.infrared import in_infrared
from .persons.looks import distinguish, widen
from .pictures.camera import Camera, draw_camera, expose, expose_infrared, with_lamp
from .pictures.figure import NOTHING, draw_figure, draw_structure
from .pictures.filters import blur
from .pictures.scenery import crop_scene, paint_irrelevant, paint_scene, scene_at_night
from .pictures.sighting import Sighting, contact_shadow, draw_sighting
from .pictures.walk import Frame, draw_walk
from .randomness import Stream, Tag
from .shots import Kind, Shot
from .worlds import WORLDS, World, size_of

RENDERER_VERSION = 1  # incremented when any pixel changes: part of rendered data sets and their fingerprints


@dataclass(frozen=True)
class Rendering:
    """An image before its camera's colours: `clean` and `background` [H,W,3] in 0..1.

    `cover` [H,W] in 0..1 is the person's share of a pixel, 0 behind an occluder; `parts` [H,W] contains the
    `mesh.Part` or -1.
    """

    clean: Light
    background: Light
    cover: Light
    parts: Ints

    @property
    def mask(self) -> Mask:
        """Pixels [H,W] that show more of the person than of anything else."""
        return self.cover > 0.5


class Studio:
    """Renders the shots of one data set; caches cameras, scenes and recent persons."""

    def __init__(self, params: SyntheticParams) -> None:
        self._world = WORLDS[params.world]
        self._seed = params.seed
        self._size = size_of(params.world, params.size)
        self.camera = functools.cache(self._camera)
        self.person = functools.lru_cache(maxsize=256)(self._person)
        self._scenery = functools.cache(self._paint_scene)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of every image."""
        return self._size.height, self._size.width

    def is_infrared(self, camera: int) -> bool:
        """Return whether a camera, counted from 0, records near infrared."""
        return camera in self._world.infrared

    def picture(self, shot: Shot) -> Bytes:
        """Return the finished image [H,W,3], 0 to 255."""
        return self.restyle(shot, self.rendering(shot).clean, shot.camera)

    def restyle(self, shot: Shot, clean: Light, camera: int, draw: int = 0) -> Bytes:
        """Return a shot's clean image as seen by any camera; each `draw` has different noise."""
        noise = self._stream(Tag.NOISE, *shot.key, draw)
        develop = expose_infrared if self.is_infrared(camera) else expose
        return develop(clean, self.camera(camera), noise)

    def rendering(self, shot: Shot, turn: float = 0.0, infrared: bool | None = None) -> Rendering:
        """Return the clean image and its layers, with the person turned by `turn` radians.

        In near infrared if `infrared`; by default if the shot's camera is infrared.
        """
        if infrared is None:
            infrared = self.is_infrared(shot.camera)
        if shot.kind is Kind.IRRELEVANT:
            return self._empty(shot)
        camera, sighting = self.camera(shot.camera), self._turned(shot, turn)
        person, mesh = self.person(shot.person, shot.outfit, infrared)
        height, width = self.shape
        layer = draw_figure(person, mesh, sighting, camera, self.shape)
        scene = crop_scene(
            self._scenery(shot.camera, infrared), sighting.scene_down, sighting.scene_right, height, width
        )
        background = scene * contact_shadow(sighting.framing, height, width)
        clean = background * (1 - layer.cover[:, :, None]) + layer.colour * np.float32(sighting.brightness)
        cover, parts = layer.cover, layer.parts
        if sighting.occluder:
            hidden = sighting.occluder.covers(height, width)
            clean[hidden] = background[hidden] = sighting.occluder.colour
            cover, parts = np.where(hidden, np.float32(0), cover), np.where(hidden, NOTHING, parts)
        if isinstance(sighting, Frame):
            clean = blur(clean, sighting.blur * height / 128)
        return Rendering(np.clip(clean, 0, 1), np.clip(background, 0, 1), cover, parts)

    def structure(self, shot: Shot, turn: float = 0.0) -> Bytes:
        """Return the person's shape in this pose and framing: light grey on white [H,W], 0 to 255."""
        person, mesh = self.person(shot.person, shot.outfit)
        return draw_structure(person, mesh, self._turned(shot, turn), self.camera(shot.camera).pitch, self.shape)

    def sighting(self, shot: Shot) -> Sighting:
        """Return pose, direction and framing of a shot with a person."""
        person, _ = self.person(shot.person, shot.outfit)
        camera, badly_framed = self.camera(shot.camera), shot.kind is Kind.JUNK
        if shot.tracklet >= 0:
            walk = draw_walk(self._stream(Tag.WALK, *shot.track), person.gait, camera, self._size.frames, badly_framed)
            return walk.at(shot.frame, self._stream(Tag.FRAME, *shot.key), camera.conditions.jitter)
        stream = self._stream(Tag.SIGHTING, *shot.key)
        track = self._stream(Tag.TRACK, *shot.track)
        return draw_sighting(stream, track, person.gait, camera, badly_framed)

    def _turned(self, shot: Shot, turn: float) -> Sighting:
        sighting = self.sighting(shot)
        return dataclasses.replace(sighting, yaw=sighting.yaw + turn)

    def _empty(self, shot: Shot) -> Rendering:
        height, width = self.shape
        stream = self._stream(Tag.IRRELEVANT, *shot.key)
        image = paint_irrelevant(stream, self._scenery(shot.camera, False), height, width)
        cover = np.zeros((height, width), dtype=np.float32)
        return Rendering(image, image, cover, np.full((height, width), NOTHING, dtype=np.int64))

    def _camera(self, camera: int) -> Camera:
        drawn = draw_camera(self._stream(Tag.CAMERA, camera), self._world.at_camera(camera))
        return with_lamp(drawn) if self.is_infrared(camera) else drawn

    def _paint_scene(self, camera: int, infrared: bool) -> Light:
        place = self._world.beside.get(camera, camera)
        scene = paint_scene(self._stream(Tag.SCENERY, place), self._world.at_camera(place))
        return scene_at_night(self._stream(Tag.NIGHT, place), scene) if infrared else scene

    def _person(self, who: tuple[int, ...], outfit: int = 0, infrared: bool = False) -> tuple[Identity, Mesh]:
        person = draw_person(self._seed, self._world, who, outfit)
        shown = in_infrared(self._stream(Tag.INFRARED, *who, outfit), person) if infrared else person
        return shown, build_body(shown)

    def _stream(self, tag: Tag, *key: int) -> Stream:
        return Stream(self._seed, tag, self._world.key, *key)


def draw_person(seed: int, world: World, who: tuple[int, ...], outfit: int = 0) -> Identity:
    """Draw a person; `who` is the pid of an identity, or the kind and index of a stranger."""
    stream = Stream(seed, Tag.IDENTITY if len(who) == 1 else Tag.STRANGER, world.key, *who)
    person = draw_identity(stream, stream.pick(world.seasons))
    if world.spread != 1.0:
        person = widen(person, world.spread)
    if world.outfits:
        person = distinguish(Stream(seed, Tag.LOOKS, world.key, *who), person)
    if outfit:
        stream = Stream(seed, Tag.OUTFIT, world.key, *who, outfit)
        person = redress(stream, person, stream.pick(world.seasons))
    return person
