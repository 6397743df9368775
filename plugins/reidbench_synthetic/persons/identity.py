"""A person: proportions, garments, hair, bag and gait. Parameters only, no geometry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..randomness import Stream
from . import palettes
from .palettes import Colour, Legs, Season, Sleeves, dye

Hair = Literal["short", "long", "bald", "cap", "bun"]
Pattern = Literal["plain", "hstripe", "vstripe", "check", "half", "band", "raglan"]
Carried = Literal["none", "backpack", "shoulder", "hand"]
Shape = Literal["rect", "disc", "bar", "cross"]

_HAIR: dict[Hair, float] = {"short": 5, "long": 4, "bald": 0.6, "cap": 1, "bun": 1}
_PATTERNS: dict[Pattern, float] = {
    "plain": 4,
    "hstripe": 2,
    "vstripe": 1,
    "check": 1.2,
    "half": 1.2,
    "band": 1.2,
    "raglan": 1.2,
}
_CARRIED: dict[Carried, float] = {"none": 4, "backpack": 3, "shoulder": 2, "hand": 1.5}
_SHAPES: tuple[Shape, ...] = ("rect", "disc", "bar", "cross")


@dataclass(frozen=True)
class Build:
    """Proportions. Lengths are in heights of the mean person; `weight`, `head`, `limb` scale and have mean 1."""

    height: float
    shoulder: float
    hip: float
    depth: float
    weight: float
    leg: float
    head: float
    limb: float

    @property
    def hip_height(self) -> float:
        """Height of the hips above the floor."""
        return self.leg * self.height + 0.02

    @property
    def shoulder_height(self) -> float:
        """Height of the shoulders above the floor."""
        return 0.825 * self.height

    @property
    def head_size(self) -> float:
        """Mean radius of the head."""
        return 0.062 * self.height * self.head

    @property
    def thigh(self) -> float:
        """Length from hip to knee."""
        return 0.245 * self.height

    @property
    def shin(self) -> float:
        """Length from knee to ankle."""
        return self.hip_height - 0.05 - self.thigh

    @property
    def upper_arm(self) -> float:
        """Length from shoulder to elbow."""
        return 0.165 * self.height

    @property
    def forearm(self) -> float:
        """Length from elbow to wrist."""
        return 0.15 * self.height


@dataclass(frozen=True)
class Logo:
    """Logo on the chest or the back: centre and size in the torso's (u, v)."""

    shape: Shape
    u: float
    v: float
    size: float
    colour: Colour


@dataclass(frozen=True)
class Top:
    """Upper garment. `repeats` counts the pattern, `hem` is its overlap with the hips, 0 to 1."""

    colour: Colour
    second: Colour
    inner: Colour
    pattern: Pattern
    repeats: int
    sleeves: Sleeves
    opening: float
    """Half the width of the open front in u; 0 is closed."""
    hem: float
    front: Logo | None
    back: Logo | None


@dataclass(frozen=True)
class Bottom:
    """Lower garment, socks and shoes, and the tail of a coat."""

    kind: Legs
    colour: Colour
    stripe: Colour | None
    sock: Colour
    sock_height: float
    bare: bool
    turned_up: bool
    shoe: Colour
    coat: bool


@dataclass(frozen=True)
class Head:
    """Skin, hair and cap."""

    skin: Colour
    hair: Colour
    style: Hair
    cap: Colour


@dataclass(frozen=True)
class Bag:
    """Carried item; `side` is -1 or 1 along the body's x axis."""

    kind: Carried
    colour: Colour
    size: float
    side: int


@dataclass(frozen=True)
class Gait:
    """Usual gait, in radians."""

    stride: float
    lean: float
    arm_out: float
    elbow: float


@dataclass(frozen=True)
class Identity:
    """Properties of a person that are the same in all images."""

    build: Build
    head: Head
    top: Top
    bottom: Bottom
    bag: Bag
    gait: Gait


def draw_identity(stream: Stream, season: Season) -> Identity:
    """Draw a person dressed for the season. The order of the draws affects every image."""
    build = _draw_build(stream)
    head = _draw_head(stream, season)
    top = _draw_top(stream, season)
    bottom = _draw_bottom(stream, season)
    bag = _draw_bag(stream)
    gait = Gait(
        stride=stream.uniform(0.25, 0.5),
        lean=stream.normal(0.03, 0.03),
        arm_out=stream.uniform(0.04, 0.14),
        elbow=stream.uniform(0.1, 0.7),
    )
    return Identity(build, head, top, bottom, bag, gait)


def redress(stream: Stream, person: Identity, season: Season) -> Identity:
    """Return the same person in other clothes, with other shoes and another bag."""
    top, bottom = _draw_top(stream, season), _draw_bottom(stream, season)
    return replace(person, top=top, bottom=bottom, bag=_draw_bag(stream))


def _draw_build(stream: Stream) -> Build:
    return Build(
        height=stream.normal(1.0, 0.05),
        shoulder=0.115 * stream.normal(1.0, 0.07),
        hip=0.088 * stream.normal(1.0, 0.09),
        depth=0.062 * stream.normal(1.0, 0.12),
        weight=stream.normal(1.0, 0.12),
        leg=stream.normal(0.49, 0.012),
        head=stream.normal(1.0, 0.06),
        limb=stream.normal(1.0, 0.10),
    )


def _draw_bag(stream: Stream) -> Bag:
    return Bag(
        kind=stream.weighted(_CARRIED),
        colour=dye(stream, stream.pick(palettes.BAGS)),
        size=stream.uniform(0.8, 1.25),
        side=stream.pick((-1, 1)),
    )


def _draw_head(stream: Stream, season: Season) -> Head:
    return Head(
        skin=stream.weighted(palettes.SKINS),
        hair=stream.weighted(palettes.HAIRS),
        style=stream.weighted({**_HAIR, "cap": season.caps}),
        cap=dye(stream, stream.weighted(season.uppers)),
    )


def _draw_top(stream: Stream, season: Season) -> Top:
    return Top(
        colour=dye(stream, stream.weighted(season.uppers)),
        second=dye(stream, stream.weighted(season.uppers)),
        inner=dye(stream, stream.weighted(palettes.SUMMER.uppers)),
        pattern=stream.weighted(_PATTERNS),
        repeats=stream.pick((3, 5, 8)),
        sleeves=stream.weighted(season.sleeves),
        opening=stream.uniform(0.03, 0.10) if stream.chance(season.open_jacket) else 0.0,
        hem=stream.uniform(0.1, 0.9),
        front=_draw_logo(stream, 0.03, 0.07),
        back=_draw_logo(stream, 0.04, 0.09),
    )


def _draw_logo(stream: Stream, smallest: float, largest: float) -> Logo | None:
    if not stream.chance(0.5):
        return None
    return Logo(
        shape=stream.pick(_SHAPES),
        u=stream.uniform(-0.07, 0.07),
        v=stream.uniform(0.25, 0.5),
        size=stream.uniform(smallest, largest),
        colour=dye(stream, stream.pick(tuple(palettes.COLOURS))),
    )


def _draw_bottom(stream: Stream, season: Season) -> Bottom:
    kind = stream.weighted(season.legs)
    return Bottom(
        kind=kind,
        colour=dye(stream, stream.weighted(season.lowers)),
        stripe=dye(stream, stream.pick(palettes.STRIPES)) if stream.chance(0.2) else None,
        sock=dye(stream, stream.pick(palettes.SOCKS)),
        sock_height=stream.uniform(0.0, 0.5),
        bare=stream.chance(0.5),
        turned_up=stream.chance(0.25),
        shoe=dye(stream, stream.weighted(palettes.SHOES)),
        coat=kind != "skirt" and stream.chance(season.coat),
    )
