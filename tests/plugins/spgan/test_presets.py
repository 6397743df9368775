"""Recipes of the official code by hand, rehearsals, predicted and real steps, a folder's stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from reidbench import AdaptContext, Amount, PrepareContext
from reidbench.data import Split
from reidbench.registry.plugins import Registry
from reidbench.training import Backbone
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_spgan import preparers, stand_ins
from reidbench_spgan.params import TranslatedFolderParams
from tests.support.contexts import make_context
from tests.support.recipes import counted_steps, preset, rehearsed, workload

pytestmark = pytest.mark.usefixtures("one_thread")
Pair = tuple[Split, Split]
MARKET, DUKE = Amount(12_936, 751, 6), Amount(16_522, 702, 8)
# train_cyclegan.py and train_spgan.py
CYCLEGAN: dict[str, Any] = {
    "size": (256, 256), "enlarge": 286 / 256, "epochs": 6, "batch": 1, "lr": 2e-4, "betas": (0.5, 0.999),
    "cycle_weight": 10, "identity_weight": 5, "history": 50, "channels": 64, "blocks": 9, "critic_channels": 64,
    "critic_layers": 3, "decay_start": 1,
}  # fmt: skip
SPGAN = {**CYCLEGAN, "similarity_weight": 2, "margin": 2, "negatives": "real", "siamese_layers": 4, "dropout": 0.5}


@pytest.mark.parametrize(("use", "printed"), [("cyclegan", CYCLEGAN), ("spgan", SPGAN)])
def test_translations_are_those_of_the_code(use: str, printed: dict[str, Any], registry: Registry) -> None:
    """The smaller set, Market-1501, has 12,936 images; an image of each set per step."""
    component = registry.get("preparer", use)
    params, settings = preset(component, "code")
    assert {field: getattr(params, field) for field in printed} == printed
    assert settings == {}
    for source, target in ((MARKET, DUKE), (DUKE, MARKET)):
        found = workload(component, params, source=source, target=target)
        assert (found.steps, found.images) == (6 * 12_936, 2)


@pytest.mark.parametrize(("name", "source", "target"), [("code", MARKET, DUKE), ("code:market1501", DUKE, MARKET)])
def test_the_training_is_that_of_the_solver(name: str, source: Amount, target: Amount, registry: Registry) -> None:
    """50,000 steps of 16 images at .001, a tenth after each 20,000; whole passes come within 1 %."""
    component = registry.get("adapter", "spgan")
    params, settings = preset(component, name)
    assert settings == {"image_size": (224, 224)}
    assert (params.lr, params.momentum, params.weight_decay, params.gamma) == (1e-3, 0.9, 5e-4, 0.1)
    assert params.milestones == (0.4, 0.8)
    assert params.translation.model_dump() == {"use": "spgan", "preset": "code"}
    found = workload(component, params, source=source, target=target)
    assert found.steps == pytest.approx(50_000, rel=0.01)
    assert found.images == 16


@pytest.mark.parametrize("use", ["cyclegan", "spgan"])
def test_small_presets_fit_images_of_64x32(use: str, registry: Registry, pair: Pair, tmp_path: Path) -> None:
    component = registry.get("preparer", use)
    params = preset(component, "small")[0].model_copy(update={"steps": 1, "sheet": 1})
    split, target = (one.hide().subset(range(4)) for one in pair)
    ctx, _ = make_context(PrepareContext, tmp_path, params, image_size=(64, 32), split=split, target=target)
    component.load()(ctx)
    assert len(list((tmp_path / "images").iterdir())) == 4


def amount(split: Split) -> Amount:
    return Amount(len(split), split.num_pids, split.num_cameras)


def test_rehearsed_translations_take_the_predicted_steps(registry: Registry, pair: Pair, tmp_path: Path) -> None:
    component = registry.get("preparer", "spgan")
    small: dict[str, Any] = {
        "channels": 4,
        "blocks": 1,
        "critic_channels": 4,
        "critic_layers": 2,
        "siamese_channels": 4,
    }
    by_epochs = component.params(**small, batch=5, epochs=2)
    for number, params in enumerate((rehearsed(component, **small), by_epochs)):
        split, target = (one.hide() for one in pair)
        ctx, _ = make_context(
            PrepareContext, tmp_path / str(number), params, image_size=(16, 16), split=split, target=target
        )
        with counted_steps() as taken:
            component.load()(ctx)
        steps = workload(component, params, source=amount(pair[0]), target=amount(pair[1])).steps
        assert list(taken.values()) == [steps] * 3  # generators, discriminators, Siamese network


def network() -> Backbone:
    made = resnet_tiny(TinyParams(width=4), (32, 16))
    made.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}
    return made


@pytest.mark.parametrize("pattern", ["{name}", "market_{name}", "to/{path}", "{stem}.png"])
def test_a_rehearsed_training_on_a_stand_in_takes_the_predicted_steps(
    pattern: str, registry: Registry, pair: Pair, tmp_path: Path
) -> None:
    """A stand-in for a released folder has every requested file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    asked = TranslatedFolderParams(folder=Path("of/the/user"), pattern=pattern)
    given = asked.model_copy(update={"folder": stand_ins.translated_folder(asked, folder, pair[0].paths)})
    ctx, _ = make_context(PrepareContext, tmp_path / "made", given, split=pair[0].hide())
    preparers.translated_folder(ctx)
    component = registry.get("adapter", "spgan")
    params: Any = rehearsed(component)
    torch.manual_seed(0)
    training, _ = make_context(
        AdaptContext, tmp_path / "trained", params, prepared={"translation": tmp_path / "made"},
        target=pair[1].hide(), source=pair[0], backbone=network,
    )  # fmt: skip
    with counted_steps() as taken:
        component.load()(training)
    assert list(taken.values()) == [workload(component, params, source=amount(pair[0])).steps] == [2]
