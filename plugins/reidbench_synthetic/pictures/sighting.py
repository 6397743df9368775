"""A person in one image of a camera: walking direction, framing and occluder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from reidbench.rendering.arrays import Light, Mask

from ..persons.identity import Gait
from ..persons.palettes import Colour
from ..persons.pose import Pose, draw_pose
from ..randomness import Stream
from .camera import Camera


@dataclass(frozen=True)
class Framing:
    """The person's box in the image: shifts in image sizes, `stretch` widens it, `zoom` scales it."""

    right: float
    down: float
    stretch: float
    zoom: float


@dataclass(frozen=True)
class Occluder:
    """A plain object in front of the person; its edges in image sizes."""

    kind: Literal["bottom", "left", "right", "pole"]
    start: float
    size: float
    colour: Colour

    def covers(self, height: int, width: int) -> Mask:
        """Return a mask [H,W] of the covered pixels."""
        hidden = np.zeros((height, width), dtype=np.bool_)
        start = int((width if self.kind == "pole" else height) * self.start)
        size = max(1, int(width * self.size))
        if self.kind == "bottom":
            hidden[start:] = True
        elif self.kind == "left":
            hidden[start:, :size] = True
        elif self.kind == "right":
            hidden[start:, width - size :] = True
        else:
            hidden[:, start : start + size] = True
        return hidden


@dataclass(frozen=True)
class Sighting:
    """Properties of an image besides person and camera. `yaw` 0 shows the front; radians."""

    yaw: float
    pose: Pose
    framing: Framing
    scene_down: float
    scene_right: float
    brightness: float
    occluder: Occluder | None


def draw_sighting(stream: Stream, track: Stream, gait: Gait, camera: Camera, badly_framed: bool = False) -> Sighting:
    """Draw a random sighting. `track` is shared by the whole walk past this camera, `stream` is for this image only."""
    conditions = camera.conditions
    away = math.pi if track.chance(0.4) else 0.0
    yaw = camera.yaw + away + track.normal(0.0, conditions.yaw_spread) + stream.normal(0.0, 0.15)
    pose = draw_pose(stream, gait)
    framing = _draw_framing(stream, conditions.jitter, conditions.aspect)
    if badly_framed:
        framing = _draw_bad_framing(stream, framing)
    return Sighting(
        yaw=yaw,
        pose=pose,
        framing=framing,
        scene_down=stream.uniform(),
        scene_right=stream.uniform(),
        brightness=stream.uniform(0.85, 1.15),
        occluder=_draw_occluder(stream) if stream.chance(conditions.occlusion) else None,
    )


def _draw_framing(stream: Stream, jitter: float, aspect: float) -> Framing:
    """Draw a detector's box, slightly off; boxes are more often too large than too small."""
    right, down = stream.normal(0.0, jitter), stream.normal(0.0, jitter)
    stretch = aspect * stream.normal(1.0, jitter)
    error = abs(stream.normal(0.0, jitter))
    return Framing(right, down, stretch, 1.0 + error * (1.0 if stream.chance(0.5) else -1.2))


def _draw_bad_framing(stream: Stream, framing: Framing) -> Framing:
    """Draw a detector's mistake: a part of a person, a distant person, or half a person at the edge."""
    mistake = stream.pick(("piece", "far", "edge"))
    if mistake == "piece":
        right, down = stream.uniform(-0.3, 0.3), stream.uniform(-0.5, 0.5)
        return Framing(right, down, framing.stretch, stream.uniform(1.7, 2.6))
    if mistake == "far":
        right, down = stream.uniform(-0.3, 0.3), stream.uniform(-0.3, 0.3)
        return Framing(right, down, framing.stretch, stream.uniform(0.3, 0.5))
    side = -1.0 if stream.chance(0.5) else 1.0
    return Framing(side * stream.uniform(0.35, 0.6), framing.down, framing.stretch, framing.zoom)


def _draw_occluder(stream: Stream) -> Occluder:
    grey = stream.uniform(0.1, 0.7)
    colour = (grey + stream.normal(0, 0.05), grey + stream.normal(0, 0.05), grey + stream.normal(0, 0.05))
    kind = stream.pick(("bottom", "side", "pole"))
    if kind == "bottom":
        return Occluder("bottom", stream.uniform(0.6, 0.85), 1.0, colour)
    if kind == "pole":
        return Occluder("pole", stream.uniform(0.25, 0.7), stream.uniform(0.05, 0.12), colour)
    edge: Literal["left", "right"] = "left" if stream.chance(0.5) else "right"
    return Occluder(edge, stream.uniform(0.1, 0.5), stream.uniform(0.1, 0.3), colour)


def contact_shadow(framing: Framing, height: int, width: int) -> Light:
    """Return the share of light on the ground around the feet: [H,W,1], 0.55 or more."""
    foot = 0.5 + framing.down + 0.45 * framing.zoom
    down = (np.arange(height, dtype=np.float32)[:, None] / height - np.float32(foot)) / np.float32(0.035 * framing.zoom)
    middle, reach = np.float32(0.5 + framing.right), np.float32(0.28 * framing.zoom)
    across = (np.arange(width, dtype=np.float32)[None] / width - middle) / reach
    depth = np.clip(np.float32(1.3) - (down * down + across * across), 0, 1)
    return cast(Light, 1 - np.float32(0.45) * depth.astype(np.float32)[:, :, None])
