"""A stand-in for a user's folder of translated images in `reidbench rehearse`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from .params import TranslatedFolderParams


def translated_folder(params: TranslatedFolderParams, folder: Path, names: Sequence[str]) -> Path:
    """Write one file per source image, named by the pattern; all files hold the same image."""
    picture = Image.new("RGB", (64, 128), (96, 128, 160))
    for name in names:
        path = PurePosixPath(name)
        file = folder / params.pattern.format(name=path.name, stem=path.stem, path=name)
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.save(file, "JPEG")
    return folder
