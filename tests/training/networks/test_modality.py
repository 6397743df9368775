"""Embedders that treat images by their modality: which number each image comes with, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reidbench.data import MoreLabels, Split
from reidbench.errors import ReidbenchError
from reidbench.training import Embedder, OneModality, Preprocess, embed, modality_numbers
from reidbench.training.efficiency import measure

WORDS = ("infrared", "visible")


class GivenModality(Embedder):
    """The first pixel's red, the camera and the modality's number."""

    modalities = WORDS

    def __init__(self) -> None:
        super().__init__(preprocess=Preprocess((8, 4), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
        self.seen: list[torch.Tensor] = []

    def forward(
        self,
        images: torch.Tensor,
        camids: torch.Tensor | None = None,
        modalities: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        assert camids is not None
        assert modalities is not None
        numbers = torch.full_like(camids, modalities) if isinstance(modalities, int) else modalities
        self.seen.append(numbers)
        return torch.stack([images[:, 0, 0, 0], camids.float(), numbers.float()], 1)


class Plain(Embedder):
    """It takes images and cameras alone."""

    def __init__(self) -> None:
        super().__init__(preprocess=Preprocess((8, 4)))

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        return images.mean((2, 3))


def pictures(folder: Path, words: Sequence[str] | None, count: int = 5) -> Split:
    for number in range(count):
        Image.new("RGB", (4, 8), (number * 50, 0, 0)).save(folder / f"{number}.png")
    names, camids = [f"{number}.png" for number in range(count)], np.arange(count) % 3
    return Split.of_columns(folder, names, np.arange(count) + 1, camids, more=MoreLabels.of(modality=words))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_each_image_comes_with_the_place_of_its_word(tmp_path: Path, flip: bool, workers: int) -> None:
    split = pictures(tmp_path, ["visible", "infrared", "infrared", "visible", "infrared"])
    found = embed(GivenModality(), split, split.camids, batch=2, flip=flip, workers=workers)
    np.testing.assert_allclose(found[:, 0], np.arange(5) * 50 / 255, atol=1e-6)
    assert found[:, 1].tolist() == [0, 1, 2, 0, 1]
    assert found[:, 2].tolist() == [1, 0, 0, 1, 0]


def test_an_embedder_without_modalities_is_given_none(tmp_path: Path) -> None:
    split = pictures(tmp_path, ["visible"] * 5)
    assert embed(Plain(), split, split.camids).shape == (5, 3)
    assert modality_numbers(Plain(), None) is None


def test_images_without_a_modality_are_refused(tmp_path: Path) -> None:
    split = pictures(tmp_path, None)
    with pytest.raises(
        ReidbenchError, match=r"^GivenModality takes each image's modality \(infrared or visible\), and the im"
    ):
        embed(GivenModality(), split, split.camids)
    with pytest.raises(ReidbenchError, match=r"and the query images of t have none: say it$"):
        modality_numbers(GivenModality(), None, "query images of t", "say it")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["visible", "thermal", "thermal"], "and 2 of 3 images have another: the first is thermal"),
        (["visible", "", "thermal"], "and 2 of 3 images have another: that of the first is unknown"),
        (["Visible", "visible"], "and 1 of 2 images have another: the first is Visible"),
    ],
)
def test_an_unknown_word_is_named(words: list[str], text: str) -> None:
    with pytest.raises(ReidbenchError) as raised:
        modality_numbers(GivenModality(), words)
    assert str(raised.value).endswith(text)


def test_for_images_of_one_modality_the_embedder_takes_images_alone() -> None:
    images, camids = torch.rand(3, 3, 8, 4), torch.zeros(3, dtype=torch.long)
    for number, word in enumerate(WORDS):
        one = OneModality(GivenModality(), word)
        assert not one.modalities
        assert one(images, camids)[:, 2].tolist() == [number] * 3
    with pytest.raises(ReidbenchError, match="the first is thermal"):
        OneModality(GivenModality(), "thermal")
    with pytest.raises(ReidbenchError, match="Plain takes no modality, but visible is given"):
        OneModality(Plain(), "visible")


def test_costs_are_those_of_images_of_the_first_modality() -> None:
    given = GivenModality()
    assert measure(given)["bytes"] == 3 * 4
    assert all((numbers == 0).all() for numbers in given.seen)
