"""Distinguishes persons who change clothes or are seen without colours: more varied builds, hair and skin."""

from __future__ import annotations

from dataclasses import replace

from ..randomness import Stream
from .identity import Build, Hair, Identity
from .palettes import DYED_HAIRS, SKINS, Colour

_STYLES: dict[Hair, float] = {"short": 4, "long": 4, "bun": 2}
_SHADE = 0.15  # largest deviation of skin or hair from its colour in the palette
_BUILDS = {  # mean and deviation of each length and scale of `identity.Build`
    "height": (1.0, 0.05),
    "shoulder": (0.115, 0.115 * 0.07),
    "hip": (0.088, 0.088 * 0.09),
    "depth": (0.062, 0.062 * 0.12),
    "weight": (1.0, 0.12),
    "leg": (0.49, 0.012),
    "head": (1.0, 0.06),
    "limb": (1.0, 0.10),
}
_EXTREME = 1.8  # deviations


def widen(person: Identity, spread: float) -> Identity:
    """Return the same person with a build `spread` times as far from the mean; extremes are clipped first."""
    build = {}
    for name, (mean, deviation) in _BUILDS.items():
        away = (getattr(person.build, name) - mean) / deviation
        build[name] = mean + spread * deviation * min(max(away, -_EXTREME), _EXTREME)
    return replace(person, build=Build(**build))


def distinguish(stream: Stream, person: Identity) -> Identity:
    """Return the same person with uncovered, possibly dyed hair, and skin in more shades than a season has."""
    skin = _shade(stream, stream.pick(tuple(SKINS)))
    hair = _shade(stream, stream.pick(DYED_HAIRS))
    return replace(person, head=replace(person.head, skin=skin, hair=hair, style=stream.weighted(_STYLES)))


def _shade(stream: Stream, colour: Colour) -> Colour:
    """Return a slightly brighter or darker, warmer or colder colour."""
    brightness, warmth = stream.uniform(1 - _SHADE, 1 + _SHADE), stream.uniform(-0.5, 0.5) * _SHADE
    red, green, blue = colour
    shades = red * (1 + warmth), green, blue * (1 - warmth)
    r, g, b = (min(max(shade * brightness, 0.02), 0.98) for shade in shades)
    return r, g, b
