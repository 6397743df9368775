"""clip-reid as a stage: it learns, resumes, is rebuilt from disk, and refuses wrong parameters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reidbench import Amount, FinetuneContext
from reidbench.data import Dataset, Split, read_market_folder
from reidbench.errors import DataError, ReidbenchError
from reidbench.registry.plugins import Registry
from reidbench.testing import write_market_folder
from reidbench.training import Backbone, Preprocess
from reidbench.training.weights.artifacts import load_embedder, save_embedder
from reidbench_clip import finetune
from reidbench_clip.embedder import ClipEmbedder
from reidbench_clip.encoders import clip_vit_tiny
from reidbench_clip.params import ClipReidParams, ClipViTTinyParams
from tests.support.contexts import NEVER, Lines, check_resumes, make_context
from tests.support.recipes import counted_steps, preset, rehearsed, workload

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
TEXT: dict[str, Any] = {"text_dim": 16, "text_depth": 1, "text_heads": 2}
SMALL: dict[str, Any] = {
    **TEXT, "prompt_epochs": 2, "prompt_batch": 16, "epochs": 2, "identities": 4, "images": 2, "lr": 1e-3,
}  # fmt: skip


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """12 + 12 identities of two cameras with two images each, 32x16."""
    return read_market_folder(write_market_folder(tmp_path_factory.mktemp("people"), identities=12), name="people")


def network() -> Backbone:
    """A transformer with 4x2 patches of 32x16 images."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        made = clip_vit_tiny(ClipViTTinyParams(dim=24, depth=2, heads=2, shared=12), SIZE)
    made.spec = {"use": "clip-vit-tiny", "params": {"dim": 24}, "image_size": [32, 16]}
    return made


def context(
    source: Split | None, params: ClipReidParams, out: Path, *, die_after: int = NEVER, **parts: Any
) -> tuple[FinetuneContext, Lines]:
    return make_context(
        FinetuneContext, out, params, die_after=die_after, image_size=SIZE, source=source, backbone=network, **parts
    )


def test_both_stages_lower_their_losses(people: Dataset, tmp_path: Path) -> None:
    """The first by learned tokens alone; in the second, images find their identity's text among all."""
    params = ClipReidParams(
        **{**SMALL, "prompt_epochs": 15, "epochs": 25, "identities": 6, "images": 4},
        prompt_lr=0.03, erase=0, flip=0, warmup=0, milestones=(),
    )  # fmt: skip
    ctx, lines = context(people.train, params, tmp_path)
    finetune.finetune(ctx)
    texts, images = lines[:15], lines[15:]
    assert len(images) == 25
    assert texts[-1]["loss"] < 0.8 * texts[0]["loss"]
    assert {"i2t", "t2i"} <= texts[0].keys()
    assert images[-1]["accuracy"] > images[0]["accuracy"] + 0.2
    assert images[-1]["identity"] < images[0]["identity"]


@pytest.mark.parametrize("die_after", [1, 3], ids=["first stage", "second stage"])
def test_killed_and_resumed_is_uninterrupted(die_after: int, people: Dataset, tmp_path: Path) -> None:
    params = ClipReidParams(**SMALL)
    check_resumes(
        tmp_path,
        lambda out, die_after: context(people.train, params, out, die_after=die_after),
        finetune.finetune,
        die_after,
    )


def test_two_seeds_differ_and_one_repeats(people: Dataset, tmp_path: Path) -> None:
    """The text encoder is random too: from the stage's seed, not from global state."""
    params, found = ClipReidParams(**{**SMALL, "prompt_epochs": 1, "epochs": 1}), []
    for number, seed in enumerate((0, 0, 1)):
        torch.manual_seed(number)
        ctx, _ = context(people.train, params, tmp_path / str(number), seed=seed)
        found.append(finetune.finetune(ctx).state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert not torch.equal(found[0]["backbone.projection"], found[2]["backbone.projection"])


def test_embedders_are_rebuilt_from_disk(tmp_path: Path) -> None:
    """The feature is the class token and its projection, of unit length together."""
    one = ClipEmbedder(network(), Preprocess(SIZE)).eval()
    images = torch.randn(3, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    found = one(images)
    encoded = one.backbone.encode(images)
    both = torch.cat([encoded.final, encoded.projected], 1)
    assert torch.allclose(found, both / both.norm(dim=1, keepdim=True), atol=1e-6)
    assert found.shape == (3, 24 + 12)
    save_embedder(tmp_path, one)
    assert json.loads((tmp_path / "embedder.json").read_text())["class"] == "reidbench_clip.embedder:ClipEmbedder"
    loaded = load_embedder(tmp_path, lambda spec: network(), {"reidbench_clip": ""}).eval()
    assert torch.equal(loaded(images), found)


def test_pixels_are_normalised_as_the_backbone_was_or_as_the_parameters_say(people: Dataset, tmp_path: Path) -> None:
    half = (0.5, 0.5, 0.5)
    for given, wanted in (({}, 0.48145466), ({"mean": half, "std": half}, 0.5)):
        ctx, _ = context(people.train, ClipReidParams(**SMALL, **given), tmp_path)
        assert finetune.Training(ctx, people.train).recipe.embedder.preprocess.mean[0] == wanted


def test_a_text_file_fills_the_encoder_and_is_in_the_protocol(people: Dataset, tmp_path: Path) -> None:
    """OpenAI's names; dimensions that differ from the parameters' are an error that names the tensor."""
    width, state = 16, {"token_embedding.weight": torch.zeros(49408, 16), "positional_embedding": torch.ones(77, 16)}
    block = {"attn.in_proj_weight": (48, 16), "attn.in_proj_bias": (48,), "attn.out_proj.weight": (16, 16)}
    block |= {"attn.out_proj.bias": (16,), "mlp.c_fc.weight": (64, 16), "mlp.c_fc.bias": (64,)}
    block |= {"mlp.c_proj.weight": (16, 64), "mlp.c_proj.bias": (16,)}
    block |= {f"ln_{number}.{leaf}": (16,) for number in (1, 2) for leaf in ("weight", "bias")}
    state |= {f"transformer.resblocks.0.{name}": torch.ones(shape) for name, shape in block.items()}
    state |= {"ln_final.weight": torch.ones(width), "ln_final.bias": torch.ones(width)}
    state["text_projection"] = 2 * torch.ones(width, 12)
    save_file(state, tmp_path / "clip.safetensors")
    params = ClipReidParams(**SMALL, text_file=tmp_path / "clip.safetensors")
    ctx, _ = context(people.train, params, tmp_path)
    assert finetune.Training(ctx, people.train).text.projection.unique().tolist() == [2.0]
    assert params.supervision() == {"unknown pre-training"}
    wrong = ClipReidParams(**{**SMALL, "text_dim": 32}, text_file=tmp_path / "clip.safetensors")
    ctx, _ = context(people.train, wrong, tmp_path)
    with pytest.raises(ReidbenchError, match=r"clip\.safetensors: .*fixed is \[8, 16\], the network has \[8, 32\]"):
        finetune.Training(ctx, people.train)


def test_sources_and_parameters_that_cannot_be_learned_are_refused(people: Dataset, tmp_path: Path) -> None:
    lonely = people.train.subset(np.flatnonzero(people.train.pids == people.train.pids[0]))
    for source in (None, lonely):
        ctx, _ = context(source, ClipReidParams(**SMALL), tmp_path)
        with pytest.raises(DataError, match="clip-reid needs a source with at least two identities"):
            finetune.finetune(ctx)
    for given, message in (
        ({"text_heads": 3}, "text_dim 512 is not divisible by text_heads 3"),
        ({"mean": (0.5, 0.5, 0.5)}, "give mean and std, or neither"),
        ({"labels": "none"}, "labels declares what text_file was trained on"),
        ({"tokens": 70}, "less than or equal to 69"),
    ):
        with pytest.raises(ValueError, match=message):
            ClipReidParams.model_validate(given)


def test_the_preset_holds_the_official_configuration(registry: Registry) -> None:
    """configs/person/vit_clipreid.yml and the defaults of config/defaults.py."""
    component = registry.get("finetuner", "clip-reid")
    params, settings = preset(component, "paper")
    printed = {
        "prompt_epochs": 120, "prompt_batch": 64, "prompt_lr": 0.00035, "prompt_warmup_lr": 0.00001,
        "prompt_floor": 1e-6, "epochs": 60, "lr": 0.000005, "bias_lr_factor": 2, "weight_decay": 1e-4,
        "warmup_factor": 0.1, "gamma": 0.1, "margin": 0.3, "label_smoothing": 0.1, "identity_weight": 0.25,
        "triplet_weight": 1, "text_weight": 1, "flip": 0.5, "erase": 0.5, "pad": 10, "mean": (0.5, 0.5, 0.5),
        "identities": 16, "images": 4, "tokens": 4,
    }  # fmt: skip
    assert {name: getattr(params, name) for name in printed} == printed
    assert (round(params.prompt_warmup * 120), round(params.warmup * 60)) == (5, 10)
    assert [round(milestone * 60) for milestone in params.milestones] == [30, 50]
    assert settings == {"image_size": (256, 128), "resize": "bicubic", "resize_test": "bilinear"}
    assert component.requires == {"clip:projection"}


def test_a_rehearsal_takes_the_predicted_steps(tmp_path: Path, registry: Registry) -> None:
    component = registry.get("finetuner", "clip-reid")
    people = read_market_folder(write_market_folder(tmp_path / "people", identities=8)).train
    params: Any = rehearsed(component, **TEXT, prompt_batch=20)
    ctx, _ = context(people, params, tmp_path / "out")
    with counted_steps() as taken:
        component.load()(ctx)
    expected = workload(component, params, source=Amount(len(people), people.num_pids))
    assert list(taken.values()) == [expected.steps]
    texts = -(-len(people) // 20)
    assert expected.steps > texts
