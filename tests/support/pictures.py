"""Images for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def blurred(root: Path) -> Path:
    """A folder of very noisy images of persons, so that the accuracy of networks differs."""
    drawn = np.random.default_rng(0)
    for file in sorted(root.rglob("*.png")):
        picture = np.asarray(Image.open(file)).astype(int)
        Image.fromarray(np.clip(picture // 4 + drawn.integers(0, 192, picture.shape), 0, 255).astype(np.uint8)).save(
            file
        )
    return root
