"""Clothes, modality and tracklets of a user's own images, from the fields of their paths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reidbench.data.morelabels import UNKNOWN, MoreLabels
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.numbers import whole_number

from .cells import read_modality
from .naming import Picture, numbered

CLOTHES, MODALITY, TRACKLET = "clothes", "modality", "tracklet"
COMMON = {  # words in file names for a manifest's visible, infrared and thermal
    "visible": ("vis", "rgb", "color", "colour"),
    "infrared": ("ir", "nir"),
    "thermal": ("tir", "lwir"),
}
WORDS = {name: word for word, names in COMMON.items() for name in names}


class Walk(NamedTuple):
    """Key of a tracklet, by the names in the paths. The tracklet's number alone may repeat."""

    person: str
    camera: str
    clothes: str
    modality: str
    tracklet: str


@dataclass(frozen=True)
class Beyond:
    """Labels beyond identity of images, the names behind their numbers and words, and notes.

    `walks` are the tracklets, numbered from 0.
    """

    labels: MoreLabels
    clothes: Mapping[str, int]
    modality: Mapping[str, str]
    walks: tuple[Walk, ...]
    notes: tuple[str, ...]


def walk_heads(pictures: Sequence[Picture]) -> dict[str, str]:
    """First path of the tracklet of each path; the path itself if the image has no tracklet."""
    heads: dict[Walk, str] = {}
    for picture in pictures:
        walk = _walk(picture)
        heads[walk] = min(picture.path, heads.get(walk, picture.path))
    return {one.path: heads[_walk(one)] if _named(one, TRACKLET) else one.path for one in pictures}


def beyond(pictures: Sequence[Picture]) -> Beyond:
    """Number outfits and tracklets, and find the word of each modality.

    Raises DataError if two outfits have one number, or for a modality that a manifest would not accept.
    """
    outfits = numbered("outfit", {name for one in pictures if (name := _named(one, CLOTHES))}, 0)
    words = {name: _word(name) for name in sorted({_named(one, MODALITY) for one in pictures} - {""})}
    walks = sorted({_walk(one) for one in pictures if _named(one, TRACKLET)})
    numbers = {walk: number for number, walk in enumerate(walks)}
    labels = MoreLabels.of(
        [outfits.get(_named(one, CLOTHES), UNKNOWN) for one in pictures],
        [words.get(_named(one, MODALITY), "") for one in pictures],
        [numbers.get(_walk(one), UNKNOWN) for one in pictures],
    )
    return Beyond(labels, outfits, words, tuple(walks), (*_word_notes(words), *_walk_notes(walks)))


def _named(picture: Picture, what: str) -> str:
    """Value of a field; empty if unknown, and for -1 in a numeric field."""
    value = picture.fields.get(what, "")
    return "" if what != MODALITY and whole_number(value) == UNKNOWN else value


def _walk(picture: Picture) -> Walk:
    return Walk(picture.person, picture.camera, *(_named(picture, what) for what in (CLOTHES, MODALITY, TRACKLET)))


def _word(name: str) -> str:
    """Word of a modality, which file names often shorten or capitalize."""
    small = name.lower()
    wrong: list[str] = []
    word = read_modality(WORDS.get(small, small), wrong)
    if wrong:
        raise DataError(wrong[0])
    return word


def _word_notes(words: Mapping[str, str]) -> list[str]:
    told = ", ".join(f"{shown(name)} is {word}" for name, word in words.items() if name != word)
    return [f"modality: {told}"] * bool(told)


def _walk_notes(walks: Sequence[Walk]) -> list[str]:
    """Note if one tracklet name repeats, as when each person's or camera's tracklets are numbered from 1."""
    same: dict[str, list[Walk]] = defaultdict(list)
    for walk in walks:
        same[walk.tracklet].append(walk)
    several = next((found for found in same.values() if len(found) > 1), [])
    if not several:
        return []
    first = " and ".join(_told(walk) for walk in several[:2])
    return [f"tracklet {shown(several[0].tracklet)} occurs {len(several)} times, for {first}: each identity, camera, "
            "outfit and modality has separate tracklets"]  # fmt: skip


def _told(walk: Walk) -> str:
    """A tracklet without its name: person, camera, and outfit and modality if known."""
    more = [f"in outfit {shown(walk.clothes)}"] * bool(walk.clothes) + [shown(walk.modality)] * bool(walk.modality)
    return ", ".join([f"identity {shown(walk.person)} by camera {shown(walk.camera or 'unknown')}", *more])
