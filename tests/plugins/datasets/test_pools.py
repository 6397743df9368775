"""A folder of any pictures as a pool."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.errors import DataError
from tests.support.copies import Open, rows, touch


def test_a_pool_of_any_pictures(read: Open, tmp_path: Path) -> None:
    touch(tmp_path, ["p/b/x.JPG", "p/a.png", "p/.hidden/y.jpg", "p/readme.txt"])
    dataset = read("image-folder", tmp_path / "p")
    assert dataset.train.paths == ("a.png", "b/x.JPG")
    assert rows(dataset.train) == [(0, -1), (0, -1)]
    readme, hidden = dataset.notes
    assert readme == "pool: 1 files left out, their extension is not an image's: readme.txt"
    assert hidden.startswith("pool: 1 files left out, hidden images")
    with pytest.raises(DataError, match="no such folder"):
        read("image-folder", tmp_path / "nowhere")
    touch(tmp_path, ["q/a.heic"])
    with pytest.raises(
        DataError, match=r"contains no images; pool: 1 files left out, images of an unsupported format .*: a\.heic"
    ):
        read("image-folder", tmp_path / "q")
