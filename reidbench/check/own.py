"""Built-in components of a check, which needs no other data: folders of tiny images, and untrained networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from reidbench.components import Component, Params
from reidbench.contexts import FinetuneContext, PretrainContext
from reidbench.data import Dataset, FileNameRule, Split, read_market_folder
from reidbench.data.layouts.folders import MARKET_FOLDERS, MARKET_LIKE
from reidbench.data.morelabels import MORE_LABELS, MoreLabels

FOLDER = "check-folder"
UNTRAINED = "check-untrained"
WEIGHTS = "check-weights"
NO_CAMERA = FileNameRule(r"(?P<pid>-1|[0-9]+)(_\w+)?")


def write_market_folder(
    folder: Path,
    *,
    identities: int = 4,
    cameras: int = 2,
    images: int = 2,
    size: tuple[int, int] = (32, 16),
    seed: int = 0,
) -> Path:
    """Write a small folder in the Market-1501 layout: coloured stripes per identity, tinted per camera.

    There are `identities` training and as many test identities. The first image of each test identity and camera is a
    query, the others are the gallery. Returns the folder.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    for part in MARKET_FOLDERS.values():
        (folder / part).mkdir(parents=True, exist_ok=True)
    for pid in range(1, 2 * identities + 1):
        stripes = random.integers(30, 226, (4, 3))
        for camera in range(1, cameras + 1):
            tint = random.integers(-20, 21, 3)
            for number in range(images):
                part = "train" if pid <= identities else "query" if number == 0 else "gallery"
                picture = np.repeat(stripes + tint, size[0] // 4, axis=0)[:, None].repeat(size[1], axis=1)
                noisy = np.clip(picture + random.integers(-12, 13, picture.shape), 0, 255).astype(np.uint8)
                name = f"{pid:04d}_c{camera}s1_{number:06d}_00.png"
                Image.fromarray(noisy).save(folder / MARKET_FOLDERS[part] / name)
    return folder


class FolderParams(Params):
    """Parameters of the image folders."""

    cameras: bool = Field(True, description="read cameras from the names")
    without: tuple[str, ...] = Field((), description="labels beyond identity to leave out")

    def labels(self) -> frozenset[str]:
        """Return the available labels beyond identity."""
        return frozenset(MORE_LABELS) - frozenset(self.without)

    def lacking(self, root: Path | None) -> frozenset[str]:
        """Return "cameras" if they are left out."""
        return frozenset() if self.cameras else frozenset({"cameras"})


def open_folder(params: FolderParams, root: Path, cache: Path) -> Dataset:
    """Read a folder written by `write_market_folder`; labels beyond identity are derived from the names."""
    found = read_market_folder(root, rule=MARKET_LIKE if params.cameras else NO_CAMERA)
    parts: dict[str, Any] = {part: _labelled(split, params.labels()) for part, split in found.parts().items()}
    return replace(found, **parts)


def _labelled(split: Split, words: frozenset[str]) -> Split:
    """Add labels: each person has both modalities, two outfits, and one tracklet per camera."""
    names = [Path(path).name for path in split.paths]
    cameras = np.array([int(name[6]) for name in names])
    more = MoreLabels.of(
        clothes=[int(name[10:16]) % 2 for name in names],
        modality=["infrared" if camera % 2 == 0 else "visible" for camera in cameras],
        tracklets=10 * split.pids + cameras,
        attributes={"bag": ["yes" if pid % 2 else "no" for pid in split.pids]},
    )
    columns = split.pids, split.camids, split.domains, split.times
    return Split.of_columns(split.root, split.paths, *columns, more=more.only(words))


def untrained(ctx: FinetuneContext[Params]) -> Any:
    """Return an embedder of the untrained backbone, for adapters to start from and evaluators to rank."""
    from reidbench.training import BackboneEmbedder, Preprocess

    backbone = ctx.backbone()
    return BackboneEmbedder(backbone, Preprocess(ctx.image_size, backbone.mean, backbone.std))


def fresh_weights(ctx: PretrainContext[Params]) -> Any:
    """Return a fresh backbone, so that methods start from fixed weights."""
    return ctx.backbone()


COMPONENTS = {
    ("dataset", FOLDER): Component(
        FOLDER,
        f"{__name__}:open_folder",
        FolderParams,
        capabilities=FolderParams.labels,
        lacks=FolderParams.lacking,
    ),
    ("finetuner", UNTRAINED): Component(UNTRAINED, f"{__name__}:untrained", traits=frozenset({"label-free"})),
    ("pretrainer", WEIGHTS): Component(WEIGHTS, f"{__name__}:fresh_weights", traits=frozenset({"pool-free"})),
}
