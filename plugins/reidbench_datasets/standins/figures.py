"""Drawings of persons, vehicles and animals for stand-ins: plain coloured figures, the same bytes for the same name.

A person has the same skin and hair in all images, and the same clothes in all images of an outfit; a camera has the
same background and light. A vehicle or an animal has the same colours in all images. The position, and specks that
make every image unique, depend on the image's name.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw

Size = tuple[int, int]  # height, width
Shown = Literal["whole", "upper half", "behind a bar", "vehicle", "animal"]
Colour = tuple[int, int, int]
JPEG_QUALITY = 90
SPECKS = 12


def draw(
    name: str, person: object, camera: int, size: Size, shown: Shown = "whole", outfit: int | None = None
) -> Image.Image:
    """Draw the image of that name, of `size`: a person in one of several outfits on a camera's background.

    As "vehicle" or "animal" it is one of these instead, in side view.
    """
    height, width = size
    by_camera, by_name = _digits("camera", camera), _digits("picture", name)
    image = _background(by_camera, width, height)
    pen = ImageDraw.Draw(image)
    across = width / 2 + (by_name[0] / 255 - 0.5) * width * 0.15
    down = height * (0.06 + 0.06 * by_name[1] / 255)
    tall = height * (0.8 + 0.06 * by_name[2] / 255) * (2 if shown == "upper half" else 1)
    looks = _digits("person", person)
    clothes = looks[6:] if outfit is None else _digits("outfit", person, outfit)
    if shown in ("vehicle", "animal"):
        _long_body(pen, looks, across, height * (0.3 + 0.1 * by_name[1] / 255), height * 0.5, wheels=shown == "vehicle")
    else:
        _figure(pen, looks[:6] + clothes, across, down, tall)
    if shown == "behind a bar":
        pen.rectangle((0, height * 0.55, width, height), fill=_colour(by_name, 3))
    for speck in range(SPECKS):
        mark = _digits(name, speck)
        x, y = mark[0] * width // 256, mark[1] * height // 256
        pen.rectangle((x, y, x + width // 24, y + width // 24), fill=_colour(mark, 2))
    light = 0.75 + 0.5 * by_camera[31] / 255
    return image.point(lambda value: min(255, int(value * light)))


def write(
    folder: Path,
    path: str,
    person: object,
    camera: int,
    size: Size | None = None,
    *,
    shown: Shown = "whole",
    outfit: int | None = None,
) -> None:
    """Write an image to a path below a folder; by default its size depends on the path."""
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    image = draw(path, person, camera, size or varying(path), shown, outfit)
    image.save(file, quality=JPEG_QUALITY, compress_level=1)  # for JPEG, for PNG


def varying(path: str) -> Size:
    """Return a size such as detectors give: 90 to 217 high, about half as wide."""
    digits = _digits("size", path)
    height = 90 + digits[0] // 2
    return height, round(height * (0.35 + 0.15 * digits[1] / 255))


def landscape(path: str) -> Size:
    """Return a size such as detectors give for vehicles and animals: 90 to 217 wide, about half as high."""
    width, height = varying(path)
    return height, width


def _background(by_camera: bytes, width: int, height: int) -> Image.Image:
    wall, floor = _colour(by_camera, 0), _colour(by_camera, 3)
    image = Image.new("RGB", (1, 2), wall)
    image.putpixel((0, 1), floor)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _figure(pen: ImageDraw.ImageDraw, looks: bytes, across: float, down: float, tall: float) -> None:
    """Draw hair and head, trunk and arms, legs; `tall` pixels from `down` on, centred at `across`."""
    skin, hair, shirt, trousers = (_colour(looks, 3 * part) for part in range(4))

    def box(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        return across + left * tall, down + top * tall, across + right * tall, down + bottom * tall

    pen.ellipse(box(-0.075, 0.0, 0.075, 0.15), fill=hair)
    pen.ellipse(box(-0.06, 0.03, 0.06, 0.16), fill=skin)
    pen.rectangle(box(-0.15, 0.18, 0.15, 0.45), fill=skin)
    pen.rectangle(box(-0.11, 0.16, 0.11, 0.5), fill=shirt)
    pen.rectangle(box(-0.10, 0.5, -0.01, 0.97), fill=trousers)
    pen.rectangle(box(0.01, 0.5, 0.10, 0.97), fill=trousers)


def _long_body(
    pen: ImageDraw.ImageDraw, looks: bytes, across: float, down: float, tall: float, *, wheels: bool
) -> None:
    """Draw a vehicle (cabin, body, wheels) or an animal (body, head, legs) with four marks, `tall` pixels high."""
    first, second, third, fourth = (_colour(looks, 3 * part) for part in range(4))

    def box(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        return across + left * tall, down + top * tall, across + right * tall, down + bottom * tall

    if wheels:
        pen.rectangle(box(-0.45, 0.0, 0.35, 0.45), fill=second)
        pen.rectangle(box(-0.8, 0.35, 0.8, 0.85), fill=first)
    else:
        pen.ellipse(box(-0.7, 0.1, 0.6, 0.75), fill=first)
        pen.ellipse(box(0.45, 0.0, 0.85, 0.4), fill=second)
    for place in (-0.55, 0.35):
        (pen.ellipse if wheels else pen.rectangle)(box(place, 0.65, place + 0.25, 1.0), fill=third)
    for mark in range(4):
        left, top = -0.5 + 0.9 * looks[12 + mark] / 255, 0.4 + 0.2 * looks[16 + mark] / 255
        pen.ellipse(box(left, top, left + 0.15, top + 0.15), fill=fourth)


def _colour(digits: bytes, start: int) -> Colour:
    return digits[start], digits[start + 1], digits[start + 2]


def _digits(*key: object) -> bytes:
    """Return 32 numbers from 0 to 255 derived from a key, the same on every machine and in every version."""
    return hashlib.sha256(repr(key).encode()).digest()
