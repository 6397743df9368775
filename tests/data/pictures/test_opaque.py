"""Names of copies come from bytes and seed alone: no label, no place and no ending of a file can be read in them."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from reidbench.data import Sample, Split
from reidbench.data.pictures.opaque import TIME, copy_pictures, opaque_names


def picture(level: int, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 8), (level, 20, 30)).save(stream, form)
    return stream.getvalue()


def split(root: Path, files: dict[str, bytes]) -> Split:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return Split(root, [Sample(name, pid, 0) for pid, name in enumerate(files)])


def test_equal_bytes_have_equal_names_wherever_they_lie_and_equal_pictures_of_a_set_different_ones(
    tmp_path: Path,
) -> None:
    one = split(tmp_path / "one", {"0007_c1.0007": picture(1), "0008_c2.png": picture(2), "0009.png": picture(1)})
    other = split(tmp_path / "other", {"x/0042_c3s1.png": picture(2), "y.jpg": picture(1)})
    names, others = opaque_names(one, 0), opaque_names(other, 0)
    assert (names[1], names[0]) == tuple(others)
    assert names[2] == names[0].replace(".png", "-b.png")
    assert all(re.fullmatch(r"[a-p]{16}(-b)?\.png", name) for name in names)
    assert not set(names) & set(opaque_names(one, 1))


@pytest.mark.parametrize(
    ("form", "ending"),
    [("JPEG", ".jpg"), ("PNG", ".png"), ("BMP", ".bmp"), ("GIF", ".gif"), ("TIFF", ".tif"), ("WEBP", ".webp")],
)
def test_the_ending_is_that_of_the_format(form: str, ending: str, tmp_path: Path) -> None:
    (name,) = opaque_names(split(tmp_path, {"a.0012": picture(1, form)}), 0)
    assert Path(name).suffix == ending


def test_copies_have_the_bytes_and_one_time(tmp_path: Path) -> None:
    own = split(tmp_path / "data", {f"{level}.png": picture(level) for level in range(30)})
    names = opaque_names(own, 0)
    copy_pictures(own, names, tmp_path / "copies")
    for level, name in enumerate(names):
        copy = tmp_path / "copies" / name
        assert copy.read_bytes() == picture(level)
        assert (copy.stat().st_mtime, copy.stat().st_nlink, copy.is_symlink()) == (TIME, 1, False)
    assert (tmp_path / "copies").stat().st_mtime == TIME


def test_many_equal_pictures_have_as_many_names(tmp_path: Path) -> None:
    names = opaque_names(split(tmp_path, {f"{number}.png": picture(1) for number in range(60)}), 0)
    assert len(set(names)) == 60
    ends = [name.partition("-")[2] for name in names]
    assert [ends[number] for number in (0, 1, 25, 26, 59)] == ["", "b.png", "z.png", "ba.png", "ch.png"]
