"""A walk past a camera, frame by frame: steps, moving background, passing occluders and blurred frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from ..persons.identity import Gait
from ..randomness import Stream
from .camera import Camera
from .sighting import Framing, Occluder, Sighting, draw_sighting

_BLURRED = 0.3  # share of the frames


@dataclass(frozen=True)
class Frame(Sighting):
    """A sighting that may be blurred: `blur` is a sigma in pixels at an image height of 128."""

    blur: float


@dataclass(frozen=True)
class Passing:
    """Occluder that passes in front of the person: left edge and width in image sizes, `speed` per frame."""

    start: float
    width: float
    speed: float
    look: Occluder

    def at(self, frame: int) -> Occluder | None:
        """Return the occluder in a frame; None before it appears and after it has left."""
        left = self.start + self.speed * frame
        first, last = max(left, 0.0), min(left + self.width, 1.0)
        return replace(self.look, kind="pole", start=first, size=last - first) if last > first else None


@dataclass(frozen=True)
class Walk:
    """The first frame, and the changes from frame to frame; radians, and shares of the scene."""

    first: Sighting
    pace: float
    turn: float
    along: float
    passing: Passing | None

    def at(self, frame: int, stream: Stream, jitter: float) -> Frame:
        """Return a frame, from 0; `stream` is specific to the frame."""
        first = self.first
        moved = replace(
            first,
            yaw=first.yaw + self.turn * frame + stream.normal(0.0, 0.05),
            pose=replace(first.pose, phase=first.pose.phase + self.pace * frame),
            framing=_shake(first.framing, stream, jitter),
            scene_right=min(max(first.scene_right + self.along * frame, 0.0), 1.0),
            brightness=first.brightness * stream.uniform(0.97, 1.03),
            occluder=self.passing.at(frame) if self.passing else None,
        )
        blur = stream.uniform(1.5, 3.0) if stream.chance(_BLURRED) else 0.0
        return Frame(**{column.name: getattr(moved, column.name) for column in fields(moved)}, blur=blur)


def draw_walk(stream: Stream, gait: Gait, camera: Camera, frames: int, badly_framed: bool = False) -> Walk:
    """Draw a random walk of `frames` frames. An occluder, static in a single image, passes by in a walk."""
    first = draw_sighting(stream, stream, gait, camera, badly_framed)
    return Walk(
        first=first,
        pace=stream.uniform(0.5, 1.1),
        turn=stream.normal(0.0, 0.04),
        along=stream.uniform(-0.06, 0.06),
        passing=_draw_passing(stream, first.occluder, frames) if first.occluder else None,
    )


def _draw_passing(stream: Stream, look: Occluder, frames: int) -> Passing:
    """Draw an occluder that is in the middle of the image in some frame, and comes from either side."""
    width, speed = stream.uniform(0.2, 0.5), stream.uniform(0.15, 0.4) * stream.pick((-1.0, 1.0))
    middle = math.floor(stream.uniform() * frames)
    return Passing(0.5 - 0.5 * width - speed * middle, width, speed, look)


def _shake(framing: Framing, stream: Stream, jitter: float) -> Framing:
    """Return the framing with independent detector jitter in each frame."""
    return Framing(
        framing.right + stream.normal(0.0, jitter),
        framing.down + stream.normal(0.0, jitter),
        framing.stretch * stream.normal(1.0, jitter),
        framing.zoom * stream.normal(1.0, jitter),
    )
