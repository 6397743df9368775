"""Maps of positions: equations by hand, and the map that is found in networks of different kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reidbench.registry import plugins
from reidbench.stages.networks import build_backbone
from reidbench.training import Backbone, BackboneEmbedder, Embedder, Preprocess
from reidbench.training.activation import (
    NoMap,
    Seen,
    activation,
    grad_cam,
    look,
    rollout,
    scaled,
    similarity_maps,
)

pytestmark = pytest.mark.usefixtures("one_thread")
NO_CAMERA = torch.tensor([-1])
AS_IS = Preprocess((4, 4), (0, 0, 0), (1, 1, 1))


class Linear(Embedder):
    """A convolution of one pixel to two channels, their means, and a linear head without a bias."""

    def __init__(self) -> None:
        super().__init__(preprocess=AS_IS)
        self.convolution = nn.Conv2d(3, 2, 1, bias=False)
        self.head = nn.Linear(2, 2, bias=False)

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        return self.head(self.convolution(images).mean((2, 3)))  # type: ignore[no-any-return]


@pytest.fixture
def linear() -> Linear:
    """Channel 1 is red - green, channel 2 is blue; the head's rows are (1, 2) and (3, -1)."""
    found = Linear()
    with torch.no_grad():
        found.convolution.weight.copy_(torch.tensor([[1.0, -1, 0], [0, 0, 1]]).view(2, 3, 1, 1))
        found.head.weight.copy_(torch.tensor([[1.0, 2], [3, -1]]))
    return found


def picture(red: list[float], green: list[float], blue: list[float]) -> torch.Tensor:
    return torch.tensor([red, green, blue], dtype=torch.float32).view(1, 3, 2, 2)


ONE = picture([1, 0, 0, 3], [0, 2, 0, 0], [0, 1, 4, 0])  # channel 1: 1, -2, 0, 3; channel 2: 0, 1, 4, 0
TWO = picture([2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 2])  # channel 1: 2, 0, 0, 0; channel 2: 0, 0, 0, 2


def test_activation_is_the_sum_of_squares_over_channels(linear: Linear) -> None:
    found = activation(look(linear, ONE, NO_CAMERA))
    assert found.tolist() == [[[1, 5], [16, 9]]]


def test_grad_cam_of_a_linear_head_is_weights_times_activations(linear: Linear) -> None:
    """The first feature is mean(1 A1 + 2 A2), so alpha is (1, 2) / 4 and the map relu(A1 + 2 A2) / 4."""
    seen = look(linear, ONE, NO_CAMERA)
    assert grad_cam(seen, seen.features[0, 0]).tolist() == [[[1 / 4, 0], [8 / 4, 3 / 4]]]
    assert grad_cam(seen, seen.features[0, 1]).tolist() == [[[3 / 4, 0], [0, 9 / 4]]]


def test_grad_cam_of_a_similarity(linear: Linear) -> None:
    """d cos(f, g) / df = (g/|g| - cos f/|f|) / |f|, then through the head and the mean, in float64 by numpy."""
    seen = look(linear, torch.cat((ONE, TWO)), torch.tensor([-1, -1]))
    maps = [np.array([[1.0, -2, 0, 3], [0, 1, 4, 0]]), np.array([[2.0, 0, 0, 0], [0, 0, 0, 2]])]
    head = np.array([[1.0, 2], [3, -1]])
    features = [head @ one.mean(1) for one in maps]
    expected = []
    for own, other in ((0, 1), (1, 0)):
        f, g = features[own], features[other]
        f_length, g_length = np.linalg.norm(f), np.linalg.norm(g)
        cosine = f @ g / f_length / g_length
        alpha = head.T @ ((g / g_length - cosine * f / f_length) / f_length) / 4
        expected.append(np.maximum(alpha @ maps[own], 0).reshape(2, 2))
    assert seen.features.detach().numpy() == pytest.approx(np.array(features))
    assert similarity_maps(seen, 0, [1]).numpy() == pytest.approx(np.array(expected), abs=1e-6)


def test_scaled_from_minimum_to_maximum() -> None:
    found = scaled(torch.tensor([[[1.0, 2], [3, 5]], [[7, 7], [7, 7]]]))
    assert found.tolist() == [[[0, 0.25], [0.5, 1]], [[0, 0], [0, 0]]]


def test_rollout_by_hand() -> None:
    """One class token and two patches, two blocks of two heads: the product of 0.5 mean(A) + 0.5 I, class row."""
    first = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0.0, 0.5, 0.5]])
    second = torch.tensor([[0.6, 0.2, 0.2], [0.3, 0.3, 0.4], [0.1, 0.1, 0.8]])
    seen = Seen(torch.zeros(1, 1), None, tuple(torch.stack((one, one))[None] for one in (first, second)), (2, 1))
    one, two = (0.5 * block.double() + 0.5 * torch.eye(3) for block in (first, second))
    expected = (two @ one)[0, 1:]
    assert expected.tolist() == pytest.approx(
        [0.8 * 0.25 + 0.1 * 0.9 + 0.1 * 0.25, 0.8 * 0.15 + 0.1 * 0.05 + 0.1 * 0.75]
    )
    assert rollout(seen).flatten().tolist() == pytest.approx(expected.tolist())
    assert activation(seen).shape == (1, 2, 1)
    with pytest.raises(NoMap, match="Grad-CAM requires a map of convolutions"):
        grad_cam(seen, seen.features.sum())


# ---------------------------------------------------------------------- the map that is found
def network(use: str, size: tuple[int, int], **params: Any) -> Any:
    registry = plugins.load()
    given = registry.get("backbone", use).params(**params).model_dump(mode="json")
    return build_backbone(registry, {"use": use, "params": given, "image_size": size}).eval()


def embedder_of(backbone: Backbone, size: tuple[int, int], neck: bool = True) -> BackboneEmbedder:
    return BackboneEmbedder(backbone, Preprocess(size), neck).eval()


@pytest.mark.parametrize(
    ("use", "params"),
    [("resnet-tiny", {"width": 4}), ("resnet18", {}), ("swin-tiny", {})],
)
def test_the_map_is_that_of_the_backbone(use: str, params: dict[str, Any]) -> None:
    """Also of a Swin, whose layers have channels last, and with a neck after it."""
    size = (128, 64)
    backbone = network(use, size, **params)
    images = torch.randn(2, 3, *size)
    seen = look(embedder_of(backbone, size), images, torch.tensor([-1, -1]))
    assert seen.map is not None
    torch.testing.assert_close(seen.map, backbone(images).map)
    assert grad_cam(seen, seen.features[0].sum()).shape == (2, *seen.map.shape[2:])


def test_attention_is_that_of_the_blocks() -> None:
    """Probabilities as computed from the qkv layer of each block, and a grid of 8 x 4 patches."""
    size = (64, 32)
    backbone = network("vit-tiny", size, patch=8)
    images = torch.randn(2, 3, *size)
    seen = look(embedder_of(backbone, size), images, torch.tensor([-1, -1]))
    assert (seen.grid, seen.map, len(seen.attention)) == ((8, 4), None, len(backbone.blocks))
    x = backbone.tokens(images)
    for block, found in zip(backbone.blocks, seen.attention, strict=True):
        inner = block.attn
        qkv = inner.qkv(block.norm1(x)).reshape(2, x.shape[1], 3, inner.num_heads, -1).permute(2, 0, 3, 1, 4)
        expected = (qkv[0] @ qkv[1].transpose(-2, -1) / qkv.shape[-1] ** 0.5).softmax(-1)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        x = block(x)
    found = rollout(seen)
    assert found.shape == (2, 8, 4)
    assert (found.flatten(1).sum(1) < 1).all()  # the rest is the class token's own


class Branches(Embedder):
    """A shared map of 4 x 4, and two branches with own convolutions after it."""

    def __init__(self) -> None:
        super().__init__(preprocess=AS_IS)
        self.shared, self.left, self.right = nn.Conv2d(3, 5, 1), nn.Conv2d(5, 2, 1), nn.Conv2d(5, 2, 1)

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        shared = self.shared(images)
        return torch.cat([one(shared).mean((2, 3)) for one in (self.left, self.right)], 1)


class Streams(Branches):
    """Two streams from the images on."""

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        return torch.cat([one(self.shared(images)).mean((2, 3)) for one in (self.left, self.right)], 1)


class Colour(Embedder):
    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        return (images > 0).float().mean((2, 3))


class Mixed(Embedder):
    """Tokens that a linear layer mixes, without attention."""

    def __init__(self) -> None:
        super().__init__(preprocess=AS_IS)
        self.patches, self.mix = nn.Conv2d(3, 6, 1), nn.Linear(16, 16)

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        return self.mix(self.patches(images).flatten(2)).mean(2)  # type: ignore[no-any-return]


def test_branches_share_a_map_and_streams_do_not() -> None:
    images = torch.randn(1, 3, 4, 4)
    seen = look(Branches(), images, NO_CAMERA)
    assert seen.map is not None
    assert seen.map.shape == (1, 5, 4, 4)
    with pytest.raises(NoMap, match="Streams has no map of positions"):
        look(Streams(), images, NO_CAMERA)


def test_reasons_without_a_map() -> None:
    images = torch.randn(1, 3, 4, 4)
    with pytest.raises(NoMap, match="Colour is not a network whose feature is differentiable in the image"):
        look(Colour(preprocess=AS_IS), images, NO_CAMERA)
    with pytest.raises(NoMap, match="Mixed has tokens, and its attention cannot be read"):
        look(Mixed(), images, NO_CAMERA)


def test_the_mode_and_the_features_are_unchanged() -> None:
    """The network runs in evaluation mode, is put back to training, and gives the features of a plain forward pass."""
    size = (64, 32)
    found = embedder_of(network("vit-tiny", size, patch=8), size)
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = found(images)
    found.train()
    seen = look(found, images, torch.tensor([-1, -1]))
    assert found.training
    torch.testing.assert_close(seen.features.detach(), expected)
    assert all(one.grad is None for one in found.parameters())


def test_masks_of_attention() -> None:
    """A causal call: each token sees the earlier ones only, and rows still sum to one."""

    class Causal(Embedder):
        def __init__(self) -> None:
            super().__init__(preprocess=AS_IS)
            self.patches = nn.Conv2d(3, 6, 1)

        def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
            tokens = self.patches(images).flatten(2).transpose(1, 2)[:, None]
            return F.scaled_dot_product_attention(tokens, tokens, tokens, is_causal=True).mean((1, 2))

    seen = look(Causal(), torch.randn(1, 3, 4, 4), NO_CAMERA)
    (found,) = seen.attention
    assert seen.grid == (4, 4)
    assert torch.equal(found, found.tril())
    assert found.sum(-1).detach().numpy() == pytest.approx(np.ones((1, 1, 16)), abs=1e-5)
