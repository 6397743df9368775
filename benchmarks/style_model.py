"""Judge camera styles: is the camera right, is the person the same, is the image closer to the truth?

`python -m benchmarks.style_model STORE` prints a Markdown table of all style folders in a store, with three
measurements that no style model is trained on:

- a camera classifier, trained on the real training images and tested on the real test images, names the fakes' camera;
- an identity classifier, trained on every other image of each person and camera, names the persons in the fakes of the
  others;
- on the person's pixels, the distance of a fake, and of the original image, from the truth's own render by that camera.

Distances are mean absolute differences of values in -1..1, for cameras other than the image's. The last measurement
requires a rendered data set. Takes about a minute of one core for each folder of 1,200 images at 64x32.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tabulate import tabulate
from torch import nn

from reidbench.data import HiddenSplit, Split
from reidbench.data.hidden import hidden_order
from reidbench.data.split import BoundTruth
from reidbench.files.cache import cache_folder
from reidbench.registry import plugins
from reidbench.stages.inputs import images_root
from reidbench.store.artifacts import Store
from reidbench.training import Augment, Preprocess, image_source, stream
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_hhl.styles import DESCRIPTION, Fakes

BATCH = 64
PASSES = {"camera": 12, "person": 40}  # passes of the two classifiers over their images


@dataclass(frozen=True)
class Judged:
    """A style folder, its source images with their persons, other images of the same cameras, and the truth."""

    folder: Path
    images: HiddenSplit
    pids: np.ndarray
    test: Split
    size: tuple[int, int]
    truth: Any = None


class Classifier:
    """A small network from images to labels 0 to n - 1, trained by Adam on cross-entropy."""

    def __init__(self, pixels: torch.Tensor, labels: np.ndarray, passes: int, seed: int = 0) -> None:
        size = (pixels.shape[1], pixels.shape[2])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone = resnet_tiny(TinyParams(), size)
            head = nn.Linear(backbone.dim, int(labels.max()) + 1)
        self.backbone, self.head, self.preprocess = backbone, head, Preprocess(size, backbone.mean, backbone.std)
        parameters = [*backbone.parameters(), *head.parameters()]
        optimiser = torch.optim.Adam(parameters, lr=3e-3, weight_decay=5e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, passes)
        draws, wanted = stream(seed, "classifier"), torch.from_numpy(labels)
        augment = Augment(pad=max(1, size[0] // 25), erase=0)
        for _ in range(passes):
            for rows in torch.randperm(len(pixels), generator=draws).split(BATCH):
                images = augment(self.preprocess.normalise(pixels[rows]), draws)
                loss = F.cross_entropy(head(backbone(images).vector), wanted[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            schedule.step()
        backbone.eval()

    @torch.no_grad()
    def accuracy(self, pixels: torch.Tensor, labels: np.ndarray) -> float:
        """Share of images uint8 [N, H, W, 3] that get their label [N]."""
        named = [
            self.head(self.backbone(self.preprocess.normalise(part)).vector).argmax(1) for part in pixels.split(BATCH)
        ]
        return float((torch.cat(named) == torch.from_numpy(labels)).double().mean())


def judge(given: Judged) -> dict[str, float]:
    """Measurements of one style folder; those of the person's pixels only with a truth."""
    everything = np.arange(len(given.images))
    pixels = image_source(given.images, given.size)(everything)
    fakes = Fakes(given.folder, given.images, given.size)
    styles = np.array(fakes.set.styles) - 1
    styled = fakes.fetch(everything, stream(0, "variants"))  # [N, C, H, W, 3]
    other = styles[None] != given.images.camids[:, None]  # [N, C]
    found = {"images": float(len(pixels)), "cameras": float(len(styles))}
    found |= _camera(given, pixels, styled, styles)
    found |= _person(given, pixels, styled, other)
    if (~other).any():
        at_home = (_signed(styled) - _signed(pixels)[:, None]).abs().mean((2, 3, 4))
        found["own_distance"] = float(at_home[torch.from_numpy(~other)].mean())
    return found | (_truth(given, pixels, styled, styles) if given.truth is not None else {})


def _camera(given: Judged, pixels: torch.Tensor, styled: torch.Tensor, styles: np.ndarray) -> dict[str, float]:
    """Accuracy of the camera classifier: on real test images, and on fakes for the requested camera."""
    cameras = np.unique(given.images.camids)
    classifier = Classifier(pixels, np.searchsorted(cameras, given.images.camids), PASSES["camera"])
    known = given.test.subset(np.flatnonzero(np.isin(given.test.camids, cameras)))
    real = image_source(known, given.size)(np.arange(len(known)))
    wanted = np.tile(np.searchsorted(cameras, styles), len(pixels))
    return {
        "camera_real": classifier.accuracy(real, np.searchsorted(cameras, known.camids)),
        "camera_fakes": classifier.accuracy(styled.flatten(0, 1), wanted),
        "camera_chance": 1 / len(cameras),
    }


def _person(given: Judged, pixels: torch.Tensor, styled: torch.Tensor, other: np.ndarray) -> dict[str, float]:
    """Accuracy of the identity classifier, trained on every other image of each person and camera."""
    persons, labels = np.unique(given.pids, return_inverse=True)
    order = np.lexsort((np.arange(len(labels)), given.images.camids, labels))
    taught = np.zeros(len(labels), dtype=bool)
    taught[order[::2]] = True
    classifier = Classifier(pixels[torch.from_numpy(taught)], labels[taught], PASSES["person"], seed=1)
    rows, columns = np.nonzero(other & ~taught[:, None])
    return {
        "person_real": classifier.accuracy(pixels[torch.from_numpy(~taught)], labels[~taught]),
        "person_fakes": classifier.accuracy(styled[rows, columns], labels[rows]),
        "person_chance": 1 / len(persons),
    }


def _truth(given: Judged, pixels: torch.Tensor, styled: torch.Tensor, styles: np.ndarray) -> dict[str, float]:
    """Distance to the true render on the person's pixels: of the fakes, and of the unmodified images."""
    fakes, copies = [], []
    for index in range(len(pixels)):
        mask = torch.from_numpy(given.truth.mask(index))
        if not mask.any():
            continue
        for place, camera in enumerate(styles.tolist()):
            if camera == given.images.camids[index]:
                continue
            wanted = _signed(torch.from_numpy(given.truth.restyle(index, camera, 1)))[mask]
            fakes.append(float((_signed(styled[index, place])[mask] - wanted).abs().mean()))
            copies.append(float((_signed(pixels[index])[mask] - wanted).abs().mean()))
    nearer = float(np.mean(np.array(fakes) < np.array(copies)))
    return {"truth_fakes": float(np.mean(fakes)), "truth_copies": float(np.mean(copies)), "truth_nearer": nearer}


def _signed(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.float() / 127.5 - 1


# ---------------------------------------------------------------------- contents of a store
def style_folders(store: Store) -> Iterator[tuple[str, Judged]]:
    """Yield every folder of styles of training images in a store, with the label of its stage."""
    registry = plugins.load()
    for key in sorted(store.keys()):
        stage = store.manifest(key).manifest["stage"]
        given = next((data for data in stage["data"] if data["role"] == "split" and data["part"] == "train"), None)
        if given is None or not (store.path(key) / DESCRIPTION).is_file():
            continue
        artifact = store.read(given["key"])
        root = images_root(artifact, None)
        train, query, gallery = (
            Split.load(artifact.path / f"{part}.json", root) for part in ("train", "query", "gallery")
        )
        images = train.hide()
        source = artifact.manifest["stage"]
        component = registry.get("dataset", source["use"])
        dataset = component.load()(
            component.params(**source["params"]), source["root"] and Path(source["root"]), cache_folder()
        )
        truth = BoundTruth(dataset.truth, images) if dataset.truth is not None else None
        size = tuple(store.manifest(key).manifest["settings"]["image_size"])
        test = Split(root, [*query.samples, *gallery.samples])
        yield _name(stage), Judged(store.path(key), images, train.pids[hidden_order(len(train))], test, size, truth)


def _name(stage: dict[str, Any]) -> str:
    params = stage["params"]
    told = [f"{name} {params[name]}" for name in ("steps", "identity_weight", "jitter", "draws") if name in params]
    return ", ".join([stage["label"], *told])


def main(arguments: list[str]) -> None:
    """Print the table; percentages except for distances."""
    torch.set_num_threads(1)
    rows = [{"styles": name, **judge(given)} for name, given in style_folders(Store(Path(arguments[0])))]
    percent = ("camera_", "person_", "truth_nearer")
    for row in rows:
        for name, value in row.items():
            if isinstance(value, float):
                row[name] = f"{100 * value:.1f}" if name.startswith(percent) else f"{value:.3g}"
    print(tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main(sys.argv[1:])
