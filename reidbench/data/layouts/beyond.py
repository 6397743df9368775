"""Clothes, modality and tracklets of a user's own pictures, as the fields of their paths name them."""

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
COMMON = {  # how names of files say what a manifest calls visible, infrared and thermal
    "visible": ("vis", "rgb", "color", "colour"),
    "infrared": ("ir", "nir"),
    "thermal": ("tir", "lwir"),
}
WORDS = {name: word for word, names in COMMON.items() for name in names}


class Walk(NamedTuple):
    """What one tracklet has in common, by the names in the paths: the same number may come again elsewhere."""

    person: str
    camera: str
    clothes: str
    modality: str
    tracklet: str


@dataclass(frozen=True)
class Beyond:
    """Labels beyond identity of some pictures, the names behind their numbers and words, and notes.

    `walks` are the tracklets by their numbers from 0.
    """

    labels: MoreLabels
    clothes: Mapping[str, int]
    modality: Mapping[str, str]
    walks: tuple[Walk, ...]
    notes: tuple[str, ...]


def walk_heads(pictures: Sequence[Picture]) -> dict[str, str]:
    """The first path of the tracklet of each path: its own where it belongs to none."""
    heads: dict[Walk, str] = {}
    for picture in pictures:
        walk = _walk(picture)
        heads[walk] = min(picture.path, heads.get(walk, picture.path))
    return {one.path: heads[_walk(one)] if _named(one, TRACKLET) else one.path for one in pictures}


def beyond(pictures: Sequence[Picture]) -> Beyond:
    """Number outfits and tracklets, and find the word of each modality.

    Raises DataError where two outfits are one number, and for a modality that no manifest could have.
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
    """The value of a field, empty where it is unknown: -1 is so too where a manifest has numbers."""
    value = picture.fields.get(what, "")
    return "" if what != MODALITY and whole_number(value) == UNKNOWN else value


def _walk(picture: Picture) -> Walk:
    return Walk(picture.person, picture.camera, *(_named(picture, what) for what in (CLOTHES, MODALITY, TRACKLET)))


def _word(name: str) -> str:
    """The word of a modality, which names of files often shorten or write large."""
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
    """Where one name of a tracklet comes again, as it does where each person's or camera's are numbered from 1."""
    same: dict[str, list[Walk]] = defaultdict(list)
    for walk in walks:
        same[walk.tracklet].append(walk)
    several = next((found for found in same.values() if len(found) > 1), [])
    if not several:
        return []
    first = " and ".join(_told(walk) for walk in several[:2])
    return [f"tracklet {shown(several[0].tracklet)} comes {len(several)} times, as of {first}: each person, camera, "
            "outfit and modality has tracklets of its own"]  # fmt: skip


def _told(walk: Walk) -> str:
    """A tracklet without its name: person, camera, and outfit and modality as far as they are known."""
    more = [f"in outfit {shown(walk.clothes)}"] * bool(walk.clothes) + [shown(walk.modality)] * bool(walk.modality)
    return ", ".join([f"person {shown(walk.person)} by camera {shown(walk.camera or 'unknown')}", *more])
