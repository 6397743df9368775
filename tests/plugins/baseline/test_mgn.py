"""MGN: branches, stripes and losses, as in the paper and its released code; parts shared by BoT, BDB and MGN."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reidbench import FinetuneContext
from reidbench.data import read_market_folder
from reidbench.matrix.benchmark import Choice
from reidbench.registry import plugins
from reidbench.testing import run_matrix
from reidbench.training import Backbone, IdentityLosses, IdentitySampler, Preprocess
from reidbench.training.weights.artifacts import load_embedder, save_embedder
from reidbench_baseline.bdb import BdbEmbedder
from reidbench_baseline.mgn import MgnEmbedder, MgnLosses, _optimiser, _sampler, start_as_published
from reidbench_baseline.params import MgnParams, ResNetParams, TinyParams
from reidbench_baseline.resnet import resnet50, resnet_tiny
from tests.support.contexts import check_resumes, make_context

pytestmark = pytest.mark.usefixtures("one_thread")


def tiny(size: tuple[int, int] = (64, 32)) -> Backbone:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), size)
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": list(size)}
    return network


def bdb(network: Backbone) -> BdbEmbedder:
    return BdbEmbedder(network, Preprocess((64, 32)), 16, 24, 0.33, 1.0)


def mgn(network: Backbone, **params: Any) -> MgnEmbedder:
    return MgnEmbedder(network, Preprocess((64, 32)), **{"dim": 16, "pool": "max", **params})


# ---------------------------------------------------------------------- MGN
def test_branches_are_equal_copies_that_are_not_tied() -> None:
    """p1, p2, p3 have equal parameters at step 0, in separate storage; strides 2, 1, 1."""
    embedder = mgn(tiny())
    first, second, third = (list(branch.parameters()) for branch in embedder.branches)
    for a, b, c in zip(first, second, third, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(b, c)
        assert len({a.data_ptr(), b.data_ptr(), c.data_ptr()}) == 3
    assert [branch[-1].conv1.stride for branch in embedder.branches] == [(2, 2), (1, 1), (1, 1)]
    common = embedder.shared(torch.zeros(1, 3, 64, 32))
    assert [branch(common).shape[2:] for branch in embedder.branches] == [(4, 2), (8, 4), (8, 4)]


@pytest.mark.slow
def test_resnet_50_is_divided_after_the_first_block_of_layer3() -> None:
    """Shared up to layer3[0]; 12x4 and 24x8 at 384x128; 8 x 256 = 2048 numbers of unit length."""
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
    """Stripes by adaptive pooling; 16 rows by three are 6, 6 and 6 with an overlap, not chunks of 6, 6, 4."""
    embedder = mgn(tiny((height, 32)))
    vectors = embedder.vectors(torch.randn(4, 3, height, 32))
    assert len(vectors) == 8
    assert all(vector.shape == (4, 16) for vector in vectors)


def test_stripes_are_where_they_should_be() -> None:
    """Vectors 3 and 4 see upper and lower half, 5 to 7 the thirds, by the maximum of their rows."""
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
    """The mean over 8 starts at log C; the triplets read the first three vectors."""
    losses = IdentityLosses([16] * 8, 10, smoothing=0.0, margin=1.2, bias=True)
    vectors = [torch.randn(8, 16) for _ in range(8)]
    labels = torch.arange(8) // 2
    each = losses.cross_entropies(losses.logits(vectors), labels)
    assert each.shape == (8,)
    assert each.mean().item() == pytest.approx(math.log(10), abs=0.05)
    assert losses.triplets(vectors[:3], labels).shape == (3,)
    params = MgnParams()
    assert (params.margin, params.triplet_weight, params.lr, params.epochs) == (1.2, 2.0, 2e-4, 400)
    assert (params.pool, params.passes, params.start) == ("avg", "identities", "fan-out")
    assert [round(m * params.epochs) for m in params.milestones] == [320, 380]


def test_the_schedule_has_the_steps_of_the_script() -> None:
    """751 identities of 16 to a batch are 46 batches of 64 and one of 60 images: 18,800 steps in 400 epochs."""
    params = MgnParams()
    labels = np.repeat(np.arange(751), np.random.default_rng(0).integers(2, 40, 751))
    batches = list(_sampler(params, labels, torch.Generator()))
    assert [len(batch) for batch in batches] == [64] * 46 + [60]
    assert len(batches) * params.epochs == 18_800
    seen = labels[np.concatenate(batches)]
    assert np.bincount(seen).tolist() == [4] * 751
    images = MgnParams(passes="images")
    assert isinstance(_sampler(images, labels, torch.Generator()), IdentitySampler)


def test_layers_start_as_published() -> None:
    """Classifiers sqrt(2 / 751) = .0516; norms N(1, .02); all eight reductions equal; small: N(0, .001)."""
    torch.manual_seed(0)
    losses = MgnLosses(MgnParams(), 751)
    for head in losses.classifiers:
        assert float(head.weight.detach().std()) == pytest.approx(math.sqrt(2 / 751), rel=0.01)
        assert float(head.bias.detach().abs().max()) == 0
    embedder = mgn(tiny(), dim=256)
    start_as_published(embedder)
    first = embedder.reductions[0].state_dict()
    assert all(torch.equal(first[name], one.state_dict()[name]) for one in embedder.reductions for name in first)
    assert float(first["norm.weight"].detach().mean()) == pytest.approx(1, abs=0.005)
    assert float(first["norm.weight"].detach().std()) == pytest.approx(0.02, rel=0.2)
    assert float(first["convolution.weight"].detach().std()) == pytest.approx(
        math.sqrt(2 / 28), rel=0.05
    )  # fan in of 4 x 7
    small = MgnLosses(MgnParams(start="small"), 751).classifiers[0].weight.detach()
    assert float(small.std()) == pytest.approx(0.001, rel=0.01)


def test_flipping_an_image_changes_nothing_with_the_flip_test() -> None:
    images = torch.randn(2, 3, 64, 32)
    for flip_test in (True, False):
        embedder = mgn(tiny(), flip_test=flip_test).eval()
        same = torch.allclose(embedder(images), embedder(images.flip(3)), atol=1e-5)
        assert same is flip_test


def test_extra_norm_is_on_each_branch() -> None:
    """LUPerson's fork has one BatchNorm2d on each branch's map."""
    names = mgn(tiny(), extra_norm=True).state_dict().keys() - mgn(tiny()).state_dict().keys()
    assert {name for name in names if name.endswith("weight")} == {f"norms.{number}.weight" for number in range(3)}


def test_an_adapter_gets_the_trained_backbone() -> None:
    """Steps after MGN continue from its weights: shared part and second branch, as one network."""
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", ["{use: bdb, global_dim: 32, drop_dim: 32, lr: 3.0e-3}", "{use: mgn, dim: 16, lr: 3.0e-3}"]
)
def test_they_learn_stripes(method: str, tmp_path: Path, market: Path) -> None:
    """Trained on coloured stripes of four identities, they find four unseen ones better than untrained features do."""
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
    protocols = {result.row.method: result.row.protocol for result in board.results}
    flip = ", flip" if "mgn" in method else ""
    assert protocols == {"untrained": "no labels, AP step", "trained": f"source labels{flip}, AP step"}
    mean = {summary.method: summary.mean for summary in board.summary if summary.metric == "mAP"}
    assert mean["trained"] > 0.5
    assert mean["trained"] >= mean["untrained"] - 0.05


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("method", ["bot", "bdb", "mgn"])
def test_killed_and_resumed_is_uninterrupted(
    method: str, accumulate: int, tmp_path: Path, market: Path, registry: plugins.Registry
) -> None:
    component = registry.get("finetuner", method)
    small = {"bot": {"center_weight": 0.0005}, "bdb": {"global_dim": 8, "drop_dim": 8}, "mgn": {"dim": 8}}[method]
    params = component.params(epochs=3, identities=4, images=2, accumulate=accumulate, **small)
    source = read_market_folder(market).train

    def made(out: Path, die_after: int) -> Any:
        size = (64, 32)
        return make_context(
            FinetuneContext, out, params, die_after=die_after, image_size=size, source=source, backbone=tiny
        )

    check_resumes(tmp_path, made, component.load(), 1)


def test_the_papers_optimiser_is_an_option_that_leaves_keys_as_they_were(registry: plugins.Registry) -> None:
    """SGD at .01 with momentum .9; by default neither word is in the key."""
    weight = torch.nn.Parameter(torch.zeros(1))
    sgd = _optimiser(MgnParams(optimiser="sgd", lr=0.01), [weight])
    assert isinstance(sgd, torch.optim.SGD)
    assert {name: sgd.defaults[name] for name in ("lr", "momentum", "weight_decay", "nesterov")} == {
        "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": False,
    }  # fmt: skip
    adam = _optimiser(MgnParams(), [weight])
    assert isinstance(adam, torch.optim.Adam)
    assert (adam.defaults["lr"], adam.defaults["amsgrad"]) == (2e-4, True)
    component = registry.get("finetuner", "mgn")
    default, other = (
        Choice("finetuner", component, params, {}).identity["params"]
        for params in (MgnParams(), MgnParams(optimiser="sgd"))
    )
    assert not {"optimiser", "momentum", "classify"} & default.keys()
    assert other["optimiser"] == "sgd"
