"""The worlds, which set the recording conditions, and the numbers of persons and images of each size.

Nuisances are set so that a small network learns in minutes and does not saturate. Excluded, because small networks
then do not learn at all: shrinking beyond 1.5, blur beyond 0.5, jitter beyond 0.04, gain and white-balance spreads far
above 0.1, vivid backgrounds, dark images in thick haze. The gap between worlds comes from the season's clothes, camera
pitch, aspect, a common colour cast and exposure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from .persons.palettes import AUTUMN, HEAT, SUMMER, WINTER, Colour, Season

WorldName = Literal[
    "plaza", "station", "arcade", "crowd", "mixed", "wardrobe", "nightfall", "footage", "avenue", "terminal"
]
SizeName = Literal["tiny", "small", "medium", "full"]
Place = Literal["plaza", "station", "arcade"]
Range = tuple[float, float]


@dataclass(frozen=True)
class Conditions:
    """Conditions shared by the cameras of a world; each camera draws its values from these."""

    place: Place
    pitch: Range  # downward angle of a camera in radians
    gain: float  # standard deviations in stops: gain, red and blue, gamma
    balance: float
    gamma: float
    saturation: Range
    shrink: Range  # factor by which the image is shrunk and enlarged again
    noise: Range
    haze: Range
    ambient: Range  # share of undirected light
    occlusion: float  # probability of an occluder in front of the person
    jitter: float  # standard deviation of the framing, in image sizes
    aspect: float  # factor of the persons' width
    exposure: float  # stops
    background_saturation: float
    cast: Colour = (1.0, 1.0, 1.0)
    blur: Range = (0.0, 0.4)  # sigma in pixels at an image height of 128
    yaw_spread: float = 0.5  # standard deviation in radians of a walk's direction


@dataclass(frozen=True)
class World:
    """A world. `key` identifies it in random streams: never change or reuse one.

    A pool has no test side, and the share `irrelevant` of its images has no person. In a world of `outfits`
    persons change clothes (see shots.py). Builds deviate from the mean `spread` times as far as elsewhere. Cameras
    `infrared` (from 0) record at night; a camera in `beside` records the place of another one. With `separate_walks`
    the images of a person at one camera show different walks. `sizes` override those of all worlds.
    """

    key: int
    seasons: tuple[Season, ...]
    conditions: tuple[Conditions, ...]
    pool: bool = False
    irrelevant: float = 0.0
    outfits: bool = False
    spread: float = 1.0
    infrared: frozenset[int] = frozenset()
    separate_walks: bool = False
    beside: Mapping[int, int] = field(default_factory=dict)
    sizes: Mapping[SizeName, Size] = field(default_factory=dict)

    @property
    def labels(self) -> frozenset[str]:
        """Labels beyond identity."""
        clothes = {"clothes", "attributes"} if self.outfits else set()
        modality = {"modality"} if self.infrared else set()
        tracklets = {"tracklets"} if any(size.frames for size in self.sizes.values()) else set()
        return frozenset(clothes | modality | tracklets)

    def at_camera(self, camera: int) -> Conditions:
        """Return the conditions of a camera, counted from 0; a mixed world assigns them in turn."""
        return self.conditions[camera % len(self.conditions)]


@dataclass(frozen=True)
class Size:
    """Amounts to render; distractors and junk are gallery images.

    With `frames` each image is replaced by a walk of that many images, a tracklet.
    """

    train_identities: int
    test_identities: int
    cameras: int
    images: int  # per identity and camera; walks with `frames`
    height: int
    width: int
    distractors: int = 0
    junk: int = 0
    irrelevant: int = 0
    test_images: int = 0  # the same for test identities, if it differs
    frames: int = 0


_PLAZA = Conditions(
    place="plaza",
    pitch=(0.05, 0.22),
    gain=0.112,
    balance=0.08,
    gamma=0.117,
    saturation=(0.85, 1.1),
    shrink=(1.0, 1.25),
    noise=(0.004, 0.014),
    haze=(0.0, 0.05),
    ambient=(0.45, 0.65),
    occlusion=0.08,
    jitter=0.022,
    aspect=1.35,
    exposure=0.0,
    background_saturation=0.5,
)
_STATION = Conditions(
    place="station",
    pitch=(0.20, 0.42),
    gain=0.126,
    balance=0.096,
    gamma=0.117,
    saturation=(0.75, 1.0),
    shrink=(1.0, 1.3),
    noise=(0.005, 0.016),
    haze=(0.02, 0.09),
    ambient=(0.5, 0.7),
    occlusion=0.10,
    jitter=0.026,
    aspect=1.45,
    exposure=-0.2,
    background_saturation=0.35,
    cast=(0.94, 0.99, 1.08),
)
_ARCADE = Conditions(
    place="arcade",
    pitch=(0.12, 0.32),
    gain=0.13,
    balance=0.11,
    gamma=0.125,
    saturation=(0.8, 1.1),
    shrink=(1.0, 1.25),
    noise=(0.006, 0.016),
    haze=(0.0, 0.06),
    ambient=(0.4, 0.6),
    occlusion=0.10,
    jitter=0.024,
    aspect=1.25,
    exposure=-0.15,
    background_saturation=0.45,
    cast=(1.10, 0.99, 0.84),
)

_INDOORS = replace(
    _PLAZA,
    gain=0.04,
    balance=0.03,
    gamma=0.04,
    blur=(0.0, 0.2),
    shrink=(1.0, 1.1),
    noise=(0.004, 0.01),
    occlusion=0.05,
    jitter=0.015,
    aspect=1.6,
    yaw_spread=0.35,
)
_DAY = replace(_PLAZA, occlusion=0.05, aspect=1.5, jitter=0.018, yaw_spread=0.4)
_NIGHT = replace(
    _DAY,
    gain=0.1,
    noise=(0.01, 0.02),
    haze=(0.0, 0.04),
    ambient=(0.4, 0.55),
    exposure=0.4,
)

# Avenue and terminal have the clothes and camera heights of plaza and station, cameras of similar colours, and walks in
# all directions. A network must recognise a person from other sides, which it learns only from many persons.
_AVENUE = replace(
    _PLAZA,
    gain=0.04,
    balance=0.03,
    gamma=0.04,
    saturation=(0.8, 1.05),
    aspect=1.4,
    exposure=-0.1,
    background_saturation=0.45,
    yaw_spread=1.6,
)
_TERMINAL = replace(
    _AVENUE,
    place="station",
    pitch=_STATION.pitch,
    shrink=_STATION.shrink,
    noise=_STATION.noise,
    occlusion=_STATION.occlusion,
    jitter=_STATION.jitter,
)

_FILMED = replace(_STATION, occlusion=0.6, exposure=-0.1)  # for a whole walk

_WARDROBE: dict[SizeName, Size] = {
    "tiny": Size(12, 12, cameras=4, images=2, height=48, width=24, test_images=3),
    "small": Size(150, 50, cameras=4, images=2, height=64, width=32, test_images=3),
    "medium": Size(400, 200, cameras=4, images=6, height=64, width=32),
    "full": Size(400, 400, cameras=4, images=8, height=128, width=64),
}
_NIGHTFALL: dict[SizeName, Size] = {
    "tiny": Size(12, 12, cameras=6, images=2, height=48, width=24),
    "small": Size(100, 50, cameras=6, images=2, height=64, width=32, test_images=4),
    "medium": Size(400, 200, cameras=6, images=4, height=64, width=32, test_images=5),
    "full": Size(400, 200, cameras=6, images=6, height=128, width=64, test_images=10),
}
_FOOTAGE: dict[SizeName, Size] = {
    "tiny": Size(12, 12, 3, images=1, height=48, width=24, distractors=4, junk=2, test_images=2, frames=4),
    "small": Size(40, 50, 4, images=1, height=64, width=32, distractors=16, junk=8, test_images=2, frames=6),
    "medium": Size(200, 100, 6, images=1, height=64, width=32, distractors=40, junk=20, test_images=2, frames=8),
    "full": Size(300, 150, 6, images=1, height=128, width=64, distractors=80, junk=40, test_images=2, frames=10),
}

_SIZES: dict[SizeName, Size] = {
    "tiny": Size(12, 12, cameras=3, images=2, height=48, width=24, distractors=6, junk=3),
    "small": Size(100, 100, cameras=6, images=2, height=64, width=32, distractors=60, junk=30),
    "medium": Size(400, 200, cameras=6, images=4, height=64, width=32, distractors=200, junk=100),
    "full": Size(400, 400, cameras=8, images=4, height=128, width=64, distractors=400, junk=200),
}
_MANY: dict[SizeName, Size] = {**_SIZES, "small": replace(_SIZES["small"], train_identities=300)}

WORLDS: dict[WorldName, World] = {
    "plaza": World(key=1, seasons=(SUMMER,), conditions=(_PLAZA,)),
    "station": World(key=2, seasons=(WINTER,), conditions=(_STATION,)),
    "arcade": World(key=3, seasons=(AUTUMN,), conditions=(_ARCADE,)),
    "crowd": World(4, (SUMMER, WINTER, AUTUMN), (_PLAZA, _STATION, _ARCADE), pool=True, irrelevant=0.1),
    "mixed": World(5, (SUMMER, WINTER, AUTUMN), (_PLAZA, _STATION, _ARCADE), pool=True, irrelevant=0.5),
    "wardrobe": World(6, (HEAT,), (_INDOORS,), outfits=True, spread=2.0, sizes=_WARDROBE),
    "nightfall": World(
        key=7,
        seasons=(SUMMER,),
        conditions=(_DAY, _DAY, _NIGHT, _DAY, _DAY, _NIGHT),
        spread=2.0,
        infrared=frozenset({2, 5}),
        beside={2: 1},
        sizes=_NIGHTFALL,
    ),
    "footage": World(key=8, seasons=(WINTER,), conditions=(_FILMED,), sizes=_FOOTAGE),
    "avenue": World(key=9, seasons=(SUMMER,), conditions=(_AVENUE,), separate_walks=True, sizes=_MANY),
    "terminal": World(key=10, seasons=(WINTER,), conditions=(_TERMINAL,), separate_walks=True, sizes=_MANY),
}

# Images without a person are added: in crowd 8 of 80, 133 of 1333, ..., in mixed 72 of 144, 1200 of 2400, ...
_POOL_SIZES: dict[SizeName, Size] = {
    "tiny": Size(12, 0, cameras=3, images=2, height=48, width=24),
    "small": Size(100, 0, cameras=6, images=2, height=64, width=32),
    "medium": Size(400, 0, cameras=6, images=4, height=64, width=32),
    "full": Size(600, 0, cameras=8, images=4, height=128, width=64),
}


def size_of(world: WorldName, size: SizeName) -> Size:
    """Return the counts of a world at a size."""
    if not WORLDS[world].pool:
        return (WORLDS[world].sizes or _SIZES)[size]
    counts, share = _POOL_SIZES[size], WORLDS[world].irrelevant
    persons = counts.train_identities * counts.cameras * counts.images
    return replace(counts, irrelevant=round(persons * share / (1 - share)))
