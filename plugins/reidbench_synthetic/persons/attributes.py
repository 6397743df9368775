"""Attributes of a person's clothes, in words."""

from __future__ import annotations

from .identity import Identity
from .palettes import COLOURS, Colour


def describe(person: Identity) -> dict[str, str]:
    """Return attributes by name; a colour is the nearest named one in `palettes.COLOURS`."""
    return {
        "upper": nearest_name(person.top.colour),
        "pattern": person.top.pattern,
        "sleeves": person.top.sleeves,
        "lower": person.bottom.kind,
        "lower_colour": nearest_name(person.bottom.colour),
        "hair": person.head.style,
        "bag": person.bag.kind,
    }


def nearest_name(colour: Colour) -> str:
    """Return the name of the nearest colour in red, green and blue."""
    return min(COLOURS, key=lambda name: sum((one - two) ** 2 for one, two in zip(COLOURS[name], colour, strict=True)))
