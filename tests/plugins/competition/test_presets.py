"""Presets follow the notes on the system; the steps of its trainings are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reidbench import AdaptContext, Amount, FinetuneContext
from reidbench.components import load_attribute
from reidbench.data import read_market_folder
from reidbench.registry import plugins
from reidbench.training import Backbone, Preprocess, Update
from reidbench_baseline.frozen import ColourHistogram
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_competition import joint
from tests.support.contexts import make_context
from tests.support.presets import settings_of

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = [("finetuner", "competition"), ("adapter", "competition-joint")]


def tiny() -> Backbone:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), (32, 16))
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}
    return network


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_the_preset_has_the_numbers_of_the_notes(registry: plugins.Registry, kind: str, name: str) -> None:
    """16 persons with 4 pictures, .1 and .9 on cosine distances, half of those below 100 doubled, 100 patches first."""
    params, settings = settings_of(registry.get(kind, name), "paper")
    assert settings == {"image_size": (256, 128)}
    assert (params.identities, params.images, params.branches) == (16, 4, "grid")
    assert (params.id_weight, params.triplet_weight, params.distance) == (0.1, 0.9, "cosine")
    assert (params.drop_singles, params.double_below, params.double_probability) == (True, 100, 0.5)
    assert (params.patch_minimum, params.shift_least, params.erase) == (100, 0.7, 0.0)
    if name == "competition-joint":
        assert (params.threshold, params.mutual) == (0.5, "drop")


def counted(component: Any, context: type[Any], out: Path, params: Any, **data: Any) -> int:
    steps: list[int] = []
    step = Update.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Update, "step", lambda update: (steps.append(1), step(update)))
        ctx, _ = make_context(context, out, params, backbone=tiny, **data)
        component.load()(ctx)
    return len(steps)


@pytest.mark.parametrize("doubled", [0.0, 1.0])
def test_the_system_takes_the_steps_that_it_says(
    registry: plugins.Registry, market: Path, tmp_path: Path, doubled: float
) -> None:
    """4 identities with 4 images each, once or twice."""
    component = registry.get("finetuner", "competition")
    params = component.params(epochs=2, identities=4, images=2, double_probability=doubled)
    source = read_market_folder(market).train
    steps = counted(component, FinetuneContext, tmp_path, params, source=source)
    found = load_attribute(component.workload)(params, {"source": Amount(16, 4)})
    assert (found.steps, found.images) == (steps, 8)


def test_the_joint_training_takes_the_steps_of_both_sets(
    registry: plugins.Registry, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 identities of the source and 4 clusters of the target, each with 4 images."""
    component = registry.get("adapter", "competition-joint")
    params = component.params(epochs=2, identities=8, images=2, double_below=0)
    source = read_market_folder(market).train
    start = ColourHistogram(Preprocess((32, 16), (0, 0, 0), (1, 1, 1)), 1, 4, 1.0)
    monkeypatch.setattr(joint, "pseudo_labels", lambda ctx, start: np.arange(16) // 4)
    steps = counted(component, AdaptContext, tmp_path, params, source=source, target=source.hide(), start=start)
    found = load_attribute(component.workload)(params, {"source": Amount(16, 4), "target": Amount(16, 4)})
    assert (found.steps, found.images) == (steps, 16)


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_a_rehearsal_takes_a_few_steps(registry: plugins.Registry, kind: str, name: str) -> None:
    component = registry.get(kind, name)
    params = component.params(**component.rehearsal)
    few = Amount(16, 4)
    found = load_attribute(component.workload)(params, {"source": few, "target": few})
    assert 0 < found.steps <= 12
    assert found.images == 4
