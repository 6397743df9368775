"""GeM: values and gradients from its definition, grids, what an embedder keeps of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.training import Backbone, BackboneEmbedder, Features, GeM, Preprocess, generalised_mean
from reidbench.training.weights.artifacts import load_embedder, save_embedder

MAPS = np.array([[[[0.0, 1.0, 2.0], [3.0, 0.5, 0.25]], [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]]])


def mean_of_powers(values: np.ndarray, exponent: float) -> float:
    """The definition, in float64."""
    return float(np.mean(np.maximum(values, 1e-6) ** exponent) ** (1 / exponent))


@pytest.mark.parametrize("exponent", [1.0, 3.0, 6.5])
def test_gem_is_the_root_of_the_mean_of_powers(exponent: float) -> None:
    pooled = GeM(exponent).double()(torch.from_numpy(MAPS))
    assert pooled.shape == (1, 2)
    wanted = [mean_of_powers(MAPS[0, channel], exponent) for channel in range(2)]
    assert pooled[0].tolist() == pytest.approx(wanted, rel=1e-12)
    assert wanted[1] == pytest.approx(2)


def test_the_exponent_learns_by_its_derivative() -> None:
    """d/dp of m^(1/p) with m = mean(x^p) is m^(1/p) (mean(x^p ln x) / (p m) - ln m / p^2)."""
    layer = GeM().double()
    assert layer.exponent.tolist() == [3]
    layer(torch.from_numpy(MAPS)[:, :1]).sum().backward()
    x = np.maximum(MAPS[0, 0], 1e-6)
    m = np.mean(x**3)
    slope = m ** (1 / 3) * (np.mean(x**3 * np.log(x)) / (3 * m) - np.log(m) / 9)
    assert layer.exponent.grad is not None
    assert layer.exponent.grad.item() == pytest.approx(slope, rel=1e-12)
    fixed = GeM(learned=False)
    assert list(fixed.parameters()) == []
    assert fixed.state_dict()["exponent"].tolist() == [3]


def test_a_grid_has_the_mean_of_each_cell() -> None:
    pooled = generalised_mean(torch.from_numpy(MAPS), 3.0, cells=(2, 1))
    assert pooled.shape == (1, 2, 2, 1)
    assert pooled[0, 0, :, 0].tolist() == pytest.approx([mean_of_powers(MAPS[0, 0, row], 3) for row in range(2)])


def test_half_precision_is_pooled_in_float32() -> None:
    """300^3 is beyond float16."""
    pooled = GeM()(torch.full((1, 1, 2, 2), 300.0, dtype=torch.float16))
    assert pooled.dtype == torch.float32
    assert pooled.item() == pytest.approx(300, rel=1e-3)


class Toy(Backbone):
    """The picture is the map."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.dim = 3
        self.spec = {"use": "toy", "params": {}, "image_size": [4, 2]}

    def forward(self, images: torch.Tensor) -> Features:
        maps = images * self.scale
        return Features(maps, maps.mean((2, 3)))


@pytest.mark.parametrize("pool", ["backbone", "gem", "gem-fixed"])
def test_an_embedder_pools_as_told_and_is_rebuilt_so(tmp_path: Path, pool: str) -> None:
    embedder = BackboneEmbedder(Toy(), Preprocess((4, 2)), neck=True, pool=pool).eval()
    if pool != "backbone":
        assert embedder.pool is not None
        with torch.no_grad():
            embedder.pool.exponent.fill_(2.5)
    images = torch.rand(3, 3, 4, 2, generator=torch.Generator().manual_seed(0))
    exponent = 1.0 if pool == "backbone" else 2.5
    wanted = [[mean_of_powers(channel, exponent) for channel in image] for image in images.double().numpy()]
    assert np.allclose(embedder.before_neck(images).detach().numpy(), wanted, rtol=1e-5)
    assert ("pool" in embedder.spec) == (pool != "backbone")
    save_embedder(tmp_path, embedder)
    again = load_embedder(tmp_path, lambda spec: Toy(), {"reidbench": "reidbench"}).eval()
    assert isinstance(again, BackboneEmbedder)
    assert again.pool_name == pool
    assert torch.equal(again(images), embedder(images))


def test_an_unknown_pooling_is_one_sentence() -> None:
    with pytest.raises(ReidbenchError, match=r"unknown pooling 'max'; choose backbone, gem or gem-fixed"):
        BackboneEmbedder(Toy(), Preprocess((4, 2)), pool="max")
