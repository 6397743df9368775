"""A person in near infrared: greys that depend little on colours.

Dyes that differ in daylight are almost equal in near infrared: a garment's reflection depends on its cloth, so
patterns and logos fade. Skin is bright regardless of its tone, and dark hair is grey.
"""

from __future__ import annotations

from dataclasses import replace

from ..randomness import Stream
from .identity import Identity, Logo
from .palettes import Colour

_OF_DAYLIGHT = 0.6  # share of a cloth's grey that follows from its colour
_OF_PATTERN = 0.5  # share of the contrast within a garment that remains
_CLOTH = (0.1, 0.9)


def in_infrared(stream: Stream, person: Identity) -> Identity:
    """Return the person with greys instead of colours. The order of the draws affects every image."""
    head, top, bottom = person.head, person.top, person.bottom
    upper, lower = _cloth(stream, top.colour), _cloth(stream, bottom.colour)
    return replace(
        person,
        head=replace(
            head,
            skin=_grey(0.5 + 0.25 * _luminance(head.skin)),
            hair=_grey(0.25 + 0.45 * _luminance(head.hair)),
            cap=_cloth(stream, head.cap),
        ),
        top=replace(
            top,
            colour=upper,
            second=_dyed(upper, top.colour, top.second),
            inner=_cloth(stream, top.inner),
            front=_printed(upper, top.colour, top.front),
            back=_printed(upper, top.colour, top.back),
        ),
        bottom=replace(
            bottom,
            colour=lower,
            stripe=None if bottom.stripe is None else _dyed(lower, bottom.colour, bottom.stripe),
            sock=_cloth(stream, bottom.sock),
            shoe=_cloth(stream, bottom.shoe),
        ),
        bag=replace(person.bag, colour=_cloth(stream, person.bag.colour)),
    )


def _cloth(stream: Stream, colour: Colour) -> Colour:
    return _grey(_OF_DAYLIGHT * _luminance(colour) + (1 - _OF_DAYLIGHT) * stream.uniform(*_CLOTH))


def _dyed(cloth: Colour, colour: Colour, second: Colour) -> Colour:
    """Return the second colour of a cloth whose first one is `colour`."""
    return _grey(cloth[0] + _OF_PATTERN * (_luminance(second) - _luminance(colour)))


def _printed(cloth: Colour, colour: Colour, logo: Logo | None) -> Logo | None:
    return None if logo is None else replace(logo, colour=_dyed(cloth, colour, logo.colour))


def _luminance(colour: Colour) -> float:
    return 0.30 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def _grey(value: float) -> Colour:
    shade = min(max(value, 0.02), 0.98)
    return shade, shade, shade
