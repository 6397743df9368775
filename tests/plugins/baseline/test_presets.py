"""Presets and workloads of this plugin and of upreid, compared with numbers copied by hand from papers and code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reidbench import Amount, FinetuneContext, PretrainContext
from reidbench.components import Component, load_attribute
from reidbench.data import read_market_folder
from reidbench.errors import DataError
from reidbench.registry import plugins
from reidbench.training import Backbone, IdentitySampler, Update
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from tests.support.contexts import make_context
from tests.support.presets import settings_of

pytestmark = pytest.mark.usefixtures("one_thread")
MARKET = Amount(12_936, 751, 6)
LUPERSON = Amount(4_180_243)
WHOLE, TALL, SQUARE = (256, 128), (384, 128), (224, 224)

BOT = {
    "epochs": 120, "identities": 16, "images": 4, "lr": 0.00035, "label_smoothing": 0.1, "center_weight": 0,
}  # fmt: skip
BOT_IMAGES = {"image_size": WHOLE, "resize": "bilinear"}

# (kind, component, preset): values from the source, and the settings of its step.
PUBLISHED: dict[tuple[str, str, str], tuple[dict[str, Any], dict[str, Any]]] = {
    ("pretrainer", "moco-v2", "imagenet"): (
        {
            "start_lr": 0.03, "batch": 256, "epochs": 200, "momentum": 0.9, "weight_decay": 1e-4, "temperature": 0.2,
            "queue": 65536, "key_momentum": 0.999, "dim": 128, "head": "mlp", "jitter": (0.4, 0.4, 0.4, 0.1),
            "jitter_probability": 0.8, "grayscale": 0.2, "blur": 0.5, "flip": 0.5, "erase": 0.0,
            "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "crop": "imagenet-rrc",
        },
        {"image_size": SQUARE, "crop_from": "original"},
    ),
    ("pretrainer", "moco-v2", "lup"): (
        {
            "start_lr": 0.3, "batch": 2560, "epochs": 200, "momentum": 0.9, "weight_decay": 1e-4, "temperature": 0.1,
            "queue": 65536, "key_momentum": 0.999, "dim": 128, "head": "mlp", "jitter_probability": 0.0,
            "grayscale": 0.2, "blur": 0.5, "blur_sigma": (0.1, 2.0), "flip": 0.5, "erase": 0.5,
            "erase_area": (0.02, 0.6), "mean": (0.3525, 0.3106, 0.3140), "std": (0.2660, 0.2522, 0.2505),
        },
        {"image_size": WHOLE, "crop_from": "original"},
    ),
    ("pretrainer", "up-reid", "paper"): (
        {
            "start_lr": 0.1, "batch": 800, "patches": 8, "queue": 65536, "temperature": 0.1, "patch_temperature": 0.1,
            "global_weight": 0.8, "patch_weight": 0.2,
        },
        {"image_size": WHOLE, "crop_from": "original"},
    ),
    ("finetuner", "bot", "paper"): (
        {
            "epochs": 120, "identities": 16, "images": 4, "lr": 0.00035, "weight_decay": 0.0005, "warmup_factor": 0.01,
            "gamma": 0.1, "margin": 0.3, "label_smoothing": 0.1, "center_weight": 0.0005, "center_lr": 0.5,
            "flip": 0.5, "pad": 10, "erase": 0.5,
        },
        {"image_size": WHOLE, "resize": "bilinear"},
    ),
    ("finetuner", "bot", "arcface"): (
        {**BOT, "head": "arcface", "head_scale": 64, "head_margin": 0.5, "margin": 0.3}, BOT_IMAGES,
    ),
    ("finetuner", "bot", "cosface"): (
        {**BOT, "head": "cosface", "head_scale": 64, "head_margin": 0.4, "margin": 0.3}, BOT_IMAGES,
    ),
    ("finetuner", "bot", "circle"): (
        {**BOT, "head": "circle", "head_scale": 64, "head_margin": 0.35, "margin": None, "triplet_weight": 1},
        BOT_IMAGES,
    ),
    ("finetuner", "bot", "circle-pairs"): (
        {**BOT, "head": "linear", "triplet_weight": 0, "circle_weight": 1, "circle_scale": 128, "circle_margin": 0.25},
        BOT_IMAGES,
    ),
    ("finetuner", "bot", "xbm"): (
        {**BOT, "memory": 8192, "memory_weight": 1, "memory_loss": "contrastive", "margin": 0.3}, BOT_IMAGES,
    ),
    ("finetuner", "distill", "fast-reid"): (
        {
            "epochs": 60, "identities": 16, "images": 16, "lr": 0.0007, "weight_decay": 0.0005, "label_smoothing": 0.1,
            "margin": None, "head": "circle", "head_scale": 64, "head_margin": 0.35, "pool": "gem", "temperature": 16,
        },
        {"image_size": WHOLE, "resize": "bicubic"},
    ),
    ("finetuner", "bdb", "code"): (
        {
            "epochs": 400, "identities": 32, "images": 4, "lr": 1e-3, "weight_decay": 5e-4, "margin": None,
            "global_dim": 512, "drop_dim": 1024, "drop_height": 0.33, "drop_width": 1.0, "cutout": 0.5,
            "label_smoothing": 0.1,
        },
        {"image_size": TALL, "resize": "bilinear"},
    ),
    ("finetuner", "mgn", "paper"): (
        {
            "epochs": 80, "identities": 16, "images": 4, "optimiser": "sgd", "lr": 0.01, "momentum": 0.9,
            "weight_decay": 5e-4, "margin": 1.2, "pool": "max", "dim": 256, "erase": 0.0, "flip_test": True,
            "classify": "pooled",
        },
        {"image_size": TALL, "resize": "bilinear"},
    ),
    ("finetuner", "mgn", "code"): (
        {
            "epochs": 400, "identities": 16, "images": 4, "optimiser": "adam", "lr": 2e-4, "weight_decay": 5e-4,
            "margin": 1.2, "pool": "avg", "dim": 256, "erase": 0.5, "triplet_weight": 2.0, "flip_test": True,
        },
        {"image_size": TALL, "resize": "bicubic"},
    ),
    ("finetuner", "mgn-luperson", "luperson"): (
        {
            "epochs": 60, "identities": 4, "images": 16, "lr": 0.00035, "weight_decay": 0.0005, "warmup_factor": 0.01,
            "floor": 0.00000077, "circle_scale": 64, "circle_margin": 0.35, "label_smoothing": 0.1, "margin": None,
            "dim": 256, "pad": 10, "flip": 0.5, "erase": 0.5, "extra_norm": True,
        },
        {"image_size": TALL, "resize": "bicubic"},
    ),
    ("finetuner", "mgn-luperson", "imagenet"): (
        {"epochs": 60, "extra_norm": False}, {"image_size": TALL, "resize": "bicubic"},
    ),
}  # fmt: skip
# Epochs of events, by the fraction in the preset.
EPOCHS: dict[tuple[str, str], dict[str, list[int]]] = {
    ("bot", "paper"): {"warmup": [10], "milestones": [40, 70]},
    ("bot", "xbm"): {"warmup": [10], "milestones": [40, 70], "memory_start": [3]},
    ("bdb", "code"): {"warmup": [50], "milestones": [200, 300]},
    ("mgn", "paper"): {"milestones": [40, 60]},
    ("mgn", "code"): {"milestones": [320, 380]},
    ("mgn-luperson", "luperson"): {"warmup": [10], "frozen": [10], "fall": [30]},
}
# Optimiser steps on LUPerson (pretrainers) or Market-1501, and the images of each.
STEPS = {
    ("pretrainer", "moco-v2", "lup"): (200 * (4_180_243 // 2560), 2560),
    ("pretrainer", "up-reid", "paper"): (200 * (4_180_243 // 800), 800),
    ("finetuner", "bdb", "code"): (9_200, 128),
    ("finetuner", "mgn", "code"): (18_800, 64),
    ("finetuner", "mgn-luperson", "luperson"): (60 * (12_936 // 64), 64),
}


def work(component: Component, params: Any, amounts: Mapping[str, Amount]) -> tuple[int, int]:
    found = load_attribute(component.workload)(params, amounts)
    return found.steps, found.images


@pytest.mark.parametrize(("kind", "name", "preset"), PUBLISHED)
def test_presets_have_the_published_numbers(registry: plugins.Registry, kind: str, name: str, preset: str) -> None:
    values, step = PUBLISHED[kind, name, preset]
    params, settings = settings_of(registry.get(kind, name), preset)
    assert settings == step
    assert {field: getattr(params, field) for field in values} == values


@pytest.mark.parametrize(("name", "preset"), EPOCHS)
def test_fractions_are_the_published_epochs(registry: plugins.Registry, name: str, preset: str) -> None:
    params, _ = settings_of(registry.get("finetuner", name), preset)
    for field, epochs in EPOCHS[name, preset].items():
        value = getattr(params, field)
        fractions = value if isinstance(value, tuple) else [value]
        assert [round(fraction * params.epochs) for fraction in fractions] == epochs


def test_every_trainable_component_has_its_presets(registry: plugins.Registry) -> None:
    """Finds a preset that no test here names."""
    named = {(kind, name, preset) for kind, name, preset in PUBLISHED}
    for kind, name in {(kind, name) for kind, name, _ in named}:
        assert {(kind, name, preset) for preset in registry.get(kind, name).presets} - named <= {
            ("pretrainer", "up-reid", "lup"), ("pretrainer", "up-reid", "imagenet"),
        }  # fmt: skip


# ---------------------------------------------------------------------- workload
@pytest.mark.parametrize(("kind", "name", "preset"), STEPS)
def test_steps_at_full_scale(registry: plugins.Registry, kind: str, name: str, preset: str) -> None:
    steps, images = STEPS[kind, name, preset]
    component = registry.get(kind, name)
    params, _ = settings_of(component, preset)
    assert work(component, params, {"pool": LUPERSON, "source": MARKET}) == (steps, images)


@pytest.mark.parametrize("seed", range(3))
def test_bots_steps_are_those_of_its_sampler_to_a_tenth(registry: plugins.Registry, seed: int) -> None:
    """751 identities with 2 to 40 images each, similar to Market-1501."""
    labels = np.repeat(np.arange(751), np.random.default_rng(seed).integers(2, 41, 751))
    drawn = len(list(IdentitySampler(labels, 16, 4, torch.Generator().manual_seed(seed))))
    component = registry.get("finetuner", "bot")
    params, _ = settings_of(component, "paper")
    steps, images = work(component, params, {"source": Amount(len(labels), 751)})
    assert images == 64
    assert steps / 120 == pytest.approx(drawn, rel=0.1)
    assert work(component, params, {"source": Amount(12_936)}) == (120 * (12_936 // 64), 64)


def test_steps_that_depend_on_identities_need_their_number(registry: plugins.Registry) -> None:
    component = registry.get("finetuner", "mgn")
    with pytest.raises(DataError, match="an epoch of mgn has each identity once, but its source's number"):
        work(component, component.params(), {"source": Amount(12_936)})


def tiny() -> Backbone:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), (64, 32))
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [64, 32]}
    return network


@pytest.mark.parametrize(
    ("kind", "name", "params"),
    [
        ("finetuner", "bot", {"epochs": 3, "identities": 4, "images": 2}),
        ("finetuner", "bot", {"epochs": 2, "identities": 16, "images": 4, "accumulate": 2}),
        ("finetuner", "bdb", {"epochs": 2, "identities": 2, "images": 2, "global_dim": 8, "drop_dim": 8}),
        ("finetuner", "bdb", {"epochs": 2, "identities": 3, "images": 2, "global_dim": 8, "drop_dim": 8}),
        ("finetuner", "bdb", {"epochs": 1, "passes": "images", "identities": 4, "images": 2, "drop_dim": 8}),
        ("finetuner", "mgn", {"epochs": 2, "identities": 2, "images": 2, "dim": 8}),
        (
            "finetuner",
            "mgn",
            {"epochs": 2, "identities": 3, "images": 2, "dim": 8, "optimiser": "sgd", "classify": "pooled"},
        ),
        ("finetuner", "mgn-luperson", {"epochs": 2, "identities": 2, "images": 3, "dim": 8}),
        ("pretrainer", "supervised", {"epochs": 2, "identities": 4, "images": 4}),
        ("pretrainer", "moco-v2", {"epochs": 2, "batch": 6, "splits": 1, "queue": 8, "held_out": 0.1}),
        ("pretrainer", "up-reid", {"epochs": 2, "batch": 6, "splits": 1, "queue": 8, "held_out": 0.3}),
    ],
)
def test_a_training_takes_the_steps_that_it_says(
    kind: str, name: str, params: dict[str, Any], registry: plugins.Registry, market: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Steps of the optimiser are counted in a training on 4 identities with 4 images each."""
    component = registry.get(kind, name)
    source = read_market_folder(market).train
    steps: list[int] = []
    step = Update.step
    monkeypatch.setattr(Update, "step", lambda update: (steps.append(1), step(update)))
    data: dict[str, Any] = {"source": source}
    if kind == "pretrainer":
        data = {"pool": source.hide(), "auxiliary": source}
    context = FinetuneContext if kind == "finetuner" else PretrainContext
    made = component.params(**params)
    ctx, _ = make_context(context, tmp_path, made, image_size=(64, 32), backbone=tiny, **data)
    component.load()(ctx)
    amount = Amount(len(source), source.num_pids)
    assert work(component, made, dict.fromkeys(("source", "pool", "auxiliary"), amount))[0] == len(steps) > 0


@pytest.mark.parametrize(
    ("kind", "name"),
    [("pretrainer", name) for name in ("moco-v2", "up-reid", "supervised")]
    + [("finetuner", name) for name in ("bot", "distill", "bdb", "mgn", "mgn-luperson")],
)
def test_a_rehearsal_takes_a_few_steps_whatever_the_preset(kind: str, name: str, registry: plugins.Registry) -> None:
    component = registry.get(kind, name)
    for preset in component.presets:
        published, _ = settings_of(component, preset)
        params = component.params(**{**published.model_dump(exclude_unset=True), **component.rehearsal})
        few = Amount(32, 8)
        steps, images = work(component, params, {"source": few, "pool": few, "auxiliary": few})
        assert 0 < steps <= 8
        assert images <= 8
