"""The images of a gallery, served by number and never by path."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from reidbench.data import walk_images
from reidbench.data.pictures.images import decode_image, read_encoded
from reidbench.data.walk import first_names
from reidbench.errors import DataError, ReidbenchError
from reidbench.files.names import shown
from reidbench.registry.plugins import printable

SIDE = 512  # pixels of the longer side of a served copy
QUALITY = 90


def names_in(root: Path) -> tuple[list[str], tuple[str, ...]]:
    """Return the images of a folder by their paths in it, and notes on those left out: links that lead outside.

    Raises ReidbenchError if it is not a folder, or has no images.
    """
    if not root.is_dir():
        raise ReidbenchError(f"{shown(root)}: no such folder; --gallery requires a folder of images")
    whole = root.resolve()
    found = list(walk_images(root))
    names = [name for name in found if (root / name).resolve().is_relative_to(whole)]
    outside = sorted(set(found) - set(names))
    note = f"{shown(root)}: {len(outside)} images are links to places outside this folder: {first_names(outside)}"
    if not names:
        raise ReidbenchError(f"{note}; copy the images" if outside else f"{shown(root)}: has no images")
    return names, (f"{note}; they are left out",) if outside else ()


@dataclass(frozen=True)
class Gallery:
    """Images below a folder by number; `names` are their paths in it."""

    root: Path
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def name(self, number: int) -> str:
        """Return the path of an image in the gallery, with control characters escaped."""
        return printable(self.names[number])

    def copy(self, number: int) -> bytes:
        """Return a copy of an image as a JPEG of at most 512 pixels a side, without the file's metadata.

        Raises DataError if the file is gone, unreadable, or has become a link that leads outside the gallery.
        """
        file = self.root / self.names[number]
        try:
            inside = file.resolve(strict=True).is_relative_to(self.root.resolve())
        except OSError:
            inside = False
        if not inside:
            raise DataError(f"image {number} is no longer in the gallery; restart the server")
        image = Image.fromarray(decode_image(read_encoded(file), f"image {number}"))
        image.thumbnail((SIDE, SIDE))
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=QUALITY)
        return stream.getvalue()
