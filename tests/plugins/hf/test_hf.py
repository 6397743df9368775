"""Repositories of the hub: equal outputs to transformers, timm models by configuration, and no code execution."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from reidbench.errors import ReidbenchError
from reidbench.testing import run_matrix
from reidbench.training.networks import torchvision_compat  # noqa: F401 - before timm and transformers
from reidbench_hf.backbone import build
from reidbench_hf.params import HfParams

import timm  # isort: skip

SIZE = (64, 32)
pytestmark = pytest.mark.usefixtures("one_thread")


def images() -> torch.Tensor:
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))


# ---------------------------------------------------------------------- timm
def timm_folder(folder: Path, name: str = "test_resnet", weights: str = "model.safetensors", **more: Any) -> Path:
    """A repository like MegaDescriptor's: config.json of timm, and weights with a classifier of seven classes."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    network = timm.create_model(name, pretrained=False, num_classes=7)
    told = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "classifier": "fc"}
    (folder / "config.json").write_text(json.dumps({"architecture": name, "pretrained_cfg": told, **more}))
    if weights.endswith("bin"):
        torch.save(network.state_dict(), folder / weights)
    else:
        save_file(network.state_dict(), folder / weights)
    return folder


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_repository_of_timm_gives_timms_answers(weights: str, tmp_path: Path) -> None:
    folder = timm_folder(tmp_path / "r", weights=weights)
    params = HfParams(weights_file=folder / weights)
    assert params.capabilities() == {"bn"}
    assert params.supervision() == {"unknown pre-training"}
    backbone = build(params, SIZE).eval()
    theirs = timm.create_model("test_resnet", pretrained=False, num_classes=7, checkpoint_path=str(folder / weights))
    with torch.no_grad():
        expected = theirs.eval().forward_head(theirs.forward_features(images()), pre_logits=True)
        assert torch.allclose(backbone(images()).vector, expected, atol=1e-6)
    assert (backbone.mean, backbone.std) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A private cache of the hub without a network, and a function that adds a repository."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def put(commit: str = "a" * 40, **more: Any) -> Path:
        place = tmp_path / "hub" / "models--someone--wild"
        (place / "refs").mkdir(parents=True, exist_ok=True)
        (place / "refs" / "main").write_text(commit)
        return timm_folder(place / "snapshots" / commit, **more)

    return put


@pytest.mark.slow
def test_a_repository_by_name_becomes_a_row(market: Path, tmp_path: Path, cache: Callable[..., Path]) -> None:
    cache()
    text = f"""
image_size: [64, 32]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{target: tiny}}}}
backbone: {{use: hf, model: someone/wild, labels: "WildlifeDatasets labels"}}
methods: {{wild: {{finetune: none}}}}
"""
    (result,) = run_matrix(text, tmp_path).results
    assert (result.status, result.row.protocol) == ("ok", "WildlifeDatasets labels, AP step")
    cache("b" * 40)  # another commit of the same content
    assert run_matrix(text, tmp_path).results[0].row.key == result.row.key
    cache("c" * 40, name="test_convnext")
    assert run_matrix(text, tmp_path).results[0].row.key != result.row.key
    old = text.replace("someone/wild,", f"someone/wild, revision: {'a' * 40},")
    assert run_matrix(old, tmp_path).results[0].status == "ok"


def test_without_network_and_cache_there_is_one_sentence(cache: Any) -> None:
    params = HfParams(model="someone/wild")
    assert (params.config_file, params.weights_file) == (None, None)
    with pytest.raises(ReidbenchError, match=r"someone/wild is not in the cache .* and cannot be fetched"):
        build(params, SIZE)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "a/b/c"}, "is not the name of a repository"),
        ({"config_file": "x/config.json", "revision": "v1"}, "revision needs a repository"),
        ({"config_file": "x/config.json", "labels": "none"}, "the weights are random"),
    ],
)
def test_wrong_parameters(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        HfParams(**given)


def test_nothing_named_is_one_sentence() -> None:
    with pytest.raises(ReidbenchError, match="hf needs `model`, a repository of the hub, or `weights_file`"):
        build(HfParams(), SIZE)


def test_arguments_of_a_configuration_load_nothing(tmp_path: Path) -> None:
    folder = timm_folder(tmp_path / "r", model_args={"checkpoint_path": "/etc/passwd"})
    with pytest.raises(ReidbenchError, match="model_args must not contain checkpoint_path"):
        build(HfParams(weights_file=folder / "model.safetensors"), SIZE)


# ---------------------------------------------------------------------- transformers
TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32}
KINDS: dict[str, tuple[str, dict[str, Any], tuple[int, int]]] = {
    "vit": ("ViT", {**TINY, "patch_size": 8}, (8, 4)),
    "dinov2": ("Dinov2", {**TINY, "patch_size": 16}, (4, 2)),
    "convnext": ("ConvNext", {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}, (2, 1)),
    "resnet": ("ResNet", {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}, (2, 1)),
}


def saved(folder: Path, kind: str, head: str = "Model") -> Any:
    """A tiny network with random weights, in a folder as `save_pretrained` writes it."""
    transformers = pytest.importorskip("transformers", reason="the extra hf is not installed")
    name, options, _ = KINDS[kind]
    torch.manual_seed(5)
    network = getattr(transformers, f"{name}{head}")(getattr(transformers, f"{name}Config")(**options)).eval()
    network.save_pretrained(str(folder))
    told = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return network


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_features_are_transformers_own(kind: str, tmp_path: Path) -> None:
    network = saved(tmp_path, kind)
    backbone = build(HfParams(weights_file=tmp_path / "model.safetensors"), SIZE).eval()
    more = {"interpolate_pos_encoding": True} if kind == "vit" else {}
    with torch.no_grad():
        found, theirs = backbone(images()), network(pixel_values=images(), **more)
    expected = theirs.last_hidden_state[:, 0] if kind == "vit" else theirs.pooler_output.flatten(1)
    assert torch.allclose(found.vector, expected, atol=1e-6)
    assert found.map.shape == (2, backbone.dim, *KINDS[kind][2])
    inner = theirs.last_hidden_state
    patches = inner[:, 1:].mean(1) if inner.ndim == 3 else inner.mean((2, 3))
    assert torch.allclose(found.map.mean((2, 3)), patches, atol=1e-6)
    assert (backbone.mean, backbone.std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.mark.filterwarnings("ignore")
def test_the_file_of_a_classifier_fills_the_network_but_a_cut_one_does_not(tmp_path: Path) -> None:
    network = saved(tmp_path, "vit", "ForImageClassification")
    file = tmp_path / "model.safetensors"
    backbone = build(HfParams(weights_file=file), SIZE).eval()
    with torch.no_grad():
        expected = network.vit(pixel_values=images(), interpolate_pos_encoding=True).last_hidden_state[:, 0]
        assert torch.allclose(backbone(images()).vector, expected, atol=1e-6)
    state = load_file(file)
    gone = next(name for name in state if name.endswith("layernorm.weight"))
    save_file({name: one for name, one in state.items() if name != gone}, file, metadata={"format": "pt"})
    with pytest.raises(ReidbenchError, match=r"1 tensors are missing or of a different shape: layernorm.weight"):
        build(HfParams(weights_file=file), SIZE)


@pytest.mark.filterwarnings("ignore")
def test_batch_norm_is_found_out(tmp_path: Path) -> None:
    saved(tmp_path / "r", "resnet")
    saved(tmp_path / "c", "convnext")
    found = [HfParams(weights_file=tmp_path / name / "model.safetensors").capabilities() for name in "rc"]
    assert found == [{"bn"}, frozenset()]


def test_code_of_a_repository_is_never_run(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the extra hf is not installed")
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass M: pass\nclass C: pass\n")
    config = {"model_type": "theirs", "auto_map": {"AutoConfig": "trap.C", "AutoModel": "trap.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ReidbenchError, match="model_type theirs, which transformers does not know; code in a rep"):
        build(HfParams(config_file=tmp_path / "config.json"), SIZE)
    save_file({"w": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ReidbenchError, match="transformers cannot read it"):
        build(HfParams(weights_file=tmp_path / "model.safetensors"), SIZE)
    assert not (tmp_path / "ran").exists()


def test_without_the_extra_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    params = HfParams(config_file=tmp_path / "config.json")
    assert params.capabilities() == frozenset()
    with pytest.raises(ReidbenchError, match=r"the extra `hf` \(transformers is missing\): pip install"):
        build(params, SIZE)
