"""Small copies of data sets on disk."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path

from PIL import Image

from reidbench import Dataset
from reidbench.testing import write_market_folder

PICTURE = io.BytesIO()
Image.new("RGB", (4, 8), (10, 20, 30)).save(PICTURE, "PNG")
Open = Callable[..., Dataset]


def touch(root: Path, names: Iterable[str]) -> None:
    for name in names:
        file = root / name
        if not file.parent.is_dir():
            file.parent.mkdir(parents=True)
        file.write_bytes(PICTURE.getvalue())


def market1501(folder: Path, images: int = 2) -> Path:
    """A folder of generated images named like Market-1501's."""
    for file in sorted(write_market_folder(folder, images=images).rglob("*.png")):
        Image.open(file).save(file.with_suffix(".jpg"))
        file.unlink()
    return folder


def rows(split: object) -> list[tuple[int, int]]:
    return [(sample.pid, sample.camid) for sample in split.samples]  # type: ignore[attr-defined]
