"""Released folders of translated images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidbench import PrepareContext
from reidbench.data import Split
from reidbench.errors import DataError
from reidbench_spgan.files import translated_split
from reidbench_spgan.params import TranslatedFolderParams
from reidbench_spgan.preparers import translated_folder
from tests.support.contexts import make_context

Pair = tuple[Split, Split]


def release(folder: Path, split: Split) -> Path:
    """Write grey images of 32x32 named like SPGAN's; grey k is the k-th image."""
    folder.mkdir()
    for number, path in enumerate(split.paths):
        name = f"duke_{Path(path).name}"
        Image.fromarray(np.full((32, 32, 3), 10 * number, np.uint8)).save(folder / name, format="png")
    return folder


def test_a_released_folder_is_joined_by_file_name(pair: Pair, tmp_path: Path) -> None:
    params = TranslatedFolderParams(folder=release(tmp_path / "released", pair[0]), pattern="duke_{name}")
    ctx, _ = make_context(PrepareContext, tmp_path / "out", params, image_size=(16, 8), split=pair[0].hide())
    translated_folder(ctx)
    found = translated_split(tmp_path / "out", pair[0])
    for number in range(16):
        assert np.array_equal(found.image(number), np.full((16, 8, 3), 10 * number))


def test_missing_files_are_counted(pair: Pair, tmp_path: Path) -> None:
    folder = release(tmp_path / "released", pair[0])
    params = TranslatedFolderParams(folder=folder)
    ctx, _ = make_context(PrepareContext, tmp_path / "out", params, split=pair[0].hide())
    with pytest.raises(DataError, match=r"16 of 16 files \{name\} are missing; set folder"):
        translated_folder(ctx)
    with pytest.raises(ValueError, match=r"must contain one of \{stem\}, \{name\} and \{path\}"):
        TranslatedFolderParams(folder=folder, pattern="duke.jpg")
