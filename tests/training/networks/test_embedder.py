"""Embedders: normalising, rebuilding from disk, modes, the neck."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from reidbench.data import read_market_folder
from reidbench.training import Backbone, BackboneEmbedder, BNNeck, Embedder, Features, Preprocess, embed
from reidbench.training.weights.artifacts import load_embedder, save_embedder


@pytest.fixture
def train(market: Path) -> Any:
    return read_market_folder(market).train


def test_normalising_by_hand() -> None:
    pixels = torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)
    images = Preprocess((2, 2), (0.5, 0.25, 0.0), (0.5, 0.5, 2.0)).normalise(pixels)
    assert images[0, :, 0, 0].tolist() == [1.0, 1.5, 0.5]


class Toy(Backbone):
    """A backbone of one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)
        self.norm = nn.BatchNorm2d(4)
        self.dim = 4
        self.spec = {"use": "toy", "params": {}, "image_size": [16, 8]}

    def forward(self, images: torch.Tensor) -> Features:
        x = self.norm(self.conv(images))
        return Features(x, x.mean((2, 3)))


def test_an_embedder_is_rebuilt_from_its_spec_and_safetensors(tmp_path: Path, train: Any) -> None:
    torch.manual_seed(0)
    embedder = BackboneEmbedder(Toy(), Preprocess((16, 8), (0.1, 0.2, 0.3), (0.5, 0.5, 0.5)), neck=True)
    with torch.no_grad():
        for buffer in embedder.buffers():
            buffer += 1
    save_embedder(tmp_path, embedder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["embedder.json", "embedder.safetensors"]
    again = load_embedder(tmp_path, lambda spec: Toy(), {"reidbench": "reidbench"})
    first, second = (embed(e, train, train.camids, batch=5) for e in (embedder, again))
    assert first.dtype == np.float32
    assert (first == second).all()
    assert again.preprocess == embedder.preprocess
    # Further training of the backbone must normalise as before.
    assert (again.backbone.mean, again.backbone.std) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5))


def test_an_embedder_of_a_foreign_package_is_refused(tmp_path: Path) -> None:
    save_embedder(tmp_path, BackboneEmbedder(Toy(), Preprocess((16, 8))))
    with pytest.raises(Exception, match="which is not a loaded plugin"):
        load_embedder(tmp_path, lambda spec: Toy(), {"another": "another"})


def test_embedding_leaves_the_mode_as_it_was_and_gives_cameras(train: Any) -> None:
    seen = []

    class Watching(Embedder):
        def __init__(self) -> None:
            super().__init__(preprocess=Preprocess((16, 8)))

        def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
            assert not self.training
            assert camids is not None
            seen.extend(camids.tolist())
            return images.flatten(1)

    watching = Watching().train()
    embed(watching, train, train.camids, batch=3)
    assert watching.training
    assert seen == train.camids.tolist()


def test_bnneck_bias_is_held_at_zero() -> None:
    neck = BNNeck(4)
    neck(torch.randn(8, 4) + 3).pow(2).sum().backward()
    assert not neck.norm.bias.requires_grad
    assert neck.norm.bias.tolist() == [0, 0, 0, 0]
