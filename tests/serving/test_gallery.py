"""Images of a gallery: inside its folder only, and copies without what a file has besides pixels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidbench.errors import DataError, ReidbenchError
from reidbench.serving.gallery import Gallery, names_in
from tests.support.services import encoded, noise


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "gallery" / "inner").mkdir(parents=True)
    for name in ("gallery/a.png", "gallery/inner/b.png", "secret.png"):
        (tmp_path / name).write_bytes(encoded(noise(len(name))))
    return tmp_path / "gallery"


def test_links_that_lead_outside_are_left_out(root: Path) -> None:
    assert names_in(root) == (["a.png", "inner/b.png"], ())
    (root / "c.png").symlink_to(root / "inner" / "b.png")  # inside
    (root / "d.png").symlink_to(root.parent / "secret.png")
    (root / "up").symlink_to(root.parent)
    names, notes = names_in(root)
    assert names == ["a.png", "c.png", "inner/b.png"]
    (note,) = notes
    assert f"{root}: 2 images are links to places outside this folder: d.png, up/secret.png; they are left out" == note
    (root.parent / "alias").symlink_to(root)  # a gallery may itself be a link
    assert names_in(root.parent / "alias")[0] == names


def test_a_folder_without_images_is_one_sentence(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ReidbenchError, match=r"none: no such folder; --gallery requires a folder of images$"):
        names_in(tmp_path / "none")
    with pytest.raises(ReidbenchError, match="no such folder"):
        names_in(root / "a.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReidbenchError, match=r"empty: has no images$"):
        names_in(tmp_path / "empty")
    (tmp_path / "empty" / "x.png").symlink_to(root / "a.png")
    with pytest.raises(ReidbenchError, match=r"1 images are links to places outside this folder: x\.png; copy the"):
        names_in(tmp_path / "empty")


def test_a_copy_has_the_pixels_and_nothing_else(root: Path) -> None:
    large = Image.fromarray(np.full((1200, 600, 3), 90, np.uint8))
    exif = Image.Exif()
    exif[0x010E] = "where the owner lives"
    large.save(root / "a.jpg", exif=exif, comment=b"secret")
    assert b"where the owner lives" in (root / "a.jpg").read_bytes()
    gallery = Gallery(root, ["a.jpg"])
    copy = gallery.copy(0)
    assert b"owner" not in copy
    assert b"secret" not in copy
    with Image.open(io.BytesIO(copy)) as image:
        assert (image.format, image.size) == ("JPEG", (256, 512))
        assert np.abs(np.asarray(image).astype(int) - 90).max() <= 2


def test_a_file_that_became_a_link_or_is_gone_is_not_read(root: Path) -> None:
    gallery = Gallery(root, names_in(root)[0])
    (root / "a.png").unlink()
    with pytest.raises(DataError, match="image 0 is no longer in the gallery"):
        gallery.copy(0)
    (root / "a.png").symlink_to(root.parent / "secret.png")
    with pytest.raises(DataError, match="image 0 is no longer in the gallery"):
        gallery.copy(0)
    (root / "inner" / "b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="image 1: cannot be decoded: its 10 bytes are not in a supported format"):
        gallery.copy(1)


def test_names_are_printable() -> None:
    assert Gallery(Path(), ["a\x1b[2J\udcff.png"]).name(0) == "a\\x1b[2J\\udcff.png"
