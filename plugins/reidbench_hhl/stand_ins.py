"""A stand-in for a user's style folder in `reidbench rehearse`, in the layout of released folders."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from .params import CamStyleFolderParams

MOST_CAMERAS = 15  # of MSMT17


def camstyle_folder(params: CamStyleFolderParams, folder: Path, names: Sequence[str]) -> Path:
    """Write one file per image and style, named by the pattern; all files hold the same image."""
    picture = io.BytesIO()
    Image.new("RGB", (64, 128), (96, 128, 160)).save(picture, "JPEG")
    cameras = range(1, (params.cameras or MOST_CAMERAS) + 1)
    owns = range(1, MOST_CAMERAS + 1) if "{own}" in params.pattern else (0,)
    for name in names:
        path = PurePosixPath(name)
        words = {"name": path.name, "stem": path.stem, "path": name}
        for own in owns:
            for k in cameras:
                file = folder / params.pattern.format(**words, k=k, own=own)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(picture.getvalue())
    return folder
