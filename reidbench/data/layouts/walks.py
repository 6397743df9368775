"""The tracklets of a manifest: images that one camera took of one person on one walk. Contradictions are named."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from reidbench.data.morelabels import UNKNOWN
from reidbench.data.split import Sample

TESTS = {"query", "gallery"}
WHAT = ("pid", "camid", "clothes", "modality", "split")
WHOLE = (
    "images of one tracklet are of one person in one outfit, by one camera and in one split; give others other numbers"
)


@dataclass
class Walks:
    """The first line of each tracklet, and its images in query and gallery."""

    first: dict[int, tuple[int | str, ...]] = field(default_factory=dict)  # the line, and what it says
    tests: dict[int, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    wrong: set[int] = field(default_factory=set)

    def add(self, line: int, part: str, path: str, sample: Sample) -> list[str]:
        """What is wrong with the tracklet of a line: nothing, or one sentence, the first time for each tracklet."""
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
        """(line, sentence) for each tracklet of which the query has other images than the gallery."""
        cure = "put all its images into one of them, or all into both"
        return [
            (int(self.first[number][0]), f"tracklet {number} has {len(parts['query'])} images in query and "
             f"{len(parts['gallery'])} in gallery, and not the same ones: {cure}")
            for number, parts in self.tests.items()
            if number not in self.wrong and parts.keys() >= TESTS and parts["query"] != parts["gallery"]
        ]  # fmt: skip


def _of_one_walk(part: str, sample: Sample) -> tuple[int | str, ...]:
    """What all images of a tracklet have in common, as WHAT names it."""
    split = "train" if part == "train" else "query or gallery"
    return sample.pid, sample.camid, sample.clothes, sample.modality, split


def _shown(what: str, value: int | str) -> int | str:
    return "unknown" if value == ("" if what == "modality" else UNKNOWN) and what in ("clothes", "modality") else value
