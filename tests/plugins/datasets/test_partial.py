"""Parts of persons, without cameras."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.copies import Open, rows, touch


@pytest.mark.parametrize(
    ("name", "query", "gallery"),
    [
        ("partial-reid", "Partial_REID/partial_body_images", "Partial_REID/whole_body_images"),
        ("partial-ilids", "query", "gallery"),
        ("occluded-reid", "occluded_body_images/001", "whole_body_images/001"),
    ],
)
def test_partial_sets_have_no_cameras(name: str, query: str, gallery: str, read: Open, tmp_path: Path) -> None:
    ending = "tif" if name == "occluded-reid" else "jpg"
    touch(tmp_path, [f"{query}/001_01.{ending}", f"{gallery}/001_01.{ending}", f"{gallery}/Thumbs.db"])
    touch(tmp_path, [f"{query}/notes of mine.{ending}"])
    dataset = read(name, tmp_path)
    assert rows(dataset.query) == rows(dataset.gallery) == [(2, -1)]
    assert len(dataset.train) == 0
    assert len(dataset.strays["query"]) == 1
