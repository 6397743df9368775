"""Tracklets of a manifest: images that one camera took of one person at one time. Reports contradictions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from reidbench.data.morelabels import UNKNOWN
from reidbench.data.split import Sample

TESTS = {"query", "gallery"}
WHAT = ("pid", "camid", "clothes", "modality", "split")
WHOLE = "images of one tracklet show one person in one outfit, in one camera and split; give others other numbers"


@dataclass
class Walks:
    """First line of each tracklet, and its images in query and gallery."""

    first: dict[int, tuple[int | str, ...]] = field(default_factory=dict)  # the line, and its values
    tests: dict[int, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    wrong: set[int] = field(default_factory=set)

    def add(self, line: int, part: str, path: str, sample: Sample) -> list[str]:
        """Check a line's tracklet; one sentence for the first contradiction of each tracklet, or none."""
        number = sample.tracklet
        if number == UNKNOWN or number in self.wrong:
            return []
        if part != "train":
            self.tests[number][part].add(path)
        at, *there = self.first.setdefault(number, (line, *_of_one_walk(part, sample)))
        here = _of_one_walk(part, sample)
        if (*there,) == here:
            return []
        self.wrong.add(number)
        what, mine, other = next(found for found in zip(WHAT, here, there, strict=True) if found[1] != found[2])
        return [
            f"tracklet {number} has {what} {_shown(what, mine)} here and {_shown(what, other)} in line {at}: {WHOLE}"
        ]

    def parted(self) -> list[tuple[int, str]]:
        """(line, sentence) for each tracklet whose query images differ from its gallery images."""
        cure = "put all its images into one of them, or all into both"
        return [
            (int(self.first[number][0]), f"tracklet {number} has {len(parts['query'])} images in query and "
             f"{len(parts['gallery'])} in gallery, and they are not the same images: {cure}")
            for number, parts in self.tests.items()
            if number not in self.wrong and parts.keys() >= TESTS and parts["query"] != parts["gallery"]
        ]  # fmt: skip


def _of_one_walk(part: str, sample: Sample) -> tuple[int | str, ...]:
    """Values that all images of a tracklet share, named by WHAT."""
    split = "train" if part == "train" else "query or gallery"
    return sample.pid, sample.camid, sample.clothes, sample.modality, split


def _shown(what: str, value: int | str) -> int | str:
    return "unknown" if value == ("" if what == "modality" else UNKNOWN) and what in ("clothes", "modality") else value
