"""timm models by name: outputs equal to timm's, capabilities, weights and their key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from reidbench.errors import ReidbenchError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.testing import run_matrix
from reidbench.training.networks.timm_backbone import build as built
from reidbench.training.networks.timm_backbone import capabilities_of
from reidbench_timm.backbone import build
from reidbench_timm.labels import labels_of
from reidbench_timm.params import TimmParams

import timm  # isort: skip - behind torchvision_compat

SIZE = (64, 32)
NAME = "test_resnet.r160_in1k"
pytestmark = pytest.mark.usefixtures("one_thread")


def images(count: int = 2, size: tuple[int, int] = SIZE) -> torch.Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts weights of timm's network into a private cache of the hub, without a network connection."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def put(name: str = NAME, seed: int = 0, commit: str = "a" * 40, classes: int = 1000) -> Path:
        torch.manual_seed(seed)
        folder = tmp_path / "hub" / f"models--timm--{name}"
        for inner, file in (("refs", "main"), (f"snapshots/{commit}", "model.safetensors")):
            (folder / inner).mkdir(parents=True, exist_ok=True)
            place = folder / inner / file
        (folder / "refs" / "main").write_text(commit)
        save_file(timm.create_model(name, pretrained=False, num_classes=classes).state_dict(), place)
        return place

    return put


# ---------------------------------------------------------------------- three lines
@pytest.mark.slow
def test_three_lines_from_a_name_to_a_scored_row(market: Path, tmp_path: Path) -> None:
    text = f"image_size: [64, 32]\ndata: {{tiny: {{use: market-folder, root: {market}}}}}\n"
    text += "tasks: {t: {target: tiny}}\n"
    text += "methods:\n  mine:\n    backbone: {use: timm, model: test_convnext.r160_in1k, pretrained: false}\n"
    board = run_matrix(text + "    finetune: none\n", tmp_path)
    (result,) = board.results
    assert (result.status, result.row.protocol) == ("ok", "no labels, AP step")
    assert 0 < result.metrics["mAP"] <= 1


@pytest.mark.slow
def test_it_can_be_trained_and_comes_back(market: Path, tmp_path: Path) -> None:
    """mgn requires stages, moco-v2 requires bn; the embed stage rebuilds a saved network."""
    board = run_matrix(
        f"""
image_size: [64, 32]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: tiny, target: tiny, pool: tiny}}}}
backbone: {{use: timm, model: {NAME}, pretrained: false}}
methods:
  mgn: {{backbone: {{use: timm, model: regnetx_002, pretrained: false}},
    finetune: {{use: mgn, epochs: 1, identities: 2, images: 2, dim: 4}}}}
  moco: {{pretrain: {{use: moco-v2, epochs: 1, batch: 8, splits: 2, queue: 16, dim: 16}}, finetune: none}}
  vit: {{backbone: {{use: timm, model: test_vit, pretrained: false}}, finetune: {{use: mgn, epochs: 1}}}}
""",
        tmp_path,
    )
    found = {result.row.method: (result.status, result.row.reason or result.error) for result in board.results}
    assert found["mgn"] == found["moco"] == ("ok", "")
    assert found["vit"] == ("not-applicable", "mgn needs stages, which timm does not provide")


# ---------------------------------------------------------------------- the same answers
@pytest.mark.parametrize(
    "name", ["test_resnet", "test_convnext", "test_vit", "mobilenetv3_small_050", "test_efficientnet"]
)
def test_the_vector_is_timms_own_answer(name: str) -> None:
    """The vector equals the input of timm's classifier."""
    backbone = built(name, SIZE).eval()
    sized = {"img_size": SIZE} if "vit" in name else {}
    theirs = timm.create_model(name, pretrained=False, num_classes=0, **sized).eval()
    theirs.load_state_dict(backbone.network.state_dict())
    with torch.no_grad():
        found, expected = backbone(images()), theirs(images())
    assert torch.allclose(found.vector, expected, atol=1e-6)
    assert found.vector.shape == found.map.shape[:2] == (2, backbone.dim)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("test_resnet", (4, 2)),  # strides of 32: 128x64 to 4x2
        ("test_vit", (8, 4)),  # patches of 16
        ("swin_tiny_patch4_window7_224", (4, 2)),
        ("mobilenetv3_small_050", (1, 1)),  # 288 channels before pooling, 1024 behind it
    ],
)
def test_maps_have_the_places_of_the_image(name: str, shape: tuple[int, int]) -> None:
    with torch.device("meta"):
        backbone = built(name, (128, 64)).eval()
        found = backbone(torch.zeros(2, 3, 128, 64))
    assert found.map.shape == (2, backbone.dim, *shape)


def test_patches_of_a_transformer_are_on_the_map_where_they_are_in_the_image() -> None:
    """The map's mean is the mean of the patch tokens, and a change in the lower right patch is largest there."""
    backbone = built("test_vit", SIZE).eval()
    changed = images(1)
    changed[:, :, 48:, 16:] += 5
    with torch.no_grad():
        first, second = backbone(images(1)), backbone(changed)
        tokens = backbone.network.forward_features(images(1))
    assert torch.allclose(first.map.mean((2, 3)), tokens[:, 1:].mean(1), atol=1e-6)
    difference = (first.map - second.map).abs().sum(1)[0]
    assert difference.argmax().item() == difference.numel() - 1


# ---------------------------------------------------------------------- what they can do
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", {"stages", "bn"}),
        ("resnet50.a1_in1k", {"stages", "bn"}),
        ("resnet50d", {"bn"}),  # the stride of a pooled shortcut cannot be set
        ("regnety_002", {"stages"}),  # its batch norms have their activation within
        ("convnext_tiny.fb_in22k", set()),
        ("efficientnet_b0", set()),
        ("vgg11_bn", {"bn"}),  # a convolution is between its map and its vector
        ("vit_tiny_patch16_224", set()),
    ],
)
def test_capabilities_are_found_out(name: str, expected: set[str]) -> None:
    assert capabilities_of(name) == expected


@pytest.mark.parametrize("name", ["resnet18", "regnetx_002"])
def test_stem_and_stages_are_the_network_and_their_map_is_positive(name: str) -> None:
    backbone = built(name, SIZE).eval()
    with torch.no_grad():
        maps = backbone.stem(images())
        for stage in backbone.stages:
            maps = stage(maps)
        expected = backbone(images()).map
    assert torch.equal(maps, expected)
    assert maps.min() >= 0


# ---------------------------------------------------------------------- weights
def test_weights_come_from_the_cache_without_a_network(hub: Callable[..., Path]) -> None:
    """A released file contains a classifier of 1000 classes, which is ignored."""
    file = hub()
    params = TimmParams(model=NAME)
    assert params.weights_file == file
    assert params.supervision() == {"ImageNet labels"}
    backbone = build(params, SIZE).eval()
    theirs = timm.create_model(NAME, pretrained=False, checkpoint_path=str(file)).eval()
    with torch.no_grad():
        expected = theirs.forward_head(theirs.forward_features(images()), pre_logits=True)
        assert torch.allclose(backbone(images()).vector, expected, atol=1e-6)
    assert backbone.mean == tuple(theirs.pretrained_cfg["mean"])


def test_position_embeddings_of_another_size_are_resized_as_timm_does(hub: Callable[..., Path]) -> None:
    name = "test_vit.r160_in1k"
    file = hub(name)
    backbone = build(TimmParams(model=name), SIZE).eval()
    theirs = timm.create_model(
        name, pretrained=True, num_classes=0, img_size=SIZE, pretrained_cfg_overlay={"file": str(file)}
    )
    expected = theirs.state_dict()
    found = backbone.network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert found["pos_embed"].shape[1] == 1 + 4 * 2
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5)


def key_of(market: Path, folder: Path, backbone: str) -> str:
    (folder / "m.yaml").write_text(
        f"image_size: [64, 32]\ndata: {{tiny: {{use: market-folder, root: {market}}}}}\n"
        f"tasks: {{t: {{target: tiny}}}}\nbackbone: {{use: timm, model: {NAME}{backbone}}}\n"
        f"methods: {{m: {{finetune: none}}}}\n"
    )
    (row,) = plan.expand(reader.read(folder / "m.yaml", plugins.load())).rows
    assert row.key is not None
    return row.key


def test_the_key_holds_the_content_of_the_weights(market: Path, tmp_path: Path, hub: Callable[..., Path]) -> None:
    hub(seed=0)
    first = key_of(market, tmp_path, "")
    hub(seed=0, commit="b" * 40)  # a new commit with the same weights
    assert key_of(market, tmp_path, "") == first
    hub(seed=1, commit="c" * 40)
    others = {key_of(market, tmp_path, more) for more in ("", f", revision: {'b' * 40}", ", pretrained: false")}
    assert len(others | {first}) == 4


def test_without_network_and_cache_there_is_one_sentence(market: Path, tmp_path: Path, hub: Any) -> None:
    params = TimmParams(model=NAME)
    assert params.weights_file is None
    with pytest.raises(ReidbenchError) as caught:
        build(params, SIZE)
    assert str(caught.value).startswith(f"timm/{NAME} is not in the cache {tmp_path / 'hub'} and cannot be fetched")
    assert "\n" not in str(caught.value)
    assert key_of(market, tmp_path, "")  # a plan can be made all the same


def test_a_rehearsal_needs_no_weights(registry: plugins.Registry, hub: Any) -> None:
    component = registry.get("backbone", "timm")
    given = {"model": NAME, "revision": "v1", "labels": "ImageNet labels"}
    params = component.params(**{**given, **component.rehearsal})
    assert build(params, SIZE).dim == 96


def test_fetched_weights_are_used_from_the_next_plan_on(
    hub: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No result is stored under a key without the content of its weights."""
    from reidbench.files import hub as files

    params = TimmParams(model=NAME)
    monkeypatch.setattr(files, "fetch", lambda place, names, revision: hub())
    with pytest.raises(ReidbenchError, match="have been downloaded, so run the same command again"):
        build(params, SIZE)
    again = TimmParams(model=NAME)
    assert again.weights_file is not None
    assert build(again, SIZE).dim == 96


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = timm.create_model(NAME, pretrained=False, num_classes=7)
    torch.save(
        {"state_dict": {f"module.{name}": one for name, one in network.state_dict().items()}}, tmp_path / "w.pth"
    )
    params = TimmParams(model=NAME, weights_file=tmp_path / "w.pth", labels="MSMT17 labels")
    assert (params.pretrained, params.supervision(), params.traits()) == (False, {"MSMT17 labels"}, {"seedless"})
    found = build(params, SIZE).network.state_dict()
    assert all(torch.equal(found[name], one) for name, one in network.state_dict().items() if name in found)
    assert TimmParams(model=NAME, weights_file=tmp_path / "w.pth").supervision() == {"unknown pre-training"}


# ---------------------------------------------------------------------- one sentence
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "convnext_tinny", "pretrained": False}, "no model convnext_tinny; did you mean convnext_tiny?"),
        ({"model": "resnet50.nobody", "pretrained": False}, "timm has no model resnet50.nobody"),
        ({"model": "hf-hub:someone/model"}, "timm has no model hf-hub:someone/model"),
        ({"model": "mixer_s32_224"}, "no weights of mixer_s32_224 on the hub"),
        ({"model": NAME, "pretrained": False, "labels": "none"}, "the weights are random"),
        ({"model": NAME, "pretrained": False, "revision": "v1"}, "revision needs pretrained weights"),
        ({"model": "crossvit_9_240", "pretrained": False}, "does not return a single vector"),
    ],
)
def test_wrong_parameters(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words.replace("?", r"\?")):
        TimmParams(**given)


def test_an_image_size_that_a_model_cannot_take() -> None:
    with pytest.raises(ReidbenchError, match=r"timm's inception_v4 cannot take images of 64x32: .*set another"):
        built("inception_v4", SIZE)


def test_a_file_that_lacks_a_tensor_or_is_of_another_model(tmp_path: Path) -> None:
    state = timm.create_model(NAME, pretrained=False).state_dict()
    save_file({name: one for name, one in state.items() if name != "layer3.0.conv1.weight"}, tmp_path / "w.safetensors")
    with pytest.raises(ReidbenchError, match=r"w.safetensors: 1 of \d+ tensors are missing.*layer3.0.conv1.weight"):
        build(TimmParams(model=NAME, weights_file=tmp_path / "w.safetensors"), SIZE)
    save_file(timm.create_model("test_vit", pretrained=False).state_dict(), tmp_path / "vit.safetensors")
    with pytest.raises(ReidbenchError, match=r"vit.safetensors: "):
        build(TimmParams(model=NAME, weights_file=tmp_path / "vit.safetensors"), SIZE)


# ---------------------------------------------------------------------- labels
@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("fb_in22k", {"ImageNet-22k labels"}),
        ("fb_in22k_ft_in1k", {"ImageNet-22k labels", "ImageNet labels"}),
        ("a1_in1k", {"ImageNet labels"}),
        ("augreg_in21k", {"ImageNet-21k labels"}),
        ("laion2b_ft_in12k_in1k", {"unknown pre-training", "ImageNet-12k labels", "ImageNet labels"}),
        ("lvd142m", {"unknown pre-training"}),
        ("mim_in22k", {"unknown pre-training"}),  # of the pictures alone, after a network that knows more
        ("fb_swsl_ig1b_ft_in1k", {"unknown pre-training", "ImageNet labels"}),
        ("", {"unknown pre-training"}),
    ],
)
def test_labels_are_those_that_the_tag_names(tag: str, expected: set[str]) -> None:
    assert labels_of(tag) == expected


def test_every_word_of_timms_tags_is_allowed_in_the_protocol() -> None:
    from reidbench.words import is_supervision

    tags = {name.partition(".")[2] for name in timm.list_models(pretrained=True)}
    assert len(tags) > 100
    assert all(is_supervision(word) for tag in tags for word in labels_of(tag))
