"""A camera: its direction, its light, and its effect on colours."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from reidbench.rendering.arrays import Bytes, Light

from ..persons.palettes import Colour
from ..randomness import Stream
from ..worlds import Conditions
from .filters import blur, resize, saturate, to_bytes

LAMP: Colour = (0.0, 0.1961161, 0.9805807)  # unit vector: a little above the lens


@dataclass(frozen=True)
class Camera:
    """Constant properties of a camera. Angles in radians; see `Conditions` for the other units."""

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
    yaw: float  # direction that most people are seen from; 0 is their front
    pitch: float
    ambient: float
    light: Colour  # unit vector towards the light: right, up, to the viewer


def draw_camera(stream: Stream, conditions: Conditions) -> Camera:
    """Draw a random camera of a world. The order of the draws affects every image."""
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


def with_lamp(camera: Camera) -> Camera:
    """Return the same camera with its light next to the lens."""
    return replace(camera, light=LAMP)


def _light_from(side: float) -> Colour:
    length = math.sqrt(side * side + 0.5 * 0.5 + 0.6 * 0.6)
    return side / length, 0.5 / length, 0.6 / length


def expose(clean: Light, camera: Camera, stream: Stream) -> Bytes:
    """Apply the camera's photometric transform to a clean image [H,W,3] in 0..1.

    With a camera other than the one that took the image this is the true camera style transfer.
    """
    height, width = clean.shape[:2]
    image = clean * np.float32(camera.gain) * np.array(camera.balance, dtype=np.float32)
    haze = np.float32(camera.haze)
    image = image * (1 - haze) + haze * np.array(camera.haze_colour, dtype=np.float32)
    image = np.clip(saturate(image, camera.saturation), 1e-4, 1) ** np.float32(camera.gamma)
    image = _soften(image, camera)
    grain = stream.uniforms((height, width, 3), -1.7, 1.7).astype(np.float32)  # deviation 0.98
    image = image + np.float32(camera.noise) * grain
    return to_bytes(image)


def expose_infrared(clean: Light, camera: Camera, stream: Stream) -> Bytes:
    """Render a clean image [H,W,3] as an infrared camera sees it: one grey in all three channels, lit by its lamp."""
    height, width = clean.shape[:2]
    grey = clean.mean(2, keepdims=True) * np.float32(camera.gain) * _lamp(height, width)
    haze = np.float32(camera.haze)
    grey = grey * (1 - haze) + haze * np.float32(camera.haze_colour[0])
    grey = _soften(np.clip(grey, 1e-4, 1) ** np.float32(camera.gamma), camera)
    grain = stream.uniforms((height, width, 1), -1.7, 1.7).astype(np.float32)
    return to_bytes(np.repeat(grey + np.float32(camera.noise) * grain, 3, axis=2))


def _lamp(height: int, width: int) -> Light:
    """Return the lamp's light by position: [H,W,1], 1 in the middle and 0.5 in the corners."""
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    return 1 - np.float32(0.25) * (down * down + across * across)


def _soften(image: Light, camera: Camera) -> Light:
    """Apply the lens's blur, and the loss of resolution of an enlarged image."""
    height, width = image.shape[:2]
    image = blur(image, camera.blur * height / 128)
    if camera.shrink > 1.05:
        small = resize(image, max(8, int(height / camera.shrink)), max(4, int(width / camera.shrink)))
        image = resize(small, height, width)
    return image
