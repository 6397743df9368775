"""Recipes of the clustering methods by hand, rehearsals, and estimated steps compared with the steps taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from reidbench import AdaptContext, Amount
from reidbench.data import read_market_folder
from reidbench.registry.plugins import Registry
from reidbench.testing import write_market_folder
from reidbench.training import BackboneEmbedder, Preprocess
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from tests.support.contexts import make_context
from tests.support.recipes import counted_steps, preset, rehearsed, workload

pytestmark = pytest.mark.usefixtures("one_thread")
# Values from the papers, the READMEs and the scripts.
BOTH = {
    "rounds": 50, "lr": 3.5e-4, "weight_decay": 5e-4, "lr_step": 20 / 50, "min_samples": 4, "k1": 30, "k2": 6,
    "flip": 0.5, "erase": 0.5,
}  # fmt: skip
CONTRAST = {
    "temperature": 0.05, "identities": 16, "images": 16, "momentum": 0.1, "update": "cm", "pool": "gem", "eps": 0.6,
    "optimiser": "adam",
}  # fmt: skip
VIT = {
    "temperature": 0.05, "identities": 32, "images": 8, "momentum": 0.2, "update": "hard", "pool": "backbone",
    "optimiser": "sgd", "iterations": 200, "batches": "cameras",
}  # fmt: skip
HYBRID = {
    "temperature": 0.05, "identities": 16, "images": 4, "momentum": 0.2, "eps": 0.6, "eps_gap": 0.02,
    "pool": "backbone",
}  # fmt: skip
CLASSIFIED = {
    "identities": 16, "images": 4, "lr_step": 1.0, "label_smoothing": 0.1, "batches": "cameras", "iterations": 400,
}  # fmt: skip
MUTUAL = {**CLASSIFIED, "soft_ce": 0.5, "soft_triplet": 0.8, "momentum": 0.999}
K_MEANS = {
    **MUTUAL, "rounds": 40, "clustering": "k-means", "clusters": 500, "pool": "backbone", "use_source": False,
    "anchor_only": False, "ramp": True,
}  # fmt: skip
UNREID = {"rounds": 50, "clustering": "dbscan", "pool": "gem", "use_source": True, "anchor_only": True}
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "strong-baseline": {"code": {**CLASSIFIED, **UNREID, "eps": 0.6}},
    "mmt": {
        "paper": {**K_MEANS, "iterations": 800},
        "code": K_MEANS,
        "openunreid": {**MUTUAL, **UNREID, "eps": 0.7, "ramp": False},
    },
    "cluster-contrast": {
        "usl": {**CONTRAST, "iterations": 200, "batches": "once"},
        "usl:msmt17-v1": {**CONTRAST, "iterations": 400, "batches": "once"},
        "code": {**CONTRAST, "iterations": 200, "batches": "cameras"},
        "code:msmt17-v1": {**CONTRAST, "iterations": 400, "batches": "cameras"},
        "transreid-ssl": {**VIT, "eps": 0.6},
        "transreid-ssl:msmt17-v1": {**VIT, "eps": 0.7},
    },
    "spcl": {
        "usl": {**HYBRID, "iterations": 400, "batches": "once", "use_source": False},
        "usl:msmt17-v1": {**HYBRID, "iterations": 800, "batches": "once", "use_source": False},
        "uda": {**HYBRID, "iterations": 400, "batches": "once", "use_source": True},
        "uda:msmt17-v1": {**HYBRID, "iterations": 800, "batches": "once", "use_source": True},
        "code": {**HYBRID, "iterations": 400, "batches": "cameras"},
        "code:msmt17-v1": {**HYBRID, "iterations": 800, "batches": "cameras"},
    },
}


@pytest.mark.parametrize("use", RECIPES)
def test_presets_hold_what_is_printed(use: str, registry: Registry) -> None:
    component = registry.get("adapter", use)
    assert set(component.presets) == set(RECIPES[use])
    for name, printed in RECIPES[use].items():
        params, settings = preset(component, name)
        expected = {**BOTH, **printed}
        assert {field: getattr(params, field) for field in expected} == expected, name
        assert settings == {"image_size": (256, 128), "resize": "bicubic", "resize_test": "bicubic"}


@pytest.mark.parametrize(
    ("use", "name", "steps", "images"),
    [
        ("cluster-contrast", "usl", 10_000, 256),
        ("cluster-contrast", "usl:msmt17-v1", 20_000, 256),
        ("cluster-contrast", "transreid-ssl", 10_000, 256),
        ("spcl", "usl", 20_000, 64),
        ("spcl", "uda:msmt17-v1", 40_000, 128),  # 64 of each domain
        ("strong-baseline", "code", 20_000, 128),
        ("mmt", "paper", 32_000, 128),  # two views
        ("mmt", "openunreid", 20_000, 256),
    ],
)
def test_steps_are_those_of_the_official_runs(use: str, name: str, steps: int, images: int, registry: Registry) -> None:
    component = registry.get("adapter", use)
    amounts = {"target": Amount(12_936, 751, 6), "source": Amount(16_522, 702, 8)}
    found = workload(component, preset(component, name)[0], **amounts)
    assert (found.steps, found.images) == (steps, images)
    alone = workload(component, preset(component, name)[0], target=Amount(12_936))
    joint = getattr(preset(component, name)[0], "use_source", False)
    assert (alone.steps, alone.images) == (steps, images // 2 if joint else images)


def started() -> BackboneEmbedder:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), (32, 16))
    network.spec = {}
    return BackboneEmbedder(network, Preprocess((32, 16)), neck=True)


@pytest.mark.parametrize("use", ["pseudo-label", "cluster-contrast", "spcl", "strong-baseline", "mmt"])
def test_a_rehearsal_takes_the_steps_that_are_foretold(use: str, tmp_path: Path, registry: Registry) -> None:
    """A handful of images of persons and an untrained network give clusters to learn from."""
    component = registry.get("adapter", use)
    train = read_market_folder(write_market_folder(tmp_path / "target", identities=6, images=3)).train
    params: Any = rehearsed(component)
    ctx, lines = make_context(
        AdaptContext, tmp_path, params, target=train.hide(), source=train, backbone=lambda: None, start=started()
    )
    with counted_steps() as taken:
        component.load()(ctx)
    assert "skipped" not in lines[0]
    foretold = workload(component, params, target=Amount(len(train)), source=Amount(len(train), train.num_pids))
    assert set(taken.values()) == {foretold.steps} == {2}


def test_adabn_reads_the_batches_that_are_foretold(tmp_path: Path, registry: Registry) -> None:
    """24 images in batches of 5, 8 and 64: an incomplete last batch is dropped, a single small one is kept."""
    component = registry.get("adapter", "adabn")
    train = read_market_folder(write_market_folder(tmp_path / "target", identities=6)).train
    for batch, steps in ((5, 2 * 4), (8, 2 * 3), (64, 2 * 1)):
        embedder, params = started(), component.params(batch=batch, passes=2)
        ctx, _ = make_context(
            AdaptContext, tmp_path, params, target=train.hide(), source=None, backbone=lambda: None, start=embedder
        )
        component.load()(ctx)
        foretold = workload(component, params, target=Amount(len(train)))
        norm: Any = embedder.neck
        assert int(norm.norm.num_batches_tracked) == foretold.steps == steps
        assert foretold.images == min(batch, 24)
