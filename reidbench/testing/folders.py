"""Tiny data on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


def write_market_folder(
    folder: Path,
    *,
    identities: int = 4,
    cameras: int = 2,
    images: int = 2,
    size: tuple[int, int] = (32, 16),
    seed: int = 0,
) -> Path:
    """Write a small Market-1501-style folder: coloured stripes that tell the identity, tinted by the camera.

    `identities` are for training; as many others are for testing. The first image of each test identity and camera
    is a query, the others are the gallery. Returns the folder.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    for part in FOLDERS.values():
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
                Image.fromarray(noisy).save(folder / FOLDERS[part] / name)
    return folder
