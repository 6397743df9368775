"""The network of agw: pooled vectors by its formula, the papers' sizes, and its files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from reidbench.registry import plugins
from reidbench.stages.networks import build_backbone, saved_embedder
from reidbench.training import Backbone, NonLocal, Preprocess
from reidbench.training.weights.artifacts import save_embedder
from reidbench_agw.network import AgwEmbedder

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (64, 32)


def network(name: str = "resnet-tiny", size: tuple[int, int] = SIZE) -> Backbone:
    torch.manual_seed(0)
    params = {"width": 4} if name == "resnet-tiny" else {}
    found: Backbone = build_backbone(plugins.load(others=False), {"use": name, "params": params, "image_size": size})
    return found


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("pool", ["gem", "avg"])
def test_a_new_network_pools_the_plain_backbones_map(pool: str) -> None:
    """GeM with exponent 3: the cube root of the mean cube; values of at least 1e-6."""
    embedder = AgwEmbedder(network(), Preprocess(SIZE), pool=pool).eval()
    maps = embedder.backbone(images()).map.double()
    cubes = maps.clamp_min(1e-6).pow(3).mean((2, 3)).pow(1 / 3)
    expected = maps.mean((2, 3)) if pool == "avg" else cubes
    torch.testing.assert_close(embedder.before_neck(images()).double(), expected, rtol=1e-4, atol=1e-5)
    norm = embedder.neck.norm
    after = expected / (1 + norm.eps) ** 0.5  # running statistics of a new norm: mean 0, variance 1
    torch.testing.assert_close(embedder(images()).double(), after, rtol=1e-4, atol=1e-5)
    assert ("gem.exponent" in embedder.state_dict()) == (pool == "gem")


def test_a_trained_block_changes_the_feature() -> None:
    embedder = AgwEmbedder(network(), Preprocess(SIZE)).eval()
    before = embedder(images())
    for module in embedder.attention.modules():
        if isinstance(module, NonLocal):
            torch.nn.init.ones_(module.norm.weight)
    assert (embedder(images()) - before).abs().max() > 1e-3


def test_resnet_50_at_the_papers_size() -> None:
    """2,048 numbers; five blocks with one inner channel: 3 (C + 1) + 2 C + 2 C weights, for C of 512 and 1024."""
    backbone = network("resnet50", (256, 128))
    embedder = AgwEmbedder(backbone, Preprocess((256, 128))).eval()
    with torch.no_grad():
        assert embedder(torch.zeros(1, 3, 256, 128)).shape == (1, 2048)
    extra = sum(weight.numel() for weight in embedder.attention.parameters())
    assert extra == sum(3 * (channels + 1) + 2 * channels + 2 * channels for channels in (512, 512, 1024, 1024, 1024))
    half = AgwEmbedder(backbone, Preprocess((256, 128)), inner=None)
    (first, *_) = (module for module in half.attention.modules() if isinstance(module, NonLocal))
    assert first.theta.out_channels == 256


@pytest.mark.parametrize(
    ("non_local", "inner", "pool"), [((0, 2, 3, 0), 1, "gem"), ((1, 0, 0, 1), None, "avg"), ((0, 0, 0, 0), 2, "gem")]
)
def test_it_is_rebuilt_from_its_files(non_local: tuple[int, ...], inner: int | None, pool: str, tmp_path: Path) -> None:
    embedder = AgwEmbedder(network(), Preprocess(SIZE), non_local, inner, pool).eval()
    with torch.no_grad():
        for weight in embedder.parameters():
            weight.add_(0.01 * torch.randn_like(weight))
    save_embedder(tmp_path, embedder)
    again = saved_embedder(plugins.load(others=False), tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(images()), embedder(images()))
    assert again.spec["non_local"] == list(non_local)
