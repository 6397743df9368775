"""The network of pcb: stripes, reductions and refined parts by their formulas, sizes, and files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from reidbench.errors import ReidbenchError
from reidbench.registry import plugins
from reidbench.stages.networks import build_backbone, saved_embedder
from reidbench.training import Backbone, Preprocess
from reidbench.training.weights.artifacts import save_embedder
from reidbench_pcb.network import PartClassifier, PcbEmbedder
from tests.support.golden import close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (96, 32)  # a map of 12x4


def network(name: str = "resnet-tiny", size: tuple[int, int] = SIZE) -> Backbone:
    torch.manual_seed(0)
    params = {"width": 4} if name == "resnet-tiny" else {}
    found: Backbone = build_backbone(plugins.load(others=False), {"use": name, "params": params, "image_size": size})
    return found


def pcb(**params: Any) -> PcbEmbedder:
    return PcbEmbedder(network(), Preprocess(SIZE), **{"dim": 8, **params})


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))


# ---------------------------------------------------------------------- parts
def test_stripes_are_means_of_two_rows_each() -> None:
    embedder = pcb().eval()
    maps = embedder.backbone(images()).map
    stripes = [maps[:, :, 2 * part : 2 * part + 2].mean((2, 3)) for part in range(6)]
    torch.testing.assert_close(embedder.pooled(images()), torch.stack(stripes, 2)[..., None], rtol=1e-4, atol=1e-5)
    unit = torch.cat([stripe / stripe.norm(dim=1, keepdim=True) for stripe in stripes], 1)
    torch.testing.assert_close(embedder(images()), unit, rtol=1e-4, atol=1e-5)
    assert embedder(images()).norm(dim=1).tolist() == pytest.approx([math.sqrt(6)] * 3)


@pytest.mark.parametrize("inputs", [None, 7, 10, 256])
def test_refined_parts_are_the_formula(inputs: int | None) -> None:
    """g_i = parts / N x sum over positions of P(i | f) f, where P is a softmax of W f, or of W (means) + b.

    Of 28 channels, 7 inputs are means of 4, 10 are 14 means of 2, and 256 are 28 single channels; all relative to the
    mean over positions.
    """
    embedder = pcb(parts=3, refined=True, part_inputs=inputs).double().eval()
    assert embedder.classifier is not None
    with torch.no_grad():
        for number, weight in enumerate(embedder.classifier.parameters()):
            weight.copy_(3 * wave(number, *weight.shape))
    maps = embedder.backbone(images().double()).map.detach()
    read = maps
    if inputs is not None:
        each = {7: 4, 10: 2, 256: 1}[inputs]
        means = [maps[:, start : start + each].mean(1) for start in range(0, 28 - each + 1, each)]
        read = torch.stack(means, 1)
        read = read - read.mean((2, 3), keepdim=True)
    layer = embedder.classifier.layer
    assert layer.in_channels == read.shape[1]
    assert (layer.bias is None) == (inputs is None)
    expected = torch.zeros(3, 28, 3, dtype=torch.float64)
    for image in range(3):
        for row in range(12):
            for column in range(4):
                scores = layer.weight[:, :, 0, 0] @ read[image, :, row, column]
                scores = scores if layer.bias is None else scores + layer.bias
                shares = scores.exp() / scores.exp().sum()
                expected[image] += 3 / 48 * maps[image, :, row, column, None] * shares[None]
    found = embedder.pooled(images().double())
    close("refined parts", found[..., 0], expected, 1e-9)
    assert (found[:, :, 0] - found[:, :, 1]).abs().max() > 1e-3


def test_equal_probabilities_are_the_mean_of_the_map_and_sure_ones_a_place() -> None:
    """A classifier of zeros gives each part 1 / parts everywhere; one that reads rows can find stripes again."""
    embedder = pcb(parts=2, refined=True, part_inputs=None).eval()
    assert embedder.classifier is not None
    torch.nn.init.zeros_(embedder.classifier.layer.weight)
    whole = embedder.backbone(images()).map.mean((2, 3))
    for part in embedder.pooled(images())[..., 0].unbind(2):
        torch.testing.assert_close(part, whole, rtol=1e-4, atol=1e-5)
    maps = torch.zeros(1, 2, 4, 1)
    maps[0, 0, :2], maps[0, 1, 2:] = 100, 100  # channel 0 is on above, channel 1 below
    sure = PartClassifier(2, 2, None)
    sure.layer.weight.data = torch.eye(2)[:, :, None, None]
    assert sure(maps)[0, 0, :, 0].tolist() == pytest.approx([1, 1, 0, 0])


def test_it_switches_between_stripes_and_refined_parts() -> None:
    embedder = pcb(refined=True).eval()
    refined = embedder(images())
    embedder.refined = False
    stripes = embedder(images())
    assert (refined - stripes).abs().max() > 1e-2
    torch.testing.assert_close(stripes, pcb().eval()(images()))  # the same backbone, seed 0


@pytest.mark.parametrize(("height", "parts"), [(32, 6), (16, 3)])
def test_too_few_rows_are_one_sentence(height: int, parts: int) -> None:
    embedder = pcb(parts=parts)
    rows = height // 8
    with pytest.raises(
        ReidbenchError, match=f"cannot cut {parts} stripes from a map of {rows} rows: set `parts` to at"
    ):
        embedder(torch.zeros(2, 3, height, 32))


# ---------------------------------------------------------------------- reductions
@pytest.mark.parametrize("reduction", ["shared", "separate"])
def test_a_part_is_reduced_by_convolution_norm_and_relu(reduction: str) -> None:
    """A shared norm sees all parts of all images, a separate one those of its part."""
    embedder = pcb(reduction=reduction, dropout=0.0).double().train()
    pooled = wave(3, 5, 28, 6, 1)
    expected = []
    for part in range(6):
        one: Any = embedder.reductions[0 if reduction == "shared" else part]
        weight = one.convolution.weight[:, :, 0, 0]
        seen = (
            (pooled if reduction == "shared" else pooled[:, :, part : part + 1]).transpose(1, 2).flatten(0, 1)[..., 0]
        )
        lines = seen @ weight.T
        mean, deviation = lines.mean(0), lines.var(0, correction=0)
        expected.append((((pooled[:, :, part, 0] @ weight.T) - mean) / (deviation + 1e-5).sqrt()).clamp_min(0))
    assert len(embedder.reductions) == (1 if reduction == "shared" else 6)
    close("reduced", torch.stack(embedder.reduced(pooled)), torch.stack(expected), 1e-9)


def test_dropout_is_on_in_training_alone() -> None:
    """Of 28 x 6 numbers of an image, about half are 0 and the others double."""
    embedder = pcb(feature="reduced").eval()
    assert torch.equal(embedder(images()), embedder(images()))
    seen = []
    embedder.reductions[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    pooled = torch.ones(100, 28, 6, 1)
    embedder.train().reduced(pooled)
    assert sorted(set(seen[0].flatten().tolist())) == [0, 2]
    assert seen[0].mean().item() == pytest.approx(1, abs=0.05)


def test_reduced_features_have_parts_of_unit_length() -> None:
    embedder = pcb(feature="reduced", parts=4).eval()
    features = embedder(images())
    assert features.shape == (3, 4 * 8)
    expected = [torch.nn.functional.normalize(vector, dim=1) for vector in embedder.vectors(images())]
    torch.testing.assert_close(features, torch.cat(expected, 1))


def test_layers_start_as_in_the_official_code() -> None:
    """Fan-out: deviation sqrt(2 / 256) of the convolution and sqrt(2 / 6) of the part classifier, bias 0."""
    torch.manual_seed(0)
    embedder = PcbEmbedder(network(), Preprocess(SIZE), refined=True)
    convolution: Any = embedder.reductions[0]
    assert convolution.convolution.weight.std().item() == pytest.approx(math.sqrt(2 / 256), rel=0.05)
    assert convolution.convolution.bias is None
    assert embedder.classifier is not None
    assert embedder.classifier.layer.weight.std().item() == pytest.approx(math.sqrt(2 / 6), rel=0.2)
    assert embedder.classifier.layer.bias is not None
    assert embedder.classifier.layer.bias.abs().max() == 0


# ---------------------------------------------------------------------- the whole
def test_resnet_50_at_the_papers_size() -> None:
    """24x8 positions of 2048 channels; G has 12,288 numbers, H 1,536; the part classifier reads 256 means."""
    backbone = network("resnet50", (384, 128))
    embedder = PcbEmbedder(backbone, Preprocess((384, 128)), refined=True).eval()
    assert embedder.classifier is not None
    assert (embedder.classifier.each, embedder.classifier.layer.in_channels) == (8, 256)
    with torch.no_grad():
        pooled = embedder.pooled(torch.zeros(1, 3, 384, 128))
        assert pooled.shape == (1, 2048, 6, 1)
        assert torch.cat(embedder.reduced(pooled), 1).shape == (1, 1536)


@pytest.mark.parametrize(
    "params",
    [{}, {"refined": True, "part_inputs": None, "feature": "reduced"}, {"reduction": "separate", "refined": True}],
)
def test_it_is_rebuilt_from_its_files(params: dict[str, Any], tmp_path: Path) -> None:
    embedder = pcb(**params).eval()
    with torch.no_grad():
        for weight in embedder.parameters():
            weight.add_(0.01 * torch.randn_like(weight))
    save_embedder(tmp_path, embedder)
    again = saved_embedder(plugins.load(others=False), tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(images()), embedder(images()))
    assert {name: again.spec[name] for name in params} == params
