"""The tracklets of a manifest: images that one camera took of one person on one walk. Contradictions are named."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from reidbench.data.morelabels import UNKNOWN
from reidbench.data.split import Sample

TESTS = {"query", "gallery"}
WHOLE = "images of one tracklet are of one person in one outfit, by one camera and in one split"


@dataclass
class Walks:
    """The first line of each tracklet, and its images in each split."""

    first: dict[int, tuple[int, str, Sample]] = field(default_factory=dict)
    paths: dict[int, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    wrong: set[int] = field(default_factory=set)

    def add(self, line: int, part: str, path: str, sample: Sample) -> list[str]:
        """What is wrong with the tracklet of a line: nothing, or one sentence, the first time for each tracklet."""
        number = sample.tracklet
        if number == UNKNOWN or number in self.wrong:
            return []
        self.paths[number][part].add(path)
        at, other_part, other = self.first.setdefault(number, (line, part, sample))
        here, there = _of_one_walk(part, sample), _of_one_walk(other_part, other)
        differing = next((what for what in here if here[what] != there[what]), None)
        if differing is None:
            return []
        self.wrong.add(number)
        told = f"{differing} {here[differing]} here and {there[differing]} in line {at}"
        return [f"tracklet {number} has {told}: {WHOLE}"]

    def parted(self) -> list[tuple[int, str]]:
        """(line, sentence) for each tracklet of which the query has other images than the gallery."""
        cure = "put all its images into one of them, or all into both"
        return [
            (self.first[number][0], f"tracklet {number} has {len(parts['query'])} images in query and "
             f"{len(parts['gallery'])} in gallery, and not the same ones: {cure}")
            for number, parts in self.paths.items()
            if number not in self.wrong and parts.keys() >= TESTS and parts["query"] != parts["gallery"]
        ]  # fmt: skip


def _of_one_walk(part: str, sample: Sample) -> dict[str, int | str]:
    """What all images of a tracklet have in common, as sentences have it."""
    return {
        "pid": sample.pid,
        "camid": sample.camid,
        "clothes": "unknown" if sample.clothes == UNKNOWN else sample.clothes,
        "modality": sample.modality or "unknown",
        "split": "train" if part == "train" else "query or gallery",
    }
