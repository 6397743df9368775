"""Recipes of HHL and its StarGAN by hand, rehearsals, predicted and real steps, a folder's stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from reidbench import AdaptContext, Amount, PrepareContext
from reidbench.data import Split, read_market_folder
from reidbench.registry.plugins import Registry
from reidbench.testing import write_market_folder
from reidbench.training import Backbone
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_hhl import preparers, stand_ins
from reidbench_hhl.params import CamStyleFolderParams
from tests.support.contexts import make_context
from tests.support.recipes import counted_steps, preset, rehearsed, workload

pytestmark = pytest.mark.usefixtures("one_thread")
MARKET, DUKE = Amount(12_936, 751, 6), Amount(16_522, 702, 8)
# as stated by the paper and the official code
STARGAN = {
    "batch": 16, "lr": 1e-4, "betas": (0.5, 0.999), "critic_steps": 5, "camera_weight": 1, "cycle_weight": 10,
    "penalty_weight": 10, "identity_weight": 0, "blocks": 6, "channels": 64,
}  # fmt: skip
HHL = {
    "loss": "L_CD", "beta": 0.5, "margin": 0.3, "epochs": 60, "id_batch": 128, "identities": 8, "images": 8,
    "target_images": 16, "lr": 0.1, "base_factor": 0.1, "lr_step": 40 / 60, "momentum": 0.9, "weight_decay": 5e-4,
    "width": 1024, "embedding": 128, "dropout": 0.5, "flip": 0.5,
}  # fmt: skip
RECIPES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("preparer", "stargan", "paper", {**STARGAN, "size": (128, 64), "epochs": 200, "decay_start": 0.5, "steps": None}),
    ("preparer", "stargan", "code", {**STARGAN, "size": (256, 128), "steps": 220_000, "decay_start": 1}),
    ("adapter", "hhl", "paper", {**HHL, "train_embedding": True}),
    ("adapter", "hhl", "code", {**HHL, "train_embedding": False}),
]


@pytest.mark.parametrize(("kind", "use", "name", "printed"), RECIPES)
def test_presets_hold_what_is_printed(
    kind: str, use: str, name: str, printed: dict[str, Any], registry: Registry
) -> None:
    component = registry.get(kind, use)
    params, settings = preset(component, name)
    assert {field: getattr(params, field) for field in printed} == printed
    assert set(component.presets) == {"paper", "code"}
    if use == "hhl":
        assert settings == {
            "image_size": (256, 128), "resize": "bilinear", "resize_test": "bicubic", "crop_from": "original",
        }  # fmt: skip
        assert params.style.model_dump() == {"use": "stargan", "preset": name}


@pytest.mark.parametrize(
    ("target", "name", "steps"), [(MARKET, "paper", 161_600), (DUKE, "paper", 206_400), (DUKE, "code", 220_000)]
)
def test_the_stargans_steps_are_those_that_were_published(
    target: Amount, name: str, steps: int, registry: Registry
) -> None:
    """200 passes of batches of 16 over Market-1501 and DukeMTMC-reID; the code counts its steps."""
    component = registry.get("preparer", "stargan")
    found = workload(component, preset(component, name)[0], target=target)
    assert (found.steps, found.images) == (steps, 16)


@pytest.mark.parametrize(
    ("source", "target", "steps", "images"), [(MARKET, DUKE, 101 * 60, 336), (DUKE, MARKET, 129 * 60, 304)]
)
def test_hhls_steps_and_rows_are_those_of_the_code(
    source: Amount, target: Amount, steps: int, images: int, registry: Registry
) -> None:
    component = registry.get("adapter", "hhl")
    found = workload(component, preset(component, "paper")[0], source=source, target=target)
    assert (found.steps, found.images) == (steps, images)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """24 images of 16x16: 4 identities, 3 cameras, 2 images."""
    folder = write_market_folder(tmp_path_factory.mktemp("people") / "tiny", cameras=3, size=(16, 16))
    return read_market_folder(folder, name="tiny").train


def amount(split: Split) -> Amount:
    return Amount(len(split), split.num_pids, split.num_cameras)


def test_a_rehearsed_stargan_takes_the_steps_that_are_foretold(
    people: Split, tmp_path: Path, registry: Registry
) -> None:
    component = registry.get("preparer", "stargan")
    given: dict[str, Any] = {"channels": 4, "blocks": 1, "critic_channels": 4, "critic_layers": 3}
    params: Any = rehearsed(component, **given)
    by_epochs = component.params(**{**given, "batch": 5, "epochs": 2, "critic_steps": 2})
    for number, (asked, generator) in enumerate(((params, 2), (by_epochs, 4))):
        ctx, _ = make_context(PrepareContext, tmp_path / str(number), asked, image_size=(16, 16), split=people.hide())
        with counted_steps() as taken:
            component.load()(ctx)
        assert sorted(taken.values()) == [generator, workload(component, asked, target=amount(people)).steps]


def network() -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        made = resnet_tiny(TinyParams(width=4), (32, 16))
    made.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}
    return made


@pytest.mark.parametrize("pattern", ["{stem}_fake_{k}.jpg", "{stem}_fake_{own}to{k}.jpg", "cam{k}/{path}"])
def test_a_rehearsed_hhl_on_a_stand_in_takes_the_steps_that_are_foretold(
    pattern: str, people: Split, tmp_path: Path, registry: Registry
) -> None:
    """A stand-in for a released folder has every requested file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    asked = CamStyleFolderParams(folder=Path("of/the/user"), pattern=pattern)
    style = asked.model_copy(update={"folder": stand_ins.camstyle_folder(asked, folder, people.paths)})
    made, _ = make_context(PrepareContext, tmp_path / "styles", style, split=people.hide())
    preparers.camstyle_folder(made)
    component = registry.get("adapter", "hhl")
    params: Any = rehearsed(component, width=16, embedding=8, sampling="cluster", clusters=40)
    ctx, _ = make_context(
        AdaptContext, tmp_path / "hhl", params, prepared={"style": tmp_path / "styles"}, target=people.hide(),
        source=people, backbone=network,
    )  # fmt: skip
    with counted_steps() as taken:
        component.load()(ctx)
    foretold = workload(component, params, source=amount(people), target=amount(people))
    assert list(taken.values()) == [foretold.steps] == [3]
    assert foretold.images == 8 + 4 + 2 * (1 + 3)
