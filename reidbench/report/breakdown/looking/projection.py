"""Features projected to a plane by principal components or by UMAP, with places for a drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from reidbench.report.formats.extras import require

Method = Literal["pca", "umap"]
MOST_POINTS = 1500  # of a drawing
WIDTH, HEIGHT, EDGE = 560, 420, 14  # of a drawing, in its own units
GOLDEN = 137.508  # degrees between the hues of successive identities, so that neighbours differ


@dataclass(frozen=True)
class Point:
    """One image in the drawing: its place, hues by camera and by identity (None: grey), and its description."""

    x: float
    y: float
    camera: int
    identity: int | None
    query: bool
    words: str


@dataclass(frozen=True)
class Projection:
    """A drawing: `title`, `cameras` with their hues, and a sentence about the images."""

    points: tuple[Point, ...]
    title: str
    cameras: tuple[tuple[str, int], ...]
    sentence: str


def principal(features: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Project features [N, D] to their first two principal components: places [N, 2] and shares of the variance.

    Pearson, 1901. Components are right singular vectors of the centred features, each with its sign chosen so that its
    largest coefficient in magnitude (the first of equal ones) is positive. A missing component is 0.
    """
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2][np.arange(len(axes[:2])), np.abs(axes[:2]).argmax(1)])[:, None]
    places = np.zeros((len(features), 2))
    places[:, : len(axes)] = centred @ axes.T
    total = float((lengths**2).sum())
    shares = [float(length**2) / total if total else 0.0 for length in [*lengths[:2], 0.0, 0.0][:2]]
    return places, (shares[0], shares[1])


def neighbourhoods(features: np.ndarray) -> np.ndarray:
    """Project features [N, D] to places [N, 2] by UMAP: umap-learn's defaults with seed 0 and one thread.

    McInnes, Healy and Melville, 2018. Near points are near in the features; distances between groups mean little.
    Raises ReidbenchError if the extra `umap` is missing.
    """
    require("--projection umap", "umap", extra="umap")
    import umap

    if len(features) < 4:  # too few for a graph of neighbours
        return principal(features)[0]
    neighbours = min(15, len(features) - 1)
    start = "spectral" if len(features) > 15 else "random"
    found = umap.UMAP(n_neighbors=neighbours, init=start, random_state=0, n_jobs=1).fit_transform(features)
    return np.asarray(found, dtype=np.float64)


def projection(
    columns: Mapping[str, Any], distance: str, wanted: Sequence[int], method: Method = "pca"
) -> Projection | None:
    """Return the drawing of query and gallery features; None without any.

    At most MOST_POINTS images: all images of as many identities, at equal intervals of their pids, as fit, including
    `wanted` ones. Junk is left out. Features have unit length if they are compared by cosine.
    """
    pids = np.concatenate([columns["query_pids"], columns["gallery_pids"]])
    camids = np.concatenate([columns["query_camids"], columns["gallery_camids"]])
    chosen, sentence = _images(pids, wanted)
    if not len(chosen):
        return None
    features = np.concatenate([columns["query_features"], columns["gallery_features"]])[chosen].astype(np.float64)
    if distance == "cosine":
        features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    places, title = _projected(features, method)
    known = np.unique(camids[chosen])
    hues = {int(camera): round(360 * number / len(known)) for number, camera in enumerate(known)}
    numbers = {int(pid): number for number, pid in enumerate(np.unique(pids[pids > 0]))}
    queries = len(columns["query_pids"])
    points = []
    for index, (x, y) in zip(chosen.tolist(), _placed(places).tolist(), strict=True):
        pid, camid = int(pids[index]), int(camids[index])
        hue = round(numbers[pid] * GOLDEN % 360) if pid > 0 else None
        words = f"{_person(pid)}, {_camera(camid)}, {'query' if index < queries else 'gallery'}"
        points.append(Point(x, y, hues[camid], hue, index < queries, words))
    cameras = tuple((_camera(camera), hue) for camera, hue in hues.items())
    return Projection(tuple(points), title, cameras, sentence)


def _projected(features: np.ndarray, method: Method) -> tuple[np.ndarray, str]:
    if method == "umap":
        return neighbourhoods(features), "Features on a plane by UMAP (McInnes et al., 2018)."
    places, (first, second) = principal(features)
    shares = f"{100 * first:.1f} % and {100 * second:.1f} % of the variance"
    return places, f"Features on their first two principal components ({shares})."


def _images(pids: np.ndarray, wanted: Sequence[int]) -> tuple[np.ndarray, str]:
    """Return the indices of the images to draw, and a sentence about them."""
    there = np.flatnonzero(pids >= 0)
    if len(there) <= MOST_POINTS:
        return there, f"All {len(there)} images of query and gallery, without junk."
    known, counts = np.unique(pids[pids > 0], return_counts=True)
    must = np.isin(known, list(wanted))
    for step in range(2, len(known) + 1):
        picked = must.copy()
        picked[::step] = True
        if counts[picked].sum() <= MOST_POINTS:
            break
    chosen = np.flatnonzero(np.isin(pids, known[picked]))[:MOST_POINTS]
    identities = len(np.unique(pids[chosen]))
    return chosen, f"{len(chosen)} images: those of {identities} of {len(known)} identities, chosen at equal intervals."


def _placed(places: np.ndarray) -> np.ndarray:
    """Scale places [N, 2] to the drawing, equally in both directions, with the second axis upwards."""
    low, high = places.min(0), places.max(0)
    room = np.array([WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE])
    scale = float(min(room / np.maximum(high - low, 1e-12)))
    found = (places - (low + high) / 2) * [scale, -scale] + [WIDTH / 2, HEIGHT / 2]
    return np.asarray(np.round(found, 1) + 0.0)


def _person(pid: int) -> str:
    return f"identity {pid}" if pid > 0 else "distractor"


def _camera(camid: int) -> str:
    return f"camera {camid}" if camid >= 0 else "unknown camera"
