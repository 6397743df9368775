"""What stands for a user's folder in `reidbench rehearse`, in the layout in which it is released."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from .params import CamStyleFolderParams

MOST_CAMERAS = 15  # MSMT17's


def camstyle_folder(params: CamStyleFolderParams, folder: Path, names: Sequence[str]) -> Path:
    """A picture for each image in every style that it may be asked for, by the pattern; the same picture throughout."""
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
