"""A gallery's features from a file: images are matched by the file that a path leads to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reidbench.data import read_image
from reidbench.errors import DataError, ReidbenchError
from reidbench.serving.assembly import Choices, assemble
from reidbench.serving.gallery import names_in
from reidbench.serving.limits import Limits
from tests.support.services import encoded, mean_colours, noise

pytest.importorskip("faiss")
NETWORKS: Any = SimpleNamespace(
    identity="mine",
    name="finetune mine",
    members=[SimpleNamespace(artifact=SimpleNamespace(key="mine"))],
    of_pixels=lambda pixels, modality: mean_colours(pixels),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four images, and features of three of them, by paths relative to the working folder, in another order."""
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / f"{number}.png").write_bytes(encoded(noise(number)))
    write(["photos/2.png", "elsewhere/0.png", "photos/../photos/0.png", "photos/1.png"], [2, 9, 0, 1])
    return tmp_path / "photos"


def write(names: list[str], seeds: list[int], network: str = "mine") -> None:
    features = np.stack([mean_colours(noise(seed)) for seed in seeds])
    np.savez("x.npz", features=features, names=np.array(names), network=network)


def choices(folder: Path, **more: str) -> Choices:
    return Choices(folder, names_in(folder)[0], "flat", Limits(), features=Path("x.npz"), **more)  # type: ignore[arg-type]


def test_images_and_features_are_matched_by_file(folder: Path) -> None:
    service, (note,) = assemble(choices(folder), NETWORKS, None, lambda done, total: None)
    assert service.gallery.names == ["0.png", "1.png", "2.png"]
    for number in range(3):
        feature = mean_colours(read_image(folder / f"{number}.png"))
        assert service.index.nearest(feature, 1)[0] == [number]
    assert note == f"x.npz: lacks 1 images of {folder}: 3.png; they are left out"
    assert (service.about.images, service.about.row, service.about.keys) == (3, None, ["mine"])


def test_a_file_of_other_images_or_networks_is_refused(folder: Path) -> None:
    write(["others/0.png"], [0])
    with pytest.raises(
        ReidbenchError, match=r"^x\.npz: lacks all 4 images of .*: 0\.png, 1\.png, .*; embed the folder"
    ):
        assemble(choices(folder), NETWORKS, None, lambda done, total: None)
    write(["photos/0.png"], [0], "another")
    with pytest.raises(DataError, match=r"x\.npz: its features are from a different network \(another\)"):
        assemble(choices(folder), NETWORKS, None, lambda done, total: None)


def test_a_modality_that_is_missing_is_an_error_at_the_start(folder: Path) -> None:
    """The gallery's features are known already; the network still asks for the modality of uploads."""

    def ask(pixels: np.ndarray, modality: str | None) -> np.ndarray:
        if modality is None:
            raise ReidbenchError("the images have no modality")
        return mean_colours(pixels)

    networks = SimpleNamespace(**{**vars(NETWORKS), "of_pixels": ask})
    with pytest.raises(ReidbenchError, match="the images have no modality"):
        assemble(choices(folder), networks, None, lambda done, total: None)  # type: ignore[arg-type]
    with pytest.raises(ReidbenchError, match=r"^--gallery-modality requires --modality, that of the uploaded images$"):
        assemble(choices(folder, gallery_modality="infrared"), NETWORKS, None, lambda done, total: None)
