"""Numbers of training images at full scale."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reidbench.components import Amount
from reidbench.data.published import Counts, count
from reidbench.matrix.benchmark import ALL_IMAGES
from reidbench.matrix.stage import DataInput, Stage

from .lists import Lists
from .standins import ROLES

PARTS_OF = {"train": ("train",), "test": ("query", "gallery"), ALL_IMAGES: ("train", "query", "gallery")}


def amounts_of(stage: Stage, lists: Lists, own: Collection[str]) -> dict[str, Amount]:
    """Return the amounts of a stage's data by role, without unknown ones.

    `own` names the user's data sets, which are counted; for others the published counts are used. The amount of a
    preparer's images is returned under every role, since it may name them by any.
    """
    found: dict[str, Amount] = {}
    for role in dict.fromkeys(given.role for given in stage.data):
        known = [_amount(given, lists, own) for given in stage.data if given.role == role]
        if None not in known:
            found[role] = _together(one for one in known if one is not None)
    return {**dict.fromkeys(ROLES, found["split"]), **found} if "split" in found else found


def _amount(given: DataInput, lists: Lists, own: Collection[str]) -> Amount | None:
    """Return the amount of one data set in a role, without held-out images."""
    source = lists.data[given.data]
    if source.held_out and source.origin not in own:
        part = source.held_out.get("images", given.part)
        whole = _amount(replace(given, data=source.origin, part=part), lists, own) if given.part == "train" else None
        return whole and _without(whole, source.held_out)
    known_here = (source.origin or given.data) in own
    parts = PARTS_OF[given.part]
    found = [_counted(given.data, part, lists) if known_here else _published(given.data, part, lists) for part in parts]
    if given.part == ALL_IMAGES:  # a data set may lack parts, or publish one number for all
        found = list({id(one): one for one in found if one}.values())
        parts = parts[: max(1, len(found))]
    known = [Amount(one.images, one.identities, one.cameras) for one in found if one and one.images]
    if len(known) < len(parts):
        return None
    whole = _whole(known)
    return whole if given.identities is None else _share(whole, given.identities)


def _whole(parts: Sequence[Amount]) -> Amount:
    """Return the total of the parts of one data set: train, query and gallery, or some of these.

    The gallery has the persons of the queries, and the train part has others.
    """
    *_, last = parts
    trained = parts[0].identities if len(parts) == 3 else 0
    known = None if None in (trained, last.identities) else (trained or 0) + (last.identities or 0)
    return Amount(sum(part.images for part in parts), known, last.cameras)


def _counted(name: str, part: str, lists: Lists) -> Counts | None:
    split = lists.of(name).parts().get(part)
    found = count(split) if split is not None else None
    return Counts(found.images, found.identities, found.cameras) if found else None


def _published(name: str, part: str, lists: Lists) -> Counts | None:
    known = lists.of(name).published
    return known.parts.get(part, known.parts.get("all")) if known else None


def _share(whole: Amount, identities: int | float) -> Amount | None:
    """Return the images of a share of the identities, assuming that all have the same number of images."""
    if whole.identities is None:
        return None
    wanted = round(identities * whole.identities) if isinstance(identities, float) else identities
    number = min(max(wanted, 2), whole.identities)
    return Amount(round(whole.images * number / whole.identities), number, whole.cameras)


def _without(whole: Amount, held_out: Mapping[str, Any]) -> Amount | None:
    """Return the rest of a data set, assuming that all identities have the same number of images.

    Queries that the data set ships for validation are not counted.
    """
    few = _share(whole, held_out["of"]) if "of" in held_out else whole
    apart = _share(few, held_out["identities"]) if few and "identities" in held_out else Amount(0, 0)
    rest = whole if held_out.get("whole") else few
    if rest is None or apart is None:
        return None
    identities = None if rest.identities is None or apart.identities is None else rest.identities - apart.identities
    return Amount(rest.images - apart.images, identities, rest.cameras)


def _together(amounts: Iterable[Amount]) -> Amount:
    """Return the total of several data sets; a number that is unknown for one is unknown for the total."""
    known = list(amounts)
    identities = [one.identities for one in known if one.identities is not None]
    cameras = [one.cameras for one in known if one.cameras is not None]
    return Amount(
        sum(one.images for one in known),
        sum(identities) if len(identities) == len(known) else None,
        sum(cameras) if len(cameras) == len(known) else None,
    )
