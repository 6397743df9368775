"""Clothes by season: colours by name and the frequency of each garment.

Colours repeat between identities on purpose: a name covers many garments, so that no colour identifies a person.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..randomness import Stream

Colour = tuple[float, float, float]  # red, green, blue in 0..1
Sleeves = Literal["short", "long", "none"]
Legs = Literal["trousers", "shorts", "skirt"]

_BYTES = {
    "black": (28, 28, 30),
    "charcoal": (58, 58, 62),
    "grey": (125, 125, 128),
    "lightgrey": (180, 180, 182),
    "white": (232, 232, 230),
    "navy": (30, 38, 72),
    "blue": (48, 84, 160),
    "lightblue": (130, 170, 210),
    "denim": (66, 86, 120),
    "teal": (30, 120, 120),
    "green": (50, 120, 60),
    "olive": (92, 92, 52),
    "khaki": (170, 150, 105),
    "beige": (205, 188, 155),
    "brown": (96, 64, 42),
    "red": (176, 36, 40),
    "maroon": (100, 28, 40),
    "orange": (220, 120, 40),
    "yellow": (225, 195, 60),
    "pink": (222, 140, 165),
    "purple": (104, 60, 130),
}


def _unit(red: int, green: int, blue: int) -> Colour:
    return red / 255, green / 255, blue / 255


COLOURS: dict[str, Colour] = {name: _unit(*value) for name, value in _BYTES.items()}
SKINS: dict[Colour, float] = {
    _unit(235, 200, 175): 4,
    _unit(220, 180, 145): 4,
    _unit(190, 140, 105): 2,
    _unit(140, 95, 65): 1.5,
    _unit(95, 65, 45): 1,
}
HAIRS: dict[Colour, float] = {
    _unit(22, 18, 16): 5,
    _unit(50, 35, 25): 3,
    _unit(100, 70, 40): 2,
    _unit(180, 145, 85): 1,
    _unit(150, 150, 150): 1,
}
DYED_HAIRS: tuple[Colour, ...] = (
    *HAIRS,
    _unit(225, 210, 175),
    _unit(150, 60, 30),
    _unit(190, 40, 50),
    _unit(220, 120, 160),
    _unit(60, 90, 190),
    _unit(40, 140, 110),
    _unit(110, 60, 150),
)
SHOES = {"black": 4, "white": 3, "grey": 2, "brown": 2, "red": 0.7, "blue": 0.7, "yellow": 0.4}
SOCKS = ("white", "black", "grey", "red")
STRIPES = ("white", "red", "yellow", "black", "lightblue")
_SPREAD = 0.05  # standard deviation of a garment's brightness
BAGS = ("black", "navy", "red", "brown", "grey", "green", "beige", "blue", "pink")


@dataclass(frozen=True)
class Season:
    """Weights of colours and garments; they need not sum to 1."""

    uppers: dict[str, float]
    lowers: dict[str, float]
    sleeves: dict[Sleeves, float]
    legs: dict[Legs, float]
    caps: float
    """Weight of a cap relative to the hair styles (5 for short hair)."""
    open_jacket: float
    """Probability that the top is worn open."""
    coat: float
    """Probability of a coat that covers the hips."""


SUMMER = Season(
    uppers={
        "white": 4,
        "black": 3,
        "grey": 2,
        "lightgrey": 2,
        "blue": 2,
        "lightblue": 2,
        "red": 2,
        "yellow": 1,
        "green": 1,
        "pink": 1.5,
        "orange": 1,
        "navy": 1.5,
        "purple": 1,
        "teal": 1,
    },
    lowers={
        "denim": 3,
        "black": 3,
        "khaki": 2,
        "white": 1,
        "beige": 1.5,
        "grey": 1.5,
        "navy": 1,
        "lightblue": 1,
        "red": 0.4,
    },
    sleeves={"short": 6, "long": 3, "none": 1},
    legs={"trousers": 5.5, "shorts": 3, "skirt": 2},
    caps=1,
    open_jacket=0.15,
    coat=0.02,
)
WINTER = Season(
    uppers={
        "black": 3,
        "charcoal": 2.5,
        "navy": 2.5,
        "grey": 2,
        "brown": 2,
        "olive": 2,
        "maroon": 2,
        "beige": 1.5,
        "khaki": 1.5,
        "denim": 1.5,
        "red": 1.5,
        "white": 1.5,
    },
    lowers={"black": 3, "charcoal": 2, "navy": 2, "denim": 3, "grey": 2, "brown": 1.5, "olive": 1.5},
    sleeves={"long": 1},
    legs={"trousers": 8.7, "skirt": 1},
    caps=1.8,
    open_jacket=0.5,
    coat=0.35,
)
AUTUMN = Season(
    uppers={
        "maroon": 2,
        "orange": 1.5,
        "olive": 2,
        "denim": 2.5,
        "black": 2.5,
        "beige": 2,
        "teal": 1.5,
        "grey": 2,
        "white": 2,
        "purple": 1,
        "khaki": 1.5,
        "red": 1.5,
        "navy": 1.5,
    },
    lowers={"denim": 3, "black": 3, "khaki": 2, "olive": 1.5, "brown": 1.5, "navy": 1, "grey": 1, "maroon": 0.5},
    sleeves={"short": 2, "long": 6},
    legs={"trousers": 7, "shorts": 0.5, "skirt": 2},
    caps=1.2,
    open_jacket=0.4,
    coat=0.12,
)
HEAT = replace(  # much visible skin
    SUMMER,
    sleeves={"short": 7, "none": 3},
    legs={"shorts": 6, "skirt": 4, "trousers": 1},
    open_jacket=0.0,
    coat=0.0,
)


def dye(stream: Stream, name: str) -> Colour:
    """Draw a garment of this colour, with slight variations."""
    brightness = 1.0 + stream.normal(0.0, _SPREAD)
    shades = (shade * brightness + stream.normal(0.0, _SPREAD * 0.35) for shade in COLOURS[name])
    red, green, blue = (min(max(shade, 0.02), 0.98) for shade in shades)
    return red, green, blue
