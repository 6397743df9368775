"""Baselines: shapes, strides, losses and protocol against the released code of BoT and hand calculation."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from reidbench import report
from reidbench.errors import ReidbenchError
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from reidbench.training import BackboneEmbedder, Preprocess, Update
from reidbench_baseline import bot, frozen, resnet
from reidbench_baseline.params import BotParams, RankingParams, ResNetParams, TinyParams


def test_tiny_has_a_quarter_of_a_million_parameters() -> None:
    network = resnet.resnet_tiny(TinyParams(), (64, 32))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert 200_000 <= count <= 300_000
    features = network(torch.zeros(2, 3, 64, 32))
    assert features.map.shape == (2, 112, 8, 4)
    assert features.vector.shape == (2, network.dim) == (2, 112)


@pytest.mark.parametrize(("depth", "dim", "tensors"), [(18, 512, 120), (50, 2048, 318)])
def test_resnets_have_torchvision_names_and_last_stride_1(depth: int, dim: int, tensors: int) -> None:
    build = getattr(resnet, f"resnet{depth}")
    for stride, height in ((1, 8), (2, 4)):
        network = build(ResNetParams(last_stride=stride), (128, 64))
        with torch.no_grad():
            features = network.eval()(torch.zeros(1, 3, 128, 64))
        assert features.map.shape == (1, dim, height, height // 2)
        assert features.vector.shape == (1, dim)
        assert len(network.state_dict()) == tensors  # 318 without fc for a ResNet-50
        assert "layer4.0.downsample.0.weight" in network.state_dict()
        strided = network.layer4[0].conv2 if depth == 50 else network.layer4[0].conv1
        assert strided.stride == network.layer4[0].downsample[0].stride == (stride, stride)


def test_resnet_is_torchvisions_up_to_the_stride() -> None:
    from reidbench.training.networks.torchvision_compat import torchvision_models

    torch.manual_seed(0)
    reference = torchvision_models().resnet18(weights=None).eval()
    ours = resnet.resnet18(ResNetParams(last_stride=2), (64, 32)).eval()
    ours.load_state_dict({n: t for n, t in reference.state_dict().items() if not n.startswith("fc.")})
    reference.fc = torch.nn.Identity()
    images = torch.randn(2, 3, 64, 32)
    assert torch.allclose(ours(images).vector, reference(images), atol=1e-6)


def test_local_weights_are_loaded_and_strangers_refused(tmp_path: Path) -> None:
    source = resnet.resnet18(ResNetParams(), (64, 32))
    good = tmp_path / "good.pth"
    torch.save({"state_dict": {**source.state_dict(), "fc.weight": torch.zeros(9, 512)}}, good)
    loaded = resnet.resnet18(ResNetParams(weights_file=good), (64, 32))
    assert torch.equal(loaded.conv1.weight, source.conv1.weight)
    partial = tmp_path / "partial.pth"
    torch.save({name: tensor for name, tensor in source.state_dict().items() if "layer4" not in name}, partial)
    with pytest.raises(ReidbenchError, match=r"partial\.pth: 25 of 100 tensors are missing.*: layer4"):
        resnet.resnet18(ResNetParams(weights_file=partial), (64, 32))
    (tmp_path / "junk.pth").write_bytes(b"junk")
    with pytest.raises(ReidbenchError, match=r"junk\.pth: a text file.*it begins with .junk"):
        resnet.resnet18(ResNetParams(weights_file=tmp_path / "junk.pth"), (64, 32))


def test_a_hostile_pickle_is_refused(tmp_path: Path) -> None:
    import pickle

    class Hostile:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "owned",))

    (tmp_path / "hostile.pth").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ReidbenchError, match=r"hostile\.pth: not a file of plain tensors"):
        resnet.resnet18(ResNetParams(weights_file=tmp_path / "hostile.pth"), (64, 32))
    assert not (tmp_path / "owned").exists()


def test_weights_by_name_say_what_to_do_when_they_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(ReidbenchError, match="known: IMAGENET1K_V1"):
        resnet.resnet18(ResNetParams(weights="IMAGENET"), (64, 32))
    with pytest.raises(ReidbenchError, match="put the file there or use weights_file"):
        resnet.resnet18(ResNetParams(weights="IMAGENET1K_V1"), (64, 32))


def test_weights_or_a_file_not_both(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not both"):
        ResNetParams(weights="IMAGENET1K_V1", weights_file=tmp_path / "x")


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
    assert both.classifier.bias is None
    assert both.classifier.weight.std().item() == pytest.approx(0.001, rel=0.05)


def test_triplet_reads_before_and_cross_entropy_after_the_neck() -> None:
    _, both = losses()
    labels = torch.tensor([0, 0, 1, 1])
    before, after = torch.randn(4, both.classifier.in_features), torch.randn(4, both.classifier.in_features)
    with torch.no_grad():
        expected = both.cross_entropy(both.classifier(after), labels) + both.triplet(before, labels)
        assert both(before, after, labels).item() == pytest.approx(expected.item(), abs=1e-6)


def test_one_step_moves_centres_by_their_own_rate_and_never_the_neck_bias() -> None:
    moved = {}
    for weight in (5e-4, 5e-2):
        embedder, both = losses(center_weight=weight)
        optimisers = bot._optimisers(embedder, both, both.params)
        update = Update(Fabric(accelerator="cpu", devices=1), *optimisers.values())
        before = both.center.centers.detach().clone()
        torch.manual_seed(1)
        bot._step(embedder, both, update, torch.randn(8, 3, 32, 16), torch.arange(8) // 4)
        moved[weight] = both.center.centers.detach() - before
        assert embedder.neck.norm.bias.abs().max() == 0  # type: ignore[union-attr]
        assert embedder.neck.norm.bias.requires_grad is False  # type: ignore[union-attr]
    assert moved[5e-4].abs().max() > 0
    assert torch.allclose(moved[5e-4], moved[5e-2], atol=1e-4)


def test_defaults_are_the_papers() -> None:
    params = BotParams()
    assert (params.epochs, params.identities, params.images) == (120, 16, 4)
    assert (params.lr, params.weight_decay, params.margin, params.label_smoothing) == (3.5e-4, 5e-4, 0.3, 0.1)
    augment = bot._augment(params, 256)
    assert (augment.flip, augment.pad, augment.erase, augment.erase_area) == (0.5, 10, 0.5, (0.02, 0.4))
    assert bot._augment(params, 64).pad == 2


def test_histogram_by_hand() -> None:
    embedder = frozen.ColourHistogram(Preprocess((4, 4), (0, 0, 0), (1, 1, 1)), stripes=2, bins=2, middle=0.5)
    image = torch.zeros(1, 3, 4, 4)
    image[0, 0, :, 2] = 1.0  # one of the two middle columns is red, everywhere
    image[0, 1, 2:, :] = 0.6  # the lower half is greenish
    features = embedder(image)[0].view(2, 8)  # stripe x colour; colour = 4 red + 2 green + blue
    assert features[0].tolist() == [0.5, 0, 0, 0, 0.5, 0, 0, 0]
    assert features[1].tolist() == [0, 0, 0.5, 0, 0, 0, 0.5, 0]


def test_cosine_protocol_words() -> None:
    assert RankingParams().protocol() == {"AP step"}
    words = RankingParams(ap="trapezoid", camera="none", invalid="zero", ties="worst").protocol()
    assert words == {"AP trapezoid", "no camera rule", "invalid queries count 0", "ties worst"}


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


def test_evaluation_keeps_per_query_results(tmp_path: Path, matrix: Callable[..., Path], market: Path) -> None:
    board = run_matrix(matrix().read_text(), tmp_path)
    (result,) = board.results
    folder = Store(tmp_path / "store").path(result.row.key or "")
    per_query = np.load(folder / "per_query.npz")
    assert per_query["ap"].shape == (8,)  # 4 test identities x 2 cameras
    assert np.nanmean(per_query["ap"]) == pytest.approx(result.metrics["mAP"], abs=1e-12)
    assert report.write(board, "csv").count("\n") == 2


def test_declared_params_are_documented(registry: plugins.Registry) -> None:
    for (kind, name), component in registry.components.items():
        for field, info in component.params.model_fields.items():
            assert info.description, f"{kind} {name}: {field}"
