"""What a person wears, in words."""

from __future__ import annotations

from .identity import Identity
from .palettes import COLOURS, Colour


def describe(person: Identity) -> dict[str, str]:
    """Attributes by name; a colour is the nearest that has a name in `palettes.COLOURS`."""
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
    """The name of the colour that is nearest in red, green and blue."""
    return min(COLOURS, key=lambda name: sum((one - two) ** 2 for one, two in zip(COLOURS[name], colour, strict=True)))
