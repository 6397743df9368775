"""Recipes of TransReID and TransReID-SSL by hand, rehearsals, and predicted against real steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from reidbench import Amount, FinetuneContext, PretrainContext
from reidbench.data import read_market_folder
from reidbench.registry.plugins import Registry
from reidbench.testing import write_market_folder
from reidbench.training import Backbone
from reidbench.training.contrastive.heldout import hold_out
from reidbench_baseline.transformer_params import ViTTinyParams
from reidbench_baseline.vit import vit_tiny
from reidbench_transreid_ssl import workload as ours
from reidbench_transreid_ssl.params import DinoParams
from tests.support.contexts import make_context
from tests.support.recipes import counted_steps, preset, rehearsed, workload

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
# values in the scripts and configurations of the official repositories
DINO = {
    "epochs": 100, "batch": 512, "base_lr": 5e-4, "final_lr": 1e-6, "warmup_epochs": 10, "weight_decay": (0.04, 0.4),
    "clip": 3, "drop_path": 0.1, "out_dim": 65536, "momentum": 0.996, "student_temperature": 0.1,
    "teacher_temperature": 0.04, "local_crops": 8, "global_scale": (0.4, 1), "local_scale": (0.05, 0.4),
    "norm_last_layer": True, "freeze_last_layer": 1, "solarise": 0.2,
}  # fmt: skip
TRAINING = {
    "epochs": 120, "identities": 16, "images": 4, "optimiser": "sgd", "momentum": 0.9, "weight_decay": 1e-4,
    "bias_lr_factor": 2, "label_smoothing": 0, "margin": None, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5),
    "drop_path": 0.1, "feature": "before", "erase": 0.5,
}  # fmt: skip
RECIPES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("pretrainer", "dino", "paper", DINO),
    ("pretrainer", "dino", "proxy", {**DINO, "epochs": 20}),
    ("finetuner", "transreid", "paper", {**TRAINING, "lr": 0.008, "warmup": 5 / 120, "jpm": False}),
    ("finetuner", "transreid", "jpm", {**TRAINING, "lr": 0.008, "warmup": 5 / 120, "jpm": True}),
    ("finetuner", "transreid", "transreid-ssl", {**TRAINING, "lr": 0.0004, "warmup": 20 / 120, "jpm": False}),
    ("finetuner", "transreid", "transreid-ssl-384", {**TRAINING, "lr": 0.0004, "warmup": 20 / 120}),
    *(
        ("finetuner", "transreid-sie", name, {**TRAINING, "lr": 0.008, "camera_coefficient": 3, **parts})
        for name, parts in {
            "paper": {"jpm": True, "jpm_shift": 5, "jpm_groups": 4, "jpm_shuffle": None},
            "paper-384": {"jpm": True},
            "star": {"jpm": True},
            "star-384": {"jpm": True},
            "sie": {"jpm": False},
            "code": {"jpm": True, "jpm_shift": 4, "jpm_groups": 4, "jpm_shuffle": 2},
        }.items()
    ),
]


@pytest.mark.parametrize(("kind", "use", "name", "printed"), RECIPES)
def test_presets_hold_what_is_printed(
    kind: str, use: str, name: str, printed: dict[str, Any], registry: Registry
) -> None:
    component = registry.get(kind, use)
    params, settings = preset(component, name)
    assert {field: getattr(params, field) for field in printed} == printed
    assert settings["image_size"] == ((384, 128) if name.endswith("384") else (256, 128))
    assert settings.get("crop_from") == ("original" if use == "dino" else None)
    assert settings.get("resize_test") == (None if use == "dino" else "bilinear")


def test_every_preset_is_among_them(registry: Registry) -> None:
    for kind, use in {(kind, use) for kind, use, *_ in RECIPES}:
        assert set(registry.get(kind, use).presets) == {one[2] for one in RECIPES if one[:2] == (kind, use)}


@pytest.mark.parametrize(("images", "steps"), [(4_180_243, 816_400), (2_508_146, 489_800), (2_090_122, 408_200)])
def test_dinos_steps_are_those_of_the_official_runs(images: int, steps: int, registry: Registry) -> None:
    """The whole of LUPerson, 60 and 50 %: 8164, 4898 and 4082 steps of 512 in each of 100 epochs."""
    component = registry.get("pretrainer", "dino")
    found = workload(component, preset(component, "paper")[0], pool=Amount(images))
    assert (found.steps, found.images, found.total) == (steps, 512, steps * 512)


@pytest.mark.parametrize("count", [3, 40, 19_999, 20_020, 4_180_243])
def test_held_out_images_are_counted_as_they_are_chosen(count: int) -> None:
    seen, _ = hold_out(count, 0.05, 0)
    params = DinoParams(epochs=1, warmup_epochs=0, batch=2)
    assert ours.dino(params, {"pool": Amount(count)}).steps == len(seen) // 2


@pytest.mark.parametrize(
    ("amount", "steps", "images"),
    [
        (Amount(12_936, 751), 187, 64),  # four groups of four each: 751 x 4 // 16
        (Amount(12_936), 202, 64),
        (Amount(30, 10), 1, 40),  # too few identities for sixteen, and three images of each make one group
    ],
)
def test_passes_of_the_identity_sampler(amount: Amount, steps: int, images: int, registry: Registry) -> None:
    component = registry.get("finetuner", "transreid")
    found = workload(component, component.params(), source=amount)
    assert (found.steps, found.images) == (120 * steps, images)


def network() -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        made = vit_tiny(ViTTinyParams(dim=24, depth=3, heads=2), SIZE)
    made.spec = {"use": "vit-tiny", "params": {"dim": 24, "depth": 3, "heads": 2}, "image_size": [32, 16]}
    return made


def test_a_rehearsed_dino_takes_the_steps_that_are_foretold(tmp_path: Path, registry: Registry) -> None:
    component = registry.get("pretrainer", "dino")
    pool = read_market_folder(write_market_folder(tmp_path / "pool", identities=8)).train
    params: Any = rehearsed(component, out_dim=32, hidden_dim=24, bottleneck_dim=16, warmup_teacher_epochs=30)
    ctx, _ = make_context(PretrainContext, tmp_path, params, pool=pool.hide(), backbone=network)
    with counted_steps() as taken:
        component.load()(ctx)
    assert list(taken.values()) == [workload(component, params, pool=Amount(len(pool))).steps]


@pytest.mark.parametrize("use", ["transreid", "transreid-sie"])
def test_a_rehearsed_fine_tuning_takes_the_steps_that_are_foretold(
    use: str, tmp_path: Path, registry: Registry
) -> None:
    component = registry.get("finetuner", use)
    people = read_market_folder(write_market_folder(tmp_path / "people", identities=8)).train
    params = rehearsed(component, epochs=50, accumulate=4, jpm=True, jpm_shift=1)
    ctx, _ = make_context(FinetuneContext, tmp_path, params, source=people, backbone=network)
    with counted_steps() as taken:
        component.load()(ctx)
    amount = Amount(len(people), people.num_pids)
    assert list(taken.values()) == [workload(component, params, source=amount).steps]
    # Eight identities of four images, in batches of 4 x 2: sixteen groups.
    assert list(taken.values()) == [4]
