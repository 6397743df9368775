"""Judge generated views: are they closer to the person's true view from that angle than the photograph?

`python -m benchmarks.generated_views STORE` prints a Markdown table, one line for each gcl in a store whose target has
its truth. For the first IMAGES training images and every angle of the structure, the saved generator and the final
identity encoder generate a view in evaluation mode. Three pairs are compared: the view with the truth, which is the
renderer's own picture of that person, pose and camera, rotated by that angle; the photograph with the truth, which a
useful view must beat; and the view with the photograph that it was generated from.

L1 is the mean absolute difference of values in 0..1 (lower is closer), SSIM that of Wang et al. (2004) on grey values
with a uniform window of 7 pixels (higher is closer), over the whole image and over the person's pixels in the true
view. `nearer` is the share of views that are closer to the truth than the photograph. `recon` is the L1 of
reconstructions of the log's probe in the embedder's normalised values, at the end and before training.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from tabulate import tabulate

from reidbench.data import HiddenSplit, resize
from reidbench.data.split import BoundTruth
from reidbench.files.cache import cache_folder
from reidbench.registry import plugins
from reidbench.stages.inputs import images_root
from reidbench.stages.networks import saved_embedder
from reidbench.store.artifacts import Store
from reidbench.training import image_source
from reidbench_gcl.contrast.identity import IdentityEncoder
from reidbench_gcl.generator.pictures import DESCRIPTION, Described, load_generator, to_pixels
from reidbench_gcl.generator.synthesis import Generator
from reidbench_gcl.structure.structure_maps import StructureMaps, to_tensor

IMAGES = 200
WINDOW = 7
LUMA = np.array([0.299, 0.587, 0.114])
STABLE = (0.01**2, 0.03**2)  # K1 and K2 of the paper, for values in 0..1


@dataclass(frozen=True)
class Judged:
    """A generator with its encoder, its training images, their structure, and their truth."""

    name: str
    seed: int
    identity: IdentityEncoder
    generator: Generator
    described: Described
    images: HiddenSplit
    structure_maps: StructureMaps
    truth: Any


def ssim_map(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Structural similarity [H, W] of two grey images [H, W] in 0..1, around each pixel."""
    means = uniform_filter(one, WINDOW), uniform_filter(other, WINDOW)
    variances = [uniform_filter(x * x, WINDOW) - mean * mean for x, mean in zip((one, other), means, strict=True)]
    covariance = uniform_filter(one * other, WINDOW) - means[0] * means[1]
    light = (2 * means[0] * means[1] + STABLE[0]) / (means[0] ** 2 + means[1] ** 2 + STABLE[0])
    found: np.ndarray = light * (2 * covariance + STABLE[1]) / (variances[0] + variances[1] + STABLE[1])
    return found


def compare(one: np.ndarray, other: np.ndarray, person: np.ndarray) -> dict[str, float]:
    """L1 and SSIM of two images uint8 [H, W, 3], over the whole and over the mask `person` [H, W]."""
    first, second = one / 255, other / 255
    apart = np.abs(first - second).mean(2)
    similar = ssim_map(first @ LUMA, second @ LUMA)
    return {
        "L1": float(apart.mean()),
        "SSIM": float(similar.mean()),
        "L1 person": float(apart[person].mean()),
        "SSIM person": float(similar[person].mean()),
    }


def made_views(given: Judged, indices: np.ndarray) -> np.ndarray:
    """Generated views uint8 [n, A, H, W, 3] of images [n] at every angle of their structure."""
    preprocess = given.identity.embedder.preprocess
    pixels = image_source(given.images, given.described.image_size)(indices)
    with torch.no_grad():
        feat, _ = given.identity.eval()(preprocess.normalise(pixels))
        columns = [given.structure_maps.maps[indices, 1 + place] for place in range(len(given.structure_maps.angles))]
        views = [to_pixels(given.generator(to_tensor(column), feat), preprocess) for column in columns]
    return np.stack(views, axis=1)


def person_of(structure: np.ndarray) -> np.ndarray:
    """Body mask [H, W] of a structure map uint8 [H, W] with a white background."""
    found: np.ndarray = structure < 250
    return found


def judge(given: Judged, most: int = IMAGES) -> dict[str, float]:
    """Measurements of one generator, averaged over images and angles."""
    missing = set(given.structure_maps.missing)
    indices = np.array([index for index in range(len(given.images)) if index not in missing][:most])
    photographs = image_source(given.images, given.described.image_size)(indices).numpy()
    views = made_views(given, indices)
    sums: dict[str, float] = {}
    count = 0
    for place, index in enumerate(indices.tolist()):
        for number, angle in enumerate(given.structure_maps.angles):
            true, person = true_view(given, index, angle)
            if not person.any():
                continue
            view, photograph = views[place, number], photographs[place]
            pairs = {"view-truth": (view, true), "photo-truth": (photograph, true), "view-photo": (view, photograph)}
            found = {name: compare(*pair, person) for name, pair in pairs.items()}
            line = {f"{measure} {name}": x for name, part in found.items() for measure, x in part.items()}
            for measure in ("L1", "L1 person"):
                line[f"nearer, {measure}"] = float(found["view-truth"][measure] < found["photo-truth"][measure])
            for name, value in line.items():
                sums[name] = sums.get(name, 0.0) + value
            count += 1
    return {"images": float(len(indices)), **{name: total / count for name, total in sums.items()}, **recon(given)}


def true_view(given: Judged, index: int, angle: int) -> tuple[np.ndarray, np.ndarray]:
    """The renderer's picture uint8 [H, W, 3] of an image's person rotated by `angle`, and the person's mask."""
    size, yaw = given.described.image_size, math.radians(angle)
    true = resize(np.asarray(given.truth.view(index, yaw)), size)
    structure = np.repeat(np.asarray(given.truth.structure(index, yaw))[:, :, None], 3, axis=2)
    return true, person_of(resize(structure, size)[:, :, 0])


def recon(given: Judged) -> dict[str, float]:
    """L1 of reconstructions at the end and at the start, in normalised values, and their ratio."""
    now, then = (facts["l1_reconstruction"] for facts in (given.described.at_end, given.described.at_start))
    return {"recon": now, "recon at start": then, "recon / start": now / then}


# ---------------------------------------------------------------------- contents of a store
def generators(store: Store) -> Iterator[Judged]:
    """Yield every generator in a store whose images have their truth."""
    registry = plugins.load()
    for key in sorted(store.keys()):
        manifest = store.manifest(key).manifest
        stage, folder = manifest["stage"], store.path(key)
        if not (folder / DESCRIPTION).is_file():
            continue
        (given,) = [data for data in stage["data"] if data["role"] == "target"]
        data = store.read(given["key"])
        root = images_root(data, None)
        images = HiddenSplit.load(data.path / f"{given['part']}-hidden.json", root)
        source = data.manifest["stage"]
        component = registry.get("dataset", source["use"])
        place = source["root"] and Path(source["root"])
        truth = component.load()(component.params(**source["params"]), place, cache_folder()).truth
        if truth is None:
            continue
        (structure,) = [parent for role, parent in stage["parents"] if role == "prepared.structure"]
        embedder = saved_embedder(registry, folder)
        generator, described = load_generator(folder)
        structure_maps = StructureMaps.load(store.path(structure), len(images))
        bound = BoundTruth(truth, images)
        yield Judged(
            _name(stage), stage["seed"], IdentityEncoder(embedder), generator, described, images, structure_maps, bound
        )


def _name(stage: dict[str, Any]) -> str:
    params = stage["params"]
    return f"{params['structure']['use']}, {params['views']}, feat_pair {params['feat_pair']}"


def main(arguments: list[str]) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    rows = []
    for given in generators(Store(Path(arguments[0]))):
        found = {name: f"{value:.3g}" for name, value in judge(given).items()}
        rows.append({"gcl": given.name, "seed": given.seed, **found})
    print(tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main(sys.argv[1:])
