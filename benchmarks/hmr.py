"""Judge body regressors: errors of direction and joints on persons that were not in their training data.

`python -m benchmarks.hmr STORE` prints a Markdown table: for every regressor in a store, the held-out images of its
pool, and the persons of every other rendered data set in the store, from the test part if there is one (`--most N`:
every n-th image, 2000 by default). The table also has the errors of the best constant answer: the mean joints, and the
yaw with the least error. Yaw in degrees, the short way round; joints as their mean distance in body heights, with the
pelvis at 0 (MPJPE).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

from reidbench.data import HiddenSplit
from reidbench.data.pictures.images import HasImages
from reidbench.data.split import BoundTruth
from reidbench.files.cache import cache_folder
from reidbench.registry import plugins
from reidbench.rendering import humanoid
from reidbench.stages.inputs import images_root
from reidbench.store.artifacts import Store
from reidbench_gcl.hmr.bodies import Bodies, errors_of_the_mean, joint_errors, shown_persons, yaw_errors
from reidbench_gcl.hmr.fitting import fit
from reidbench_gcl.hmr.network import WEIGHTS, Regressor, load_regressor
from reidbench_gcl.hmr.training import FACTS


def judge(regressor: Regressor, images: HasImages, truth: Any, indices: Sequence[int]) -> dict[str, float]:
    """Errors on images of persons with known truth, and those of the best constant answer."""
    wanted = Bodies.read(truth, indices)
    found = fit(regressor, images, np.array(indices, dtype=np.int64))
    off = yaw_errors(humanoid.yaw(found.pose[:, 0]), humanoid.yaw(wanted.root))
    mean = errors_of_the_mean(wanted)
    return {
        "persons' images": float(len(indices)),
        "yaw error": float(off.mean()),
        "median": float(off.median()),
        "above 90": float((off > 90).double().mean()),
        "of the best yaw": mean["yaw"],
        "joint error": float(joint_errors(found.joints(), wanted.joints).mean()),
        "of the mean joints": mean["joints"],
    }


def persons(truth: Any, count: int, most: int) -> list[int]:
    """Every n-th image that shows a person, at most `most`."""
    shown = shown_persons(truth, count)
    return shown[:: -(-len(shown) // most)]


# ---------------------------------------------------------------------- contents of a store
def regressors(store: Store) -> Iterator[tuple[str, str, Path]]:
    """Yield label, key of the pool and folder of every regressor trained in a store."""
    for key in sorted(store.keys()):
        stage = store.manifest(key).manifest["stage"]
        folder = store.path(key)
        if (folder / WEIGHTS).is_file() and (folder / FACTS).is_file():
            yield stage["label"], stage["data"][0]["key"], folder


def rendered(store: Store) -> Iterator[tuple[str, str, dict[str, HiddenSplit], Any]]:
    """Yield key, label, images by part (train, test) and truth of every rendered data set."""
    registry = plugins.load()
    for key in sorted(store.keys()):
        artifact = store.manifest(key)
        stage = artifact.manifest["stage"]
        if stage["kind"] != "data" or not artifact.manifest.get("knows_relevance"):
            continue
        component = registry.get("dataset", stage["use"])
        root = Path(stage["root"]) if stage["root"] else None
        dataset = component.load()(component.params(**stage["params"]), root, cache_folder())
        if hasattr(dataset.truth, "body"):
            files = {part: store.read(key).path / f"{part}-hidden.json" for part in ("train", "test")}
            place = images_root(artifact, None)
            parts = {part: HiddenSplit.load(file, place) for part, file in files.items() if file.is_file()}
            yield key, stage["label"], parts, dataset.truth


def rows(store: Store, most: int) -> Iterator[dict[str, Any]]:
    """Yield one line per regressor and part of a data set that it was not trained on."""
    known = list(rendered(store))
    for label, pool, folder in regressors(store):
        regressor = load_regressor(folder / WEIGHTS)
        held_out = set(json.loads((folder / FACTS).read_text())["held_out"])
        for key, name, parts, known_truth in known:
            for part, images in parts.items():
                truth = BoundTruth(known_truth, images)
                if (key, part) == (pool, "train"):
                    indices = [index for index, image in enumerate(images.ids) if image in held_out]
                elif part == "test" or "test" not in parts:
                    indices = persons(truth, len(images), most)
                else:
                    continue
                which = "held out" if (key, part) == (pool, "train") else part
                if indices:
                    yield {"regressor": label, "images": f"{name}, {which}", **judge(regressor, images, truth, indices)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hmr", description="judge a store's body regressors")
    parser.add_argument("store", type=Path)
    parser.add_argument("--most", type=int, default=2000, help="maximum number of images per data set (default: 2000)")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    table = list(rows(Store(given.store), given.most))
    digits = {"persons' images": 0, "yaw error": 1, "median": 1, "of the best yaw": 1, "above 90": 3}
    for row in table:
        for name, value in row.items():
            if isinstance(value, float):
                row[name] = f"{value:.{digits.get(name, 4)}f}"
    print(tabulate(table, headers="keys", tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
