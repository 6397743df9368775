"""BDB and MGN: dropped blocks, branches, strides, losses and schedules: the notes' 4.19 and 4.21 to 4.23."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from reidbench.errors import ReidbenchError
from reidbench.stages.worker import limited_threads
from reidbench.testing import run_matrix
from reidbench.training import (
    Backbone,
    BatchDrop,
    BatchHardTriplet,
    IdentityLosses,
    LabelSmoothingCrossEntropy,
    Preprocess,
    set_stride,
    stream,
)
from reidbench.training.optim.losses import euclidean_distances
from reidbench.training.weights.artifacts import load_embedder, save_embedder
from reidbench_baseline.bdb import BdbEmbedder, Cutout, stairs_then_steps
from reidbench_baseline.mgn import MgnEmbedder
from reidbench_baseline.params import BdbParams, MgnParams, ResNetParams, TinyParams
from reidbench_baseline.resnet import resnet18, resnet50, resnet_tiny


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small only wait for a second thread."""
    with limited_threads(1):
        yield


def tiny(size: tuple[int, int] = (64, 32)) -> Backbone:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), size)
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": list(size)}
    return network


def mgn(network: Backbone, **params: Any) -> MgnEmbedder:
    return MgnEmbedder(network, Preprocess((64, 32)), **{"dim": 16, **params})


def bdb(network: Backbone) -> BdbEmbedder:
    return BdbEmbedder(network, Preprocess((64, 32)), 16, 24, 0.33, 1.0)


# ---------------------------------------------------------------------- shared pieces
@pytest.mark.parametrize(("build", "strided"), [(resnet50, "conv2"), (resnet18, "conv1")])
def test_stride_is_that_of_the_spatial_convolution_and_the_shortcut(build: Any, strided: str) -> None:
    """4.19: layer4[0].conv2 (conv1 without bottleneck) and downsample[0]; the map doubles, the weights stay."""
    network = build(ResNetParams(last_stride=2), (64, 32))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    sizes = []
    for stride in (2, 1):
        set_stride(network.layer4, stride)
        assert getattr(network.layer4[0], strided).stride == (stride, stride)
        assert network.layer4[0].downsample[0].stride == (stride, stride)
        assert network.layer4[1].conv1.stride == (1, 1)
        with torch.no_grad():
            sizes.append(network.eval()(torch.zeros(1, 3, 128, 64)).map.shape[2:])
    assert sizes == [(4, 2), (8, 4)]
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_stage_without_a_shortcut_is_refused() -> None:
    with pytest.raises(ReidbenchError, match="cannot change its stride"):
        set_stride(torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3)), 2)


def test_batch_hard_triplet() -> None:
    """4.21: a lone image's positive is itself at 1e-6; the soft margin at equal distances is log 2; a case by hand."""
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    assert euclidean_distances(features, features)[0, 0].item() == pytest.approx(1e-6)
    hinge = BatchHardTriplet(0.3)(features, torch.tensor([0, 1]))
    assert hinge.item() == 0.0  # 0.3 + 0 - 5
    hinge.backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()
    equal = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])
    # d(0, 1) = d(0, 2) = d(1, 2) = 1: of the first two the gap is 0, of the third, alone, it is 1e-6 - 1.
    soft = BatchHardTriplet(None)(equal, torch.tensor([0, 0, 1]))
    assert soft.item() == pytest.approx((2 * math.log(2) + math.log(1 + math.exp(-1))) / 3, abs=1e-5)


def test_label_smoothing_is_spread_over_all_classes() -> None:
    """4.22: 1 - eps + eps / C for the right class and eps / C for the others, which sums to 1."""
    logits, label = torch.tensor([[2.0, 0.0, -1.0, 0.5]]), torch.tensor([0])
    target = torch.tensor([0.9 + 0.025, 0.025, 0.025, 0.025])
    assert target.sum().item() == pytest.approx(1)
    expected = -(target * logits.log_softmax(1)).sum().item()
    assert LabelSmoothingCrossEntropy(0.1)(logits, label).item() == pytest.approx(expected, abs=1e-6)


# ---------------------------------------------------------------------- BDB
@pytest.mark.parametrize(("rows", "columns", "dropped"), [(24, 8, 8), (16, 8, 5), (8, 4, 3)])
def test_one_block_is_dropped_from_a_whole_batch(rows: int, columns: int, dropped: int) -> None:
    """4.22: round(.33 x 24) = 8 rows of full width, alike for all images and channels; nothing in evaluation."""
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
    """1.5: 512 + 1024 by default; GAP, 1x1 convolution and ReLU, beside a bottleneck, a drop and max pooling."""
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
    """1.5: 384x128 gives a map of 24x8 on a ResNet-50 with last stride 1."""
    network = resnet50(ResNetParams(), (384, 128))
    network.spec = {}
    embedder = BdbEmbedder(network, Preprocess((384, 128)), 512, 1024, 0.33, 1.0).eval()
    with torch.no_grad():
        images = torch.zeros(1, 3, 384, 128)
        assert network(images).map.shape == (1, 2048, 24, 8)
        assert embedder(images).shape == (1, 1536)


def test_bdb_learning_rate_is_the_official_one() -> None:
    """1.5: of 400 epochs 1e-4 (e // 5 + 1) below 50, 1e-3 below 200, 1e-4 below 300, 1e-5 after."""
    params = BdbParams(epochs=400)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=params.lr)
    schedule = stairs_then_steps(optimiser, params)
    for epoch in range(400):
        official = 1e-4 * (epoch // 5 + 1) if epoch < 50 else 1e-3 if epoch < 200 else 1e-4 if epoch < 300 else 1e-5
        assert schedule.get_last_lr()[0] == pytest.approx(official), epoch
        optimiser.step()
        schedule.step()


def test_cutout_is_one_square_of_zeros() -> None:
    """1.5: 64x64 of 384x128, on half of the images."""
    cut = Cutout(0.0, 0.5, 1 / 6)(torch.ones(400, 1, 384, 128), stream(0, "cut"))
    zeros = (cut == 0).sum((1, 2, 3))
    assert set(zeros.tolist()) == {0, 64 * 64}
    assert (zeros > 0).float().mean().item() == pytest.approx(0.5, abs=0.08)
    first = torch.nonzero(cut[int(zeros.argmax()), 0] == 0)
    assert (first.amax(0) - first.amin(0) + 1).tolist() == [64, 64]


# ---------------------------------------------------------------------- MGN
def test_branches_are_equal_copies_that_are_not_tied() -> None:
    """4.19: p1, p2, p3 have equal parameters at step 0, in storage of their own; strides 2, 1, 1."""
    embedder = mgn(tiny())
    first, second, third = (list(branch.parameters()) for branch in embedder.branches)
    for a, b, c in zip(first, second, third, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(b, c)
        assert len({a.data_ptr(), b.data_ptr(), c.data_ptr()}) == 3
    assert [branch[-1].conv1.stride for branch in embedder.branches] == [(2, 2), (1, 1), (1, 1)]
    common = embedder.shared(torch.zeros(1, 3, 64, 32))
    assert [branch(common).shape[2:] for branch in embedder.branches] == [(4, 2), (8, 4), (8, 4)]


def test_resnet_50_is_divided_after_the_first_block_of_layer3() -> None:
    """1.6: shared up to layer3[0]; 12x4 and 24x8 at 384x128; 8 x 256 = 2048 numbers of unit length."""
    network = resnet50(ResNetParams(), (384, 128))
    network.spec = {}
    embedder = MgnEmbedder(network, Preprocess((384, 128))).eval()
    assert len(embedder.branches[0]) == 5 + 1  # layer3[1:], layer4
    with torch.no_grad():
        images = torch.randn(1, 3, 384, 128)
        common = embedder.shared(images)
        assert common.shape == (1, 1024, 24, 8)
        assert [branch(common).shape[2:] for branch in embedder.branches] == [(12, 4), (24, 8), (24, 8)]
        features = embedder(images)
    assert features.shape == (1, 2048)
    assert features.norm().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("height", [64, 80, 128])
def test_any_height_gives_eight_vectors(height: int) -> None:
    """4.23: stripes by adaptive pooling; 16 rows by three are 6, 6 and 6 with an overlap, not chunks of 6, 6, 4."""
    embedder = mgn(tiny((height, 32)))
    vectors = embedder.vectors(torch.randn(4, 3, height, 32))
    assert len(vectors) == 8
    assert all(vector.shape == (4, 16) for vector in vectors)


def test_stripes_are_where_they_should_be() -> None:
    """4.23: vectors 3 and 4 see upper and lower half, 5 to 7 the thirds, by the maximum of their rows."""
    embedder = mgn(tiny()).eval()
    images = torch.randn(2, 3, 64, 32)
    common = embedder.shared(images)
    halves = embedder.branches[1](common).split(4, 2)
    with torch.no_grad():
        vectors = embedder.vectors(images)
        for number, half in enumerate(halves):
            expected = embedder.reductions[3 + number](half.amax((2, 3), keepdim=True))
            assert torch.allclose(vectors[3 + number], expected, atol=1e-5)
        thirds = embedder.branches[2](common)[:, :, :3].amax((2, 3), keepdim=True)  # rows 0 to 2 of 8
        assert torch.allclose(vectors[5], embedder.reductions[5](thirds), atol=1e-5)


def test_eight_cross_entropies_and_three_triplets() -> None:
    """4.23 and 1.6: the mean over 8 starts at log C; the triplets read the first three vectors."""
    losses = IdentityLosses([16] * 8, 10, smoothing=0.0, margin=1.2, bias=True)
    vectors = [torch.randn(8, 16) for _ in range(8)]
    labels = torch.arange(8) // 2
    each = losses.cross_entropies(losses.logits(vectors), labels)
    assert each.shape == (8,)
    assert each.mean().item() == pytest.approx(math.log(10), abs=0.05)
    assert losses.triplets(vectors[:3], labels).shape == (3,)
    params = MgnParams()
    assert (params.margin, params.triplet_weight, params.lr, params.epochs) == (1.2, 2.0, 2e-4, 400)
    assert [round(m * params.epochs) for m in params.milestones] == [320, 380]


def test_flipping_an_image_changes_nothing_with_the_flip_test() -> None:
    images = torch.randn(2, 3, 64, 32)
    for flip_test in (True, False):
        embedder = mgn(tiny(), flip_test=flip_test).eval()
        same = torch.allclose(embedder(images), embedder(images.flip(3)), atol=1e-5)
        assert same is flip_test


def test_extra_norm_is_on_each_branch() -> None:
    """1.2: LUPerson's fork has one BatchNorm2d on each branch's map."""
    names = mgn(tiny(), extra_norm=True).state_dict().keys() - mgn(tiny()).state_dict().keys()
    assert {name for name in names if name.endswith("weight")} == {f"norms.{number}.weight" for number in range(3)}


def test_an_adapter_gets_the_trained_backbone() -> None:
    """What starts from MGN must not start from random weights: shared part and second branch, as one network."""
    embedder = mgn(tiny())
    with torch.no_grad():
        for parameter in embedder.branches[1].parameters():
            parameter.fill_(0.25)
        for parameter in embedder.shared.parameters():
            parameter.fill_(0.125)
    found = embedder.backbone
    assert {float(p.flatten()[0].detach()) for p in found.stages[3].parameters()} == {0.25}
    assert {float(p.flatten()[0].detach()) for p in found.stem.parameters()} == {0.125}


@pytest.mark.parametrize("make", [bdb, mgn])
def test_embedders_are_rebuilt_from_disk(make: Any, tmp_path: Path) -> None:
    embedder = make(tiny()).eval()
    images = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        for parameter in embedder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_embedder(tmp_path, embedder)
    loaded = load_embedder(tmp_path, lambda spec: tiny(), {"reidbench_baseline": ""})
    assert torch.equal(loaded.eval()(images), embedder(images))


@pytest.mark.parametrize(
    "method", ["{use: bdb, global_dim: 32, drop_dim: 32, lr: 3.0e-3}", "{use: mgn, dim: 16, lr: 3.0e-3}"]
)
def test_they_learn_stripes(method: str, tmp_path: Path, market: Path) -> None:
    """Trained on coloured stripes of four identities, they find four unseen ones better than untrained features."""
    recipe = method.replace("}", ", epochs: 30, identities: 4, images: 2}")
    board = run_matrix(
        f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 8}}
methods:
  untrained: {{finetune: none}}
  trained: {{finetune: {recipe}}}
""",
        tmp_path,
    )
    mean = {summary.method: summary.mean for summary in board.summary if summary.metric == "mAP"}
    assert mean["trained"] > 0.5
    assert mean["trained"] >= mean["untrained"] - 0.05
