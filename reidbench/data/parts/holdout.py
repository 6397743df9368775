"""Validation without test data: a part of a data set's train images becomes query and gallery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from reidbench.data.dataset import Dataset
from reidbench.data.hidden import UNKNOWN_CAMERA
from reidbench.data.morelabels import UNKNOWN
from reidbench.data.split import Split
from reidbench.errors import DataError

from .everything import all_images

LEAST = 2  # identities that training needs, and valid queries that validation needs
CURE = "hold out more identities, or validate on another data set: `validate: {data: NAME}`"


def hold_out(dataset: Dataset, how: Mapping[str, Any]) -> Dataset:
    """Return the data set with the held-out images as query and gallery, and the rest of its train images as `train`.

    `how` has `identities` (a number or a fraction) and the `seed` that draws them, or `queries` for the validation part
    that the data set ships. `of` and `of_seed` select a subset of the identities first; with `whole` the rest comes
    from all identities. With `images` the part is held out of all images of the set, including its test part; otherwise
    nothing of the real test part is used. Raises DataError if fewer than two identities are left to train on or fewer
    than two queries have a match.
    """
    if "images" in how:
        train, _, left = all_images(dataset.parts(), dataset.one_numbering)
        dataset = replace(dataset, train=train).with_notes(*(f"all images: {note}" for note in left))
    few = dataset.train.few_identities(how["of"], how["of_seed"]) if "of" in how else dataset.train
    if "queries" in how:
        return _shipped(dataset, few)
    chosen, generator = _chosen(dataset, few, how["identities"], how["seed"])
    apart = few.subset(np.flatnonzero(np.isin(few.pids, chosen)))
    whole = dataset.train if how.get("whole") else few
    train = whole.subset(np.flatnonzero(~np.isin(whole.pids, chosen)))
    rows = _queries(apart, generator)
    query, gallery = apart.subset(rows), apart.subset(np.setdiff1d(np.arange(len(apart)), rows))
    if len(query) < LEAST:
        raise DataError(
            f"{dataset.name}: {len(query)} of the {len(apart)} held-out images can be queries (an identity that "
            f"another camera also sees), and validation needs {LEAST}: {CURE}"
        )
    counts = f"{len(chosen)} of {few.num_pids} identities, {len(apart)} of {len(few)} images"
    notes = [f"held out for validation: {counts}; {len(query)} are queries and {len(gallery)} gallery"]
    if alone := len(chosen) - query.num_pids:
        notes.append(
            f"{alone} of the {len(chosen)} held-out identities have no query: they have one camera or one image"
        )
    return _derived(dataset, train, query, gallery, notes, one_numbering=True)


def _derived(
    dataset: Dataset, train: Split, query: Split, gallery: Split, notes: list[str], one_numbering: bool
) -> Dataset:
    new = replace(dataset, train=train, query=query, gallery=gallery, validation=None, published=None)
    return replace(new, one_numbering=one_numbering).with_notes(*notes)


def _chosen(
    dataset: Dataset, train: Split, identities: int | float, seed: int
) -> tuple[np.ndarray, np.random.Generator]:
    """Return the held-out pids, and the generator that drew them and draws their queries."""
    pids = np.unique(train.pids[train.pids > 0])
    count = max(LEAST, round(identities * len(pids))) if isinstance(identities, float) else identities
    if len(pids) - count < LEAST:
        raise DataError(
            f"{dataset.name} has {len(pids)} identities to train on, and validation would hold out {count}: "
            f"at least {LEAST} must be left"
        )
    generator = np.random.Generator(np.random.PCG64(seed))
    return np.sort(generator.permutation(pids)[:count]), generator


def _queries(apart: Split, generator: np.random.Generator) -> np.ndarray:
    """Sorted rows of the queries: one image or tracklet per identity and camera, as in Market-1501."""
    found: list[int] = []
    tracklets = np.full(len(apart), UNKNOWN) if apart.tracklets is None else apart.tracklets
    for pid in np.unique(apart.pids):
        rows = np.flatnonzero(apart.pids == pid)
        found += rows[_drawn(apart.camids[rows], tracklets[rows], generator)].tolist()
    return np.array(sorted(found), dtype=np.int64)


def _drawn(camids: np.ndarray, tracklets: np.ndarray, generator: np.random.Generator) -> list[int]:
    """From the images [N] of one identity, draw one query per camera, with all images of its tracklet.

    A camera gives no query if that query would have no match in the gallery from another camera.
    """
    chosen: list[int] = []
    for camid in generator.permutation(np.unique(camids)):
        image = int(generator.choice(np.flatnonzero(camids == camid)))
        walk = np.flatnonzero(tracklets == tracklets[image]).tolist() if tracklets[image] != UNKNOWN else [image]
        more = sorted({*chosen, *walk})
        gallery = np.delete(camids, more)
        if all(_has_match(camids[query], gallery) for query in more):
            chosen = more
    return chosen


def _has_match(camid: int, gallery: np.ndarray) -> bool:
    """Whether the camera rule leaves a query of this camera a gallery image of the same person."""
    return bool((gallery != camid).any() or (camid == UNKNOWN_CAMERA and len(gallery)))


def _shipped(dataset: Dataset, train: Split) -> Dataset:
    """The data set with its validation part as query and its train images as gallery."""
    if dataset.validation is None:
        raise DataError(
            f"{dataset.name} ships no validation part: hold out identities, `validate: {{identities: 0.2}}`"
        )
    part = dataset.validation.subset(np.flatnonzero(np.isin(dataset.validation.pids, train.pids)))
    cameras = {pid: train.camids[train.pids == pid] for pid in np.unique(part.pids).tolist()}
    pairs = zip(part.pids.tolist(), part.camids.tolist(), strict=True)
    query = part.subset([row for row, (pid, camid) in enumerate(pairs) if _has_match(camid, cameras[pid])])
    if len(query) < LEAST:
        raise DataError(
            f"{dataset.name}: {len(query)} of the {len(dataset.validation)} images of its validation part show an "
            f"identity that another camera sees in train, and validation needs {LEAST} such queries"
        )
    notes = [f"validation: {len(query)} images of the validation part are queries, {len(train)} train images gallery"]
    if left := len(dataset.validation) - len(query):
        notes.append(
            f"{left} of {len(dataset.validation)} images of the validation part are left out: train has no image of "
            "the identity from another camera"
        )
    return _derived(dataset, train, query, train, notes, one_numbering=False)
