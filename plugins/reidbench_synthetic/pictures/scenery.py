"""Backgrounds, and the pool images without a person."""

from __future__ import annotations

from typing import cast

import numpy as np

from reidbench.rendering.arrays import Light

from ..randomness import Stream
from ..worlds import Conditions
from .filters import resize, saturate

HEIGHT, WIDTH = 160, 256  # of a painted scene
CROP_HEIGHT, CROP_WIDTH = 130, 65  # part that one image shows
_WARM = np.array((1.0, 0.86, 0.68), dtype=np.float32)


def paint_scene(stream: Stream, conditions: Conditions) -> Light:
    """Paint a wall with windows and poles over a paved ground: [160,256,3] in 0..1."""
    horizon = int(HEIGHT * stream.uniform(0.25, 0.5))
    scene = np.empty((HEIGHT, WIDTH, 3), dtype=np.float32)
    scene[:horizon] = _wall(stream, conditions)
    ground = _ground(stream, conditions)
    scene[horizon:] = ground * np.linspace(0.85, 1.1, HEIGHT - horizon, dtype=np.float32)[:, None, None]
    for _ in range(int(stream.uniform(6, 18))):
        _window(scene, horizon, stream, conditions)
    for _ in range(int(stream.uniform(0, 5))):
        left, foot = int(stream.uniform(0, WIDTH)), int(HEIGHT * stream.uniform(0.5, 0.8))
        scene[:foot, left : left + int(stream.uniform(2, 5))] = stream.uniform(0.1, 0.5)
    _pave(scene, horizon, int(stream.uniform(4, 9)))
    return _weather(saturate(scene, conditions.background_saturation), stream)


def _wall(stream: Stream, conditions: Conditions) -> Light:
    if conditions.place == "plaza":
        wall = (stream.uniform(0.4, 0.85), stream.uniform(0.4, 0.85), stream.uniform(0.35, 0.8))
        return np.array(wall, dtype=np.float32)
    grey = stream.uniform(0.25, 0.6)
    wall = (grey + stream.normal(0, 0.04), grey + stream.normal(0, 0.04), grey + stream.normal(0, 0.04))
    painted = np.array(wall, dtype=np.float32)
    return painted * _WARM if conditions.place == "arcade" else painted


def _ground(stream: Stream, conditions: Conditions) -> Light:
    if conditions.place == "station":
        return np.array((1.0, 0.98, 0.93), dtype=np.float32) * np.float32(stream.uniform(0.3, 0.65))
    if conditions.place == "arcade":
        return np.array((0.48, 0.42, 0.36), dtype=np.float32) * np.float32(stream.uniform(0.7, 1.3))
    if stream.chance(0.6):
        return np.array((0.55, 0.53, 0.5), dtype=np.float32) * np.float32(stream.uniform(0.7, 1.3))
    return np.array((0.35, 0.5, 0.25), dtype=np.float32) * np.float32(stream.uniform(0.7, 1.2))


def _window(scene: Light, horizon: int, stream: Stream, conditions: Conditions) -> None:
    """Paint a window, shop front, pillar or car: a box that may extend below the horizon."""
    left, top = int(stream.uniform(0, WIDTH)), int(stream.uniform(0, horizon))
    width, height = int(stream.uniform(4, 40)), int(stream.uniform(6, 50))
    paint = stream.uniforms((3,), 0.1, 0.9).astype(np.float32)
    if conditions.place == "station":
        paint = paint.mean() * np.float32(0.7) + paint * np.float32(0.3)
    elif conditions.place == "arcade":
        paint = (paint.mean() * np.float32(0.6) + paint * np.float32(0.4)) * _WARM * np.float32(1.15)
    bottom = min(top + height, horizon + int(stream.uniform(0, 14)))
    scene[top:bottom, left : left + width] = paint


def _pave(scene: Light, horizon: int, lines: int) -> None:
    """Paint dark joints across the ground, denser at a distance."""
    for line in range(lines):
        scene[horizon + int((HEIGHT - horizon) * (line / lines) ** 1.5)] *= np.float32(0.82)


def _weather(scene: Light, stream: Stream) -> Light:
    """Add large stains and fine grain, so that no surface is uniform."""
    stains = resize(stream.uniforms((20, 32, 1), -1, 1).astype(np.float32), HEIGHT, WIDTH)
    grain = stream.uniforms((HEIGHT, WIDTH, 1), -1, 1).astype(np.float32)
    weathered = scene * (1 + np.float32(0.18) * stains) * (1 + np.float32(0.05) * grain)
    return cast(Light, np.clip(weathered, 0, 1))


def scene_at_night(stream: Stream, scene: Light) -> Light:
    """Return a scene [H,W,3] in near infrared: greys of another colour mixture, dark because far from the lamp."""
    mixture = stream.uniforms((3,), 0.1, 1.0).astype(np.float32)
    grey = scene @ (mixture / mixture.sum())
    return cast(Light, np.repeat(np.float32(0.6) * grey[:, :, None], 3, axis=2))


def crop_scene(scene: Light, down: float, right: float, height: int, width: int) -> Light:
    """Crop the part of a scene behind one image; `down` and `right` in 0..1 are its position."""
    top, left = int(down * (HEIGHT - CROP_HEIGHT)), int(right * (WIDTH - CROP_WIDTH))
    return resize(scene[top : top + CROP_HEIGHT, left : left + CROP_WIDTH], height, width)


def paint_irrelevant(stream: Stream, scene: Light, height: int, width: int) -> Light:
    """Paint a clean image [H,W,3] without a person: bare scenery, objects in front of it, or a texture."""
    kind = stream.pick(("scenery", "things", "texture"))
    if kind == "texture":
        return _texture(stream, height, width)
    image = crop_scene(scene, stream.uniform(), stream.uniform(), height, width)
    if kind == "things":
        for _ in range(int(stream.uniform(2, 6))):
            _thing(image, stream)
    return image


def _thing(image: Light, stream: Stream) -> None:
    """Paint a box or a disc anywhere in the image."""
    height, width = image.shape[:2]
    down = (np.arange(height, dtype=np.float32)[:, None] / height - stream.uniform(0.2, 0.9)) / stream.uniform(
        0.05, 0.3
    )
    across = (np.arange(width, dtype=np.float32)[None] / width - stream.uniform(0.1, 0.9)) / stream.uniform(0.1, 0.4)
    if stream.chance(0.5):
        inside = down * down + across * across < 1
    else:
        inside = (np.abs(down) < 1) & (np.abs(across) < 1)
    image[inside] = stream.uniforms((3,), 0.15, 0.85).astype(np.float32)


def _texture(stream: Stream, height: int, width: int) -> Light:
    """Paint stripes, tiles or clouds in two colours."""
    first, second = stream.uniforms((2, 3), 0.15, 0.85).astype(np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None] / height
    columns = np.arange(width, dtype=np.float32)[None] / height
    repeats, slant = stream.uniform(3, 14), stream.uniform(-1, 1)
    kind = stream.pick(("stripes", "tiles", "clouds"))
    if kind == "stripes":
        share = ((rows + slant * columns) * repeats).astype(np.float32) % 1 < 0.5
    elif kind == "tiles":
        share = (rows * repeats % 1 < 0.5) ^ (columns * repeats % 1 < 0.5)
    else:
        clouds = resize(stream.uniforms((12, 6, 1)).astype(np.float32), height, width)
        return cast(Light, first * clouds + second * (1 - clouds))
    blend = share.astype(np.float32)[:, :, None]
    return cast(Light, first * blend + second * (1 - blend))
