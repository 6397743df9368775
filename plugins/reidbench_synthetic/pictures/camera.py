"""One camera: where it looks from, its light, and what it does to colours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reidbench.rendering.arrays import Bytes, Light

from ..persons.palettes import Colour
from ..randomness import Stream
from ..worlds import Conditions
from .filters import blur, resize, saturate, to_bytes


@dataclass(frozen=True)
class Camera:
    """What stays the same at one camera. Angles in radians; see `Conditions` for the units of the rest."""

    conditions: Conditions
    gain: float
    balance: Colour
    gamma: float
    saturation: float
    blur: float
    shrink: float
    noise: float
    haze: float
    haze_colour: Colour
    yaw: float  # from where most people are seen; 0 is their front
    pitch: float
    ambient: float
    light: Colour  # unit vector towards the light: right, up, to the viewer


def draw_camera(stream: Stream, conditions: Conditions) -> Camera:
    """A random camera of a place. The order of the draws is part of every picture."""
    gain = 2.0 ** (stream.normal(0.0, conditions.gain) + conditions.exposure)
    spreads = (conditions.balance, 0.5 * conditions.balance, conditions.balance)
    red, green, blue = (
        2.0 ** stream.normal(0.0, spread) * cast for spread, cast in zip(spreads, conditions.cast, strict=True)
    )
    return Camera(
        conditions=conditions,
        gain=gain,
        balance=(red, green, blue),
        gamma=2.0 ** stream.normal(0.0, conditions.gamma),
        saturation=stream.uniform(*conditions.saturation),
        blur=stream.uniform(*conditions.blur),
        shrink=stream.uniform(*conditions.shrink),
        noise=stream.uniform(*conditions.noise),
        haze=stream.uniform(*conditions.haze),
        haze_colour=(stream.uniform(0.5, 0.8), stream.uniform(0.5, 0.8), stream.uniform(0.5, 0.8)),
        yaw=stream.uniform(0.0, 2 * math.pi),
        pitch=stream.uniform(*conditions.pitch),
        ambient=stream.uniform(*conditions.ambient),
        light=_light_from(stream.uniform(-1.0, 1.0)),
    )


def _light_from(side: float) -> Colour:
    length = math.sqrt(side * side + 0.5 * 0.5 + 0.6 * 0.6)
    return side / length, 0.5 / length, 0.6 / length


def expose(clean: Light, camera: Camera, stream: Stream) -> Bytes:
    """What the camera makes of a clean picture [H,W,3] of 0 to 1: its photometric transform.

    With another camera than the one that took the picture this is the true camera style transfer.
    """
    height, width = clean.shape[:2]
    image = clean * np.float32(camera.gain) * np.array(camera.balance, dtype=np.float32)
    haze = np.float32(camera.haze)
    image = image * (1 - haze) + haze * np.array(camera.haze_colour, dtype=np.float32)
    image = np.clip(saturate(image, camera.saturation), 1e-4, 1) ** np.float32(camera.gamma)
    image = blur(image, camera.blur * height / 128)
    if camera.shrink > 1.05:
        small = resize(image, max(8, int(height / camera.shrink)), max(4, int(width / camera.shrink)))
        image = resize(small, height, width)
    grain = stream.uniforms((height, width, 3), -1.7, 1.7).astype(np.float32)  # deviation 0.98
    image = image + np.float32(camera.noise) * grain
    return to_bytes(image)
