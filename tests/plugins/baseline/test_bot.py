"""BoT: losses, steps and defaults by hand and by the released code; keys of older results."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from reidbench.matrix.benchmark import Choice
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from reidbench.training import BackboneEmbedder, Preprocess, Update, read_state
from reidbench.training.batches.augment import bot_augment
from reidbench_baseline import bot, resnet
from reidbench_baseline.params import BotParams, TinyParams


def losses(**params: Any) -> tuple[BackboneEmbedder, Any]:
    torch.manual_seed(0)
    network = resnet.resnet_tiny(TinyParams(width=4), (32, 16))
    network.spec = {}
    embedder = BackboneEmbedder(network, Preprocess((32, 16)), neck=True)
    return embedder, bot._Losses(BotParams(**params), 751, network.dim)


def test_first_cross_entropy_is_log_c() -> None:
    """The classifier starts at std .001, so that the first loss is log C within .05."""
    embedder, both = losses(triplet_weight=0)
    before = embedder.backbone(torch.randn(64, 3, 32, 16)).vector
    loss = both(before, embedder.neck(before), torch.arange(64))
    assert loss.item() == pytest.approx(math.log(751), abs=0.05)
    assert both.classifiers[0].bias is None
    assert both.classifiers[0].weight.std().item() == pytest.approx(0.001, rel=0.05)


def test_triplet_reads_before_and_cross_entropy_after_the_neck() -> None:
    _, both = losses()
    labels = torch.tensor([0, 0, 1, 1])
    before, after = torch.randn(4, both.classifiers[0].in_features), torch.randn(4, both.classifiers[0].in_features)
    with torch.no_grad():
        expected = both.cross_entropy(both.classifiers[0](after), labels) + both.triplet(before, labels)
        assert both(before, after, labels).item() == pytest.approx(expected.item(), abs=1e-6)


def test_without_the_neck_all_losses_read_the_pooled_feature() -> None:
    """As in the official code with `MODEL.NECK no`: a classifier with a bias, and PyTorch's initial weights."""
    torch.manual_seed(0)
    network = resnet.resnet_tiny(TinyParams(width=4), (32, 16))
    network.spec = {}
    embedder = BackboneEmbedder(network, Preprocess((32, 16)), neck=False)
    both = bot._Losses(BotParams(neck=False), 751, network.dim)
    (classifier,) = both.classifiers
    bound = 1 / math.sqrt(network.dim)
    assert classifier.bias is not None
    assert 0.9 * bound < classifier.weight.abs().max().item() <= bound
    images, labels = torch.randn(4, 3, 32, 16), torch.tensor([0, 0, 1, 1])
    step = bot._Step(embedder, both, None)
    with torch.no_grad():
        (pooled,) = step.vectors(images, labels)
        expected = both.cross_entropy(classifier(pooled), labels) + both.triplet(pooled, labels)
        assert step.values([pooled], labels)["loss"].item() == pytest.approx(expected.item(), abs=1e-6)
        embedder.eval()
        assert torch.equal(embedder(images), embedder.before_neck(images))


def test_one_step_moves_centres_by_their_own_rate_and_never_the_neck_bias() -> None:
    moved = {}
    for weight in (5e-4, 5e-2):
        embedder, both = losses(center_weight=weight)
        optimisers = bot._optimisers(embedder, both, both.params)
        update = Update(Fabric(accelerator="cpu", devices=1), *optimisers.values())
        labels = torch.arange(8) // 4
        before = both.center.centers.detach().clone()
        torch.manual_seed(1)
        vector = embedder.backbone(torch.randn(8, 3, 32, 16)).vector
        update.backward(both(vector, embedder.neck(vector), labels))
        both.scale_centres()
        update.step()
        moved[weight] = both.center.centers.detach() - before
        assert embedder.neck.norm.bias.abs().max() == 0  # type: ignore[union-attr]
        assert embedder.neck.norm.bias.requires_grad is False  # type: ignore[union-attr]
    assert moved[5e-4].abs().max() > 0
    assert torch.allclose(moved[5e-4], moved[5e-2], atol=1e-4)


def test_defaults_are_the_papers() -> None:
    params = BotParams()
    assert (params.epochs, params.identities, params.images) == (120, 16, 4)
    assert (params.lr, params.weight_decay, params.margin, params.label_smoothing) == (3.5e-4, 5e-4, 0.3, 0.1)
    augment = bot_augment(params.flip, params.pad, params.erase, 256)
    assert (augment.flip, augment.pad, augment.erase, augment.erase_area) == (0.5, 10, 0.5, (0.02, 0.4))
    assert bot_augment(params.flip, params.pad, params.erase, 64).pad == 2


@pytest.mark.slow
def test_bot_learns_stripes(tmp_path: Path, market: Path) -> None:
    """Trained on coloured stripes of four identities, it finds four unseen ones better than chance and than before."""
    board = run_matrix(
        f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 8}}
methods:
  untrained: {{finetune: none}}
  bot: {{finetune: {{use: bot, epochs: 40, images: 2, identities: 4, lr: 3e-3, center_weight: 5e-4}}}}
""",
        tmp_path,
    )
    mean = {summary.method: summary.mean for summary in board.summary if summary.metric == "mAP"}
    assert mean["bot"] > 0.5
    assert mean["bot"] >= mean["untrained"]
    store = Store(tmp_path / "store")
    (log,) = (store.path(key) / "log.jsonl" for key in store.keys() if (store.path(key) / "log.jsonl").exists())  # noqa: SIM118
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 40
    assert lines[-1]["loss"] < lines[0]["loss"]


@pytest.mark.slow
def test_bot_takes_the_fast_pipeline_or_says_what_to_install(tmp_path: Path, market: Path) -> None:
    text = f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 8}}
methods: {{bot: {{finetune: {{use: bot, epochs: 40, images: 2, identities: 4, lr: 3e-3, fast: true}}}}}}
"""
    (result,) = run_matrix(text, tmp_path).results
    try:
        import cv2  # noqa: F401
        import simplejpeg  # noqa: F401
    except ImportError:
        assert result.status == "blocked"
        assert "fast" in result.error
        return
    assert result.metrics["mAP"] > 0.5


def test_bot_pools_by_the_generalised_mean_where_there_is_a_map(tmp_path: Path, market: Path) -> None:
    """The learned exponent moves, the fixed one does not, and a transformer has no map to pool."""
    text = f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: BACKBONE}}
methods:
  gem: {{finetune: {{use: bot, epochs: 1, images: 2, identities: 4, pool: gem}}}}
  gem-fixed: {{finetune: {{use: bot, epochs: 1, images: 2, identities: 4, pool: gem-fixed}}}}
"""
    run_matrix(text.replace("BACKBONE", "resnet-tiny, width: 4"), tmp_path)
    store = Store(tmp_path / "store")
    exponents = {}
    for key in store.keys():  # noqa: SIM118
        stage = store.manifest(key).manifest["stage"]
        if stage["use"] == "bot":
            state = read_state(store.path(key) / "embedder.safetensors")
            exponents[stage["params"]["pool"]] = state["pool.exponent"].item()
    assert exponents["gem-fixed"] == 3
    assert 0 < abs(exponents["gem"] - 3) < 0.1
    (tmp_path / "vit").mkdir()
    results = run_matrix(text.replace("BACKBONE", "vit-tiny"), tmp_path / "vit").results
    reasons = {(result.status, result.error) for result in results}
    assert reasons == {("not-applicable", "bot needs stages, which vit-tiny does not provide")}


def test_the_default_pooling_is_no_part_of_the_key() -> None:
    """Results from before this parameter keep their keys."""
    component = plugins.load().get("finetuner", "bot")
    assert "pool" not in Choice("finetuner", component, BotParams()).identity["params"]
    assert Choice("finetuner", component, BotParams(pool="gem")).identity["params"]["pool"] == "gem"
    assert "neck" not in Choice("finetuner", component, BotParams()).identity["params"]
    assert Choice("finetuner", component, BotParams(neck=False)).identity["params"]["neck"] is False
