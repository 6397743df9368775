"""BDB: the dropped block, both branches, rates and cutout, as in the paper and its released code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from reidbench.training import Backbone, BatchDrop, Preprocess, stream
from reidbench_baseline.bdb import BdbEmbedder, BdbLosses, Cutout, _sampler, stairs_then_steps, start_as_published
from reidbench_baseline.params import BdbParams, ResNetParams, TinyParams
from reidbench_baseline.resnet import resnet50, resnet_tiny

pytestmark = pytest.mark.usefixtures("one_thread")


def tiny(size: tuple[int, int] = (64, 32)) -> Backbone:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), size)
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": list(size)}
    return network


def bdb(network: Backbone) -> BdbEmbedder:
    return BdbEmbedder(network, Preprocess((64, 32)), 16, 24, 0.33, 1.0)


@pytest.mark.parametrize(("rows", "columns", "dropped"), [(24, 8, 8), (16, 8, 5), (8, 4, 3)])
def test_one_block_is_dropped_from_a_whole_batch(rows: int, columns: int, dropped: int) -> None:
    """round(.33 x 24) = 8 rows of full width, equal for all images and channels; nothing in evaluation."""
    drop = BatchDrop(0.33, 1.0)
    drop.generator = stream(0, "drop")
    maps = torch.rand(5, 7, rows, columns) + 1
    tops = set()
    for _ in range(40):
        out = drop(maps)
        zero = out == 0
        assert (zero == zero[:1, :1]).all()
        lines = zero[0, 0].all(1)
        assert (lines == zero[0, 0].any(1)).all()
        where = torch.nonzero(lines)[:, 0]
        assert len(where) == dropped == int(where[-1] - where[0]) + 1
        assert torch.equal(out[~zero], maps[~zero])  # no rescaling
        tops.add(int(where[0]))
    assert len(tops) > 1
    assert drop.eval()(maps) is maps


def test_bdb_feature_is_both_branches() -> None:
    """512 + 1024 by default; GAP, 1x1 convolution and ReLU, then a bottleneck, a drop and max pooling."""
    embedder = bdb(tiny())
    assert BdbParams().global_dim + BdbParams().drop_dim == 1536
    images = torch.randn(4, 3, 64, 32)
    whole, partial = embedder.branches(images)
    assert (whole.shape, partial.shape) == ((4, 16), (4, 24))
    assert whole.min() >= 0
    features = embedder.eval()(images)
    assert features.shape == (4, 40)
    assert torch.equal(embedder(images), features)
    maps = embedder.backbone(images).map
    expected = F.relu(embedder.dropped[1](embedder.dropped[0](embedder.bottleneck(maps).amax((2, 3)))))
    assert torch.allclose(features[:, 16:], expected, atol=1e-6)


def test_bdb_at_the_papers_size() -> None:
    """384x128 gives a map of 24x8 on a ResNet-50 with last stride 1."""
    network = resnet50(ResNetParams(), (384, 128))
    network.spec = {}
    embedder = BdbEmbedder(network, Preprocess((384, 128)), 512, 1024, 0.33, 1.0).eval()
    with torch.no_grad():
        images = torch.zeros(1, 3, 384, 128)
        assert network(images).map.shape == (1, 2048, 24, 8)
        assert embedder(images).shape == (1, 1536)


def test_bdb_learning_rate_is_the_official_one() -> None:
    """Of 400 epochs 1e-4 (e // 5 + 1) below 50, 1e-3 below 200, 1e-4 below 300, 1e-5 after."""
    params = BdbParams(epochs=400)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=params.lr)
    schedule = stairs_then_steps(optimiser, params)
    for epoch in range(400):
        official = 1e-4 * (epoch // 5 + 1) if epoch < 50 else 1e-3 if epoch < 200 else 1e-4 if epoch < 300 else 1e-5
        assert schedule.get_last_lr()[0] == pytest.approx(official), epoch
        optimiser.step()
        schedule.step()


def test_the_schedule_has_the_steps_of_the_official_code() -> None:
    """751 identities of 32 to a batch are 23 batches of 128, the rest is left out: 9,200 steps in 400 epochs."""
    params = BdbParams()
    labels = np.repeat(np.arange(751), 5)
    batches = list(_sampler(params, labels, torch.Generator()))
    assert [len(batch) for batch in batches] == [128] * 23
    assert len(batches) * params.epochs == 9_200
    few = list(_sampler(params, labels[:50], torch.Generator()))  # ten identities make smaller batches, not none
    assert [len(batch) for batch in few] == [40]


def test_layers_start_as_published() -> None:
    """Classifiers sqrt(2 / 751) = .0516, the part's linear layer sqrt(2 / 1024) = .0442, norms N(1, .02)."""
    torch.manual_seed(0)
    embedder = BdbEmbedder(tiny(), Preprocess((64, 32)), 512, 1024, 0.33, 1.0)
    start_as_published(embedder)
    linear, norm, _ = embedder.dropped
    assert float(linear.weight.detach().std()) == pytest.approx(0.0442, rel=0.02)
    assert float(linear.bias.detach().abs().max()) == 0
    for one in (norm, embedder.reduction.norm):
        assert float(one.weight.detach().mean()) == pytest.approx(1, abs=0.003)
        assert float(one.weight.detach().std()) == pytest.approx(0.02, rel=0.15)
    for head in BdbLosses(BdbParams(), 751).classifiers:
        assert float(head.weight.detach().std()) == pytest.approx(0.0516, rel=0.01)
    small = BdbLosses(BdbParams(start="small"), 751).classifiers[0].weight.detach()
    assert float(small.std()) == pytest.approx(0.001, rel=0.01)


def test_cutout_is_one_square_of_zeros() -> None:
    """64x64 of 384x128, on half of the images."""
    cutout = Cutout(0.0, 0.5, 1 / 6)
    cut = cutout.apply(torch.ones(400, 3, 384, 128), cutout.draw(400, (384, 128), stream(0, "cut")))[:, :1]
    zeros = (cut == 0).sum((1, 2, 3))
    assert set(zeros.tolist()) == {0, 64 * 64}
    assert (zeros > 0).float().mean().item() == pytest.approx(0.5, abs=0.08)
    first = torch.nonzero(cut[int(zeros.argmax()), 0] == 0)
    assert (first.amax(0) - first.amin(0) + 1).tolist() == [64, 64]
