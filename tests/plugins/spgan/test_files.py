"""Folders of translated images: joined to the source by the bytes of its images, with its labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from reidbench import PrepareContext
from reidbench.data import Split
from reidbench.data.pictures.images import read_image
from reidbench.errors import DataError
from reidbench.rendering.sheets import MARGIN
from reidbench_spgan.files import translated_split, write_translations
from reidbench_spgan.params import TranslationParams
from tests.support.contexts import make_context

Pair = tuple[Split, Split]


def inverted(split: Split, target: Split | None, out: Path) -> Path:
    """Write the negative of every image, as an exact PNG."""
    hidden = split.hide()
    ctx, _ = make_context(
        PrepareContext, out, TranslationParams(sheet=2), image_size=(16, 16), split=hidden,
        target=target.hide() if target is not None else None,
    )  # fmt: skip
    write_translations(
        ctx, lambda rows: np.array([255 - hidden.image(row) for row in rows.tolist()]), (16, 16), quality=None
    )
    return out


def test_translations_keep_the_labels_and_the_order_of_the_source(pair: Pair, tmp_path: Path) -> None:
    source, target = pair
    found = translated_split(inverted(source, target, tmp_path), source)
    assert found.pids.tolist() == source.pids.tolist()
    assert found.camids.tolist() == source.camids.tolist()
    for index in range(len(source)):
        assert np.array_equal(found.image(index), 255 - source.image(index))


def test_a_part_of_the_source_and_several_sources_find_theirs(pair: Pair, tmp_path: Path) -> None:
    source, target = pair
    part = source.subset([9, 3, 12])
    found = translated_split(inverted(source, target, tmp_path / "whole"), part)
    assert all(np.array_equal(found.image(row), 255 - part.image(row)) for row in range(3))
    merged = Split.merge([target, source])
    found = translated_split(inverted(merged, None, tmp_path / "merged"), merged)
    assert all(np.array_equal(found.image(row), 255 - merged.image(row)) for row in (0, 23, 24, 39))


def test_identical_images_have_identical_translations(pair: Pair, tmp_path: Path) -> None:
    source = pair[0]
    root = tmp_path / "copies"
    shutil.copytree(source.root, root)
    shutil.copy(root / source.paths[0], root / source.paths[5])
    twins = Split.of_columns(root, source.paths, source.pids, source.camids)
    found = translated_split(inverted(twins, None, tmp_path / "out"), twins)
    assert len(set(found.paths)) == 16
    assert np.array_equal(found.image(0), found.image(5))
    assert np.array_equal(found.image(5), 255 - source.image(0))


def test_an_image_without_a_translation_is_reported(pair: Pair, tmp_path: Path) -> None:
    source, target = pair
    with pytest.raises(DataError, match="24 of 24 source images have no translation"):
        translated_split(inverted(source, None, tmp_path), target)


def test_the_sheet_shows_source_translation_and_target(pair: Pair, tmp_path: Path) -> None:
    """Two rows and three columns, enlarged to 128 rows a picture."""
    sheet = read_image(inverted(*pair, tmp_path / "three") / "contact-sheet.png")
    assert sheet.shape == (2 * 128 + MARGIN, 3 * 128, 3)
    hidden = pair[0].hide()
    first = hidden.image(0).repeat(8, axis=0).repeat(8, axis=1)
    assert np.array_equal(sheet[MARGIN : MARGIN + 128, :128], first)
    assert np.array_equal(sheet[MARGIN : MARGIN + 128, 128:256], 255 - first)
    sheet = read_image(inverted(pair[0], None, tmp_path / "two") / "contact-sheet.png")
    assert sheet.shape[1] == 2 * 128
