"""Colour of every visible point of a person, from its part and its position (u, v) on that part."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reidbench.rendering.arrays import Floats, Ints, Light, Mask
from reidbench.rendering.mesh import Part

from .identity import Identity, Logo
from .palettes import Colour

Painter = Callable[[Identity, Floats, Floats, Light], None]


def albedo(person: Identity, parts: Ints, u: Floats, v: Floats) -> Light:
    """Return colours [P,3] of points with parts [P] and texture coordinates u (-0.5 to 0.5), v (0 to 1)."""
    colours = _plain_colours(person)[parts]
    for part, paint in _PAINTERS.items():
        here = np.flatnonzero(parts == part)
        if len(here):
            patch = colours[here]
            paint(person, u[here], v[here], patch)
            colours[here] = patch
    return colours


def _plain_colours(person: Identity) -> Light:
    """Return one colour per part [13,3], before any pattern."""
    top, bottom, skin = person.top, person.bottom, person.head.skin
    sleeve = top.second if top.pattern == "raglan" else top.colour
    table: dict[Part, Colour] = {
        Part.HEAD: skin,
        Part.NECK: skin,
        Part.TORSO: top.colour,
        Part.PELVIS: bottom.colour,
        Part.UPPER_ARM: sleeve,
        Part.FOREARM: sleeve,
        Part.HAND: skin,
        Part.THIGH: bottom.colour,
        Part.SHIN: bottom.colour,
        Part.FOOT: bottom.shoe,
        Part.SKIRT: bottom.colour if bottom.kind == "skirt" else top.colour,
        Part.BAG: person.bag.colour,
        Part.HAIR: person.head.hair,
    }
    return np.array([table[part] for part in Part], dtype=np.float32)


def _paint_head(person: Identity, u: Floats, v: Floats, colours: Light) -> None:
    """Paint hair or cap down to the forehead in front and the nape behind, and a dark line for the eyes."""
    style, side = person.head.style, np.abs(u)
    nape = {"cap": 0.36, "bald": -1.0}.get(style, 0.66)
    covered = v < np.where(side < 0.22, 0.36, nape)
    if style == "bald":
        covered &= side > 0.5
    colours[covered] = person.head.cap if style == "cap" else person.head.hair
    if style == "cap":
        colours[(v >= 0.36) & (v < 0.6) & (side > 0.25)] = person.head.hair
    colours[~covered & (v > 0.42) & (v < 0.50) & (side > 0.03) & (side < 0.11)] *= np.float32(0.45)


def _paint_torso(person: Identity, u: Floats, v: Floats, colours: Light) -> None:
    """Paint the pattern, then the open front or the logos, then outer layers, then the neckline."""
    top = person.top
    colours[_second_colour(person, u, v)] = top.second
    if top.opening:
        colours[np.abs(u) < top.opening * (1.6 - 0.6 * v)] = top.inner
    elif top.front:
        colours[_logo(top.front, u, v, 0.0)] = top.front.colour
    if top.back:
        colours[_logo(top.back, u, v, 0.5)] = top.back.colour
    if person.bag.kind == "backpack":
        colours[(np.abs(np.abs(u) - 0.10) < 0.022) & (v < 0.6)] = person.bag.colour
    elif person.bag.kind == "shoulder":
        colours[np.abs(u - person.bag.side * (0.42 * v - 0.16)) < 0.025] = person.bag.colour
    colours[(v < 0.06) & (np.abs(u) < 0.2)] = person.head.skin


def _second_colour(person: Identity, u: Floats, v: Floats) -> Mask:
    """Return a mask of the second colour in the top's pattern."""
    pattern, repeats = person.top.pattern, person.top.repeats
    if pattern == "hstripe":
        return _odd(v * repeats * 2)
    if pattern == "vstripe":
        return _odd((u + 1) * repeats * 4)
    if pattern == "check":
        return _odd((u + 1) * repeats * 3) ^ _odd(v * repeats * 1.5)
    if pattern == "half":
        return v > 0.55
    if pattern == "band":
        return (v > 0.38) & (v < 0.55)
    return np.zeros(len(u), dtype=np.bool_)


def _paint_upper_arm(person: Identity, u: Floats, v: Floats, colours: Light) -> None:
    sleeves = person.top.sleeves
    if sleeves == "long":
        _paint_long_sleeve(person, v, colours)
    else:
        colours[v > (0.6 if sleeves == "short" else 0.02)] = person.head.skin


def _paint_forearm(person: Identity, u: Floats, v: Floats, colours: Light) -> None:
    if person.top.sleeves == "long":
        _paint_long_sleeve(person, v, colours)
    else:
        colours[:] = person.head.skin


def _paint_long_sleeve(person: Identity, v: Floats, colours: Light) -> None:
    if person.top.pattern == "hstripe":
        colours[_odd(v * person.top.repeats * 1.2)] = person.top.second


def _paint_thigh(person: Identity, u: Floats, v: Floats, colours: Light) -> None:
    bottom = person.bottom
    if bottom.kind == "shorts":
        colours[v > 0.85] = person.head.skin
    elif bottom.kind == "skirt":
        colours[:] = _stockings(person)
    elif bottom.stripe:
        colours[np.abs(np.abs(u) - 0.25) < 0.05] = bottom.stripe


def _paint_shin(person: Identity, u: Floats, v: Floats, colours: Light) -> None:
    bottom = person.bottom
    if bottom.kind == "shorts":
        colours[:] = person.head.skin
        colours[v > 1 - bottom.sock_height] = bottom.sock
    elif bottom.kind == "skirt":
        colours[:] = _stockings(person)
    else:
        _paint_thigh(person, u, v, colours)
        if bottom.turned_up:
            colours[v > 0.85] = bottom.sock


def _stockings(person: Identity) -> Light:
    """Return bare legs under a skirt, or dark tights of the sock's hue."""
    if person.bottom.bare:
        return np.array(person.head.skin, dtype=np.float32)
    return np.array(person.bottom.sock, dtype=np.float32) * np.float32(0.3)


def _paint_pelvis(person: Identity, u: Floats, v: Floats, colours: Light) -> None:
    """Paint the hips, which an untucked top covers."""
    top = person.top
    if top.hem > 0.5:
        colours[v < top.hem] = top.second if top.pattern == "half" else top.colour


def _paint_skirt(person: Identity, u: Floats, v: Floats, colours: Light) -> None:
    """Paint the skirt; an open coat shows the trousers between its tails."""
    if person.bottom.coat and person.top.opening:
        colours[np.abs(u) < person.top.opening * 0.8] = person.bottom.colour


def _logo(logo: Logo, u: Floats, v: Floats, facing: float) -> Mask:
    """Return a mask of the logo; `facing` is the u of its side. Round the body u is a circle of length 1."""
    across = u - facing - logo.u
    across = (across - np.round(across)) / (0.8 * logo.size)
    down = (v - logo.v) / (2.4 * logo.size)
    wide, tall = np.abs(across), np.abs(down)
    if logo.shape == "rect":
        return (wide < 1) & (tall < 1)
    if logo.shape == "disc":
        return across * across + down * down < 1
    if logo.shape == "bar":
        return (wide < 1.6) & (tall < 0.35)
    return ((wide < 1.2) & (tall < 0.3)) | ((wide < 0.3) & (tall < 1.2))


def _odd(value: Floats) -> Mask:
    """Return a mask of every second whole number: the stripes of a pattern."""
    odd: Mask = value.astype(np.int64) % 2 == 1
    return odd


_PAINTERS: dict[Part, Painter] = {
    Part.HEAD: _paint_head,
    Part.TORSO: _paint_torso,
    Part.UPPER_ARM: _paint_upper_arm,
    Part.FOREARM: _paint_forearm,
    Part.THIGH: _paint_thigh,
    Part.SHIN: _paint_shin,
    Part.PELVIS: _paint_pelvis,
    Part.SKIRT: _paint_skirt,
}
