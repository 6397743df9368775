"""What the makers of a data set say is in it, and how far that is known to be true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .hidden import UNKNOWN_CAMERA
from .split import DISTRACTOR, JUNK, Split

WORDS = ("images", "identities", "cameras")


@dataclass(frozen=True)
class Counts:
    """Numbers of one split; None is a number that nobody published. `unverified` names those that may be wrong.

    Images include junk (pid -1). Identities leave junk out and count all distractors (pid 0) as one, which is how
    Market-1501's gallery comes to 751. Unknown cameras are none.
    """

    images: int | None = None
    identities: int | None = None
    cameras: int | None = None
    unverified: frozenset[str] = frozenset()

    def doubted(self, *words: str) -> Counts:
        """The same, with these numbers (by default all) marked as unverified."""
        return Counts(self.images, self.identities, self.cameras, frozenset(words or WORDS))


@dataclass(frozen=True)
class Published:
    """Published counts of a data set, by split (train, query, gallery), and where they come from.

    The split `all` stands for the union, for sets of which only totals are published.
    `per_camera` is the number of images of each camera, from camera 0, junk apart: it tells where files are gone.
    `alternatives` are number of images by split that are known to be something else, with a sentence that says what.
    """

    parts: Mapping[str, Counts]
    source: str
    per_camera: Mapping[str, Sequence[int]] = field(default_factory=dict)
    alternatives: Sequence[tuple[str, Mapping[str, int]]] = ()

    def doubted(self) -> Published:
        """The same, with every number marked as unverified."""
        parts = {part: counts.doubted() for part, counts in self.parts.items()}
        return Published(parts, self.source, {}, self.alternatives)


@dataclass(frozen=True)
class Found:
    """What a split holds: see Counts; and of its images, how many are junk and how many distractors."""

    images: int
    identities: int
    cameras: int
    junk: int
    distractors: int


def count(split: Split) -> Found:
    """Count a split by the rule of Counts."""
    return Found(
        len(split),
        len(np.unique(split.pids[split.pids != JUNK])),
        len(np.unique(split.camids[split.camids != UNKNOWN_CAMERA])),
        int((split.pids == JUNK).sum()),
        int((split.pids == DISTRACTOR).sum()),
    )


def count_cameras(split: Split, cameras: int) -> list[int]:
    """Images of each camera from 0 to `cameras` - 1, junk apart."""
    kept = split.camids[(split.pids != JUNK) & (split.camids != UNKNOWN_CAMERA)]
    return [int(number) for number in np.bincount(kept, minlength=cameras)[:cameras]]
