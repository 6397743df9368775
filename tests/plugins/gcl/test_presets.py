"""Recipes of GCL by hand, rehearsals, predicted and real steps, stand-ins for released files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reidbench import AdaptContext, Amount, FinetuneContext, PrepareContext
from reidbench.components import ContentHashed, load_attribute
from reidbench.data import Split, read_market_folder
from reidbench.data.split import BoundTruth
from reidbench.matrix.benchmark import marker
from reidbench.registry.plugins import Registry
from reidbench.testing import write_market_folder
from reidbench.training import Backbone, BackboneEmbedder, Preprocess
from reidbench_baseline.params import ResNetParams, TinyParams
from reidbench_baseline.resnet import resnet50, resnet_tiny
from reidbench_gcl.structure.structure_maps import StructureMaps
from reidbench_synthetic.dataset import open_synthetic
from reidbench_synthetic.params import SyntheticParams
from tests.support.contexts import make_context
from tests.support.recipes import counted_steps, preset, rehearsed, workload

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
# values in the scripts and the configuration of the released code, and where the paper's forms differ
CONTRAST = {
    "epochs": 20, "batch": 16, "lr": 3.5e-4, "momentum": 0.9, "identity_weight_decay": 5e-4, "milestones": (0.5,),
    "alpha": 0.2, "temperature": 0.04, "negatives": 8192, "k1": 30, "k2": 6, "min_samples": 4,
}  # fmt: skip
CODE = {
    **CONTRAST, "warmup_epochs": 40, "lr_generator": 1e-4, "lr_critic": 1e-4, "betas": (0, 0.999), "weight_decay": 5e-4,
    "adversarial_weight": 1, "image_weight": 5, "cycle_weight": 5, "feat_weight": 5, "view_weight": 1,
    "r1_weight": 0.01, "angles": "code", "adversarial": "lsgan", "feat_pair": "code",
}  # fmt: skip
PAPER = {**CODE, "angles": "all7", "adversarial": "vanilla", "feat_pair": "paper"}
RECIPES: list[tuple[str, str, dict[str, Any]]] = [
    ("gcl", "code", {**CODE, "rho": 0.002}),
    ("gcl", "code:msmt17-v2", {**CODE, "rho": 0.0012}),
    ("gcl", "paper", {**PAPER, "rho": 0.002}),
    ("gcl", "paper:msmt17-v2", {**PAPER, "rho": 0.0012}),
    *(
        (use, name, {**CONTRAST, "rho": rho})
        for use in ("gcl-contrast", "gcl-oracle")
        for name, rho in (("code", 0.002), ("code:msmt17-v2", 0.0012))
    ),
]
PICTURES = {"image_size": (256, 128), "resize": "bicubic", "resize_test": "bicubic"}


@pytest.mark.parametrize(("use", "name", "printed"), RECIPES)
def test_presets_hold_what_is_printed(use: str, name: str, printed: dict[str, Any], registry: Registry) -> None:
    component = registry.get("adapter", use)
    params, settings = preset(component, name)
    assert {field: getattr(params, field) for field in printed} == printed
    assert settings == PICTURES
    assert set(component.presets) == {one[1] for one in RECIPES if one[0] == use}


def test_a_first_stage_is_embedded_as_the_released_code_reads_pictures(registry: Registry) -> None:
    assert registry.get("finetuner", "gcl-weights").presets == {"code": PICTURES}


def test_steps_are_those_of_the_released_code(registry: Registry) -> None:
    """808 batches of 16 a pass over Market-1501: 32,320 in the warm-up, at most half as many in the joint stage."""
    market = Amount(12_936, 751, 6)
    component = registry.get("adapter", "gcl")
    params, _ = preset(component, "code")
    found = workload(component, params, target=market)
    assert (found.steps, found.images) == (32_320 + 16_160, 16)
    contrast = registry.get("adapter", "gcl-contrast")
    assert workload(contrast, preset(contrast, "code")[0], target=market).steps == 16_160


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """24 images of 32x16: 6 identities, 2 cameras."""
    return read_market_folder(write_market_folder(tmp_path_factory.mktemp("gcl") / "target", identities=6)).train


def start() -> BackboneEmbedder:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = resnet_tiny(TinyParams(width=4), SIZE)
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": list(SIZE)}
    return BackboneEmbedder(network, Preprocess(SIZE), neck=True)


def stood_in(registry: Registry, kind: str, use: str, field: str, place: Path, names: list[str], **given: Any) -> Any:
    """The component's parameters with what its field's stand-in writes."""
    component = registry.get(kind, use)
    asked = component.params(**{field: "of/the/users.pth", **given})
    mark = marker(component.params.model_fields[field], ContentHashed)
    place.mkdir(parents=True)
    path = load_attribute(mark.stand_in)(asked, place, names)
    assert path.is_dir() if mark.folder else path.is_file()
    assert path == place or place in path.parents
    return component.params(**{field: path, **given})


PROVIDERS: list[tuple[str, str, dict[str, Any]]] = [
    ("gcl-release", "folder", {}),
    ("gcl-release", "folder", {"part": "test", "layout": "identity-folders", "angles": (90, 180)}),
    ("mesh", "folder", {}),
    ("mesh", "folder", {"camera": "given"}),
    ("hmr-weights", "weights", {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("use", "field", "given"), PROVIDERS)
def test_what_stands_for_released_bodies_has_one_for_each_image(
    use: str, field: str, given: dict[str, Any], people: Split, tmp_path: Path, registry: Registry
) -> None:
    params = stood_in(registry, "preparer", use, field, tmp_path / "stand-in", list(people.paths), **given)
    ctx, _ = make_context(PrepareContext, tmp_path / "out", params, image_size=(64, 32), split=people.hide())
    registry.get("preparer", use).load()(ctx)
    maps = StructureMaps.load(tmp_path / "out", len(people))
    assert maps.missing == ()
    assert len(maps.angles) == len(params.angles)


def test_a_description_stands_beside_the_weights_that_it_describes(
    people: Split, tmp_path: Path, registry: Registry
) -> None:
    names = list(people.paths)
    spec = stood_in(registry, "preparer", "hmr-weights", "spec", tmp_path / "spec", names, weights="w.pth").spec
    params = stood_in(registry, "preparer", "hmr-weights", "weights", tmp_path / "weights", names, spec=spec)
    ctx, _ = make_context(PrepareContext, tmp_path / "out", params, image_size=(64, 32), split=people.hide())
    registry.get("preparer", "hmr-weights").load()(ctx)
    assert StructureMaps.load(tmp_path / "out", len(people)).missing == ()


def resnet() -> Backbone:
    network = resnet50(ResNetParams(), SIZE)
    network.spec = {"use": "resnet50", "params": {}, "image_size": list(SIZE)}
    return network


@pytest.mark.parametrize("name", ["first.pth", "first.safetensors"])
def test_what_stands_for_a_first_stage_is_a_resnet_50_with_a_head_of_512(
    name: str, tmp_path: Path, registry: Registry
) -> None:
    component = registry.get("finetuner", "gcl-weights")
    mark = marker(component.params.model_fields["file"], ContentHashed)
    file = load_attribute(mark.stand_in)(component.params(file=name), tmp_path / "stand-in", [])
    assert file.name == name
    ctx, lines = make_context(
        FinetuneContext, tmp_path, component.params(file=file), image_size=SIZE, source=None, backbone=resnet
    )
    embedder = component.load()(ctx).eval()
    assert lines[0]["dim"] == 512
    assert lines[0]["missing"] == 0
    with torch.no_grad():
        assert embedder(torch.zeros(2, 3, *SIZE)).shape == (2, 512)


SMALL = {"dim": 2, "mlp": 8, "dilations": (1, 2, 3), "critic_dim": 2, "critic_blocks": 1, "critic_scales": 2}


@pytest.mark.parametrize(("use", "given"), [("gcl", SMALL), ("gcl-contrast", {}), ("gcl-oracle", {})])
def test_a_rehearsal_takes_the_steps_that_are_foretold(
    use: str, given: dict[str, Any], people: Split, tmp_path: Path, registry: Registry
) -> None:
    component = registry.get("adapter", use)
    params: Any = rehearsed(component, **given)
    bodies = stood_in(registry, "preparer", "mesh", "folder", tmp_path / "meshes", list(people.paths))
    made, _ = make_context(PrepareContext, tmp_path / "structure", bodies, image_size=SIZE, split=people.hide())
    registry.get("preparer", "mesh").load()(made)
    ctx, lines = make_context(
        AdaptContext, tmp_path / use, params, image_size=SIZE, prepared={"structure": tmp_path / "structure"},
        target=people.hide(), source=None, backbone=lambda: None, start=start(), truth=Turned(people),
    )  # fmt: skip
    with counted_steps() as taken:
        component.load()(ctx)
    assert not any("skipped" in line for line in lines)
    assert max(taken.values()) == workload(component, params, target=Amount(len(people))).steps


class Turned:
    """The true view of an image is the image itself."""

    def __init__(self, split: Split) -> None:
        self.images = split.hide()

    def view(self, index: int, yaw: float) -> np.ndarray:
        return self.images.image(index)


@pytest.mark.slow
def test_a_pass_of_the_warm_up_is_counted_as_it_is_taken(people: Split, tmp_path: Path, registry: Registry) -> None:
    """24 images in batches of 5 and of 40, for two epochs; no joint stage."""
    component = registry.get("adapter", "gcl")
    bodies = stood_in(registry, "preparer", "mesh", "folder", tmp_path / "meshes", list(people.paths))
    made, _ = make_context(PrepareContext, tmp_path / "structure", bodies, image_size=SIZE, split=people.hide())
    registry.get("preparer", "mesh").load()(made)
    for batch, steps in ((5, 8), (40, 2)):
        params = component.params(**SMALL, epochs=0, warmup_epochs=2, batch=batch, probe=2, sheet=1)
        ctx, _ = make_context(
            AdaptContext, tmp_path / str(batch), params, image_size=SIZE, target=people.hide(), source=None,
            prepared={"structure": tmp_path / "structure"}, backbone=lambda: None, start=start(), truth=None,
        )  # fmt: skip
        with counted_steps() as taken:
            component.load()(ctx)
        assert max(taken.values()) == workload(component, params, target=Amount(len(people))).steps == steps


@pytest.mark.slow
def test_a_rehearsed_regressor_takes_the_steps_that_are_foretold(tmp_path: Path, registry: Registry) -> None:
    """72 images of the tiny pool show a person; its encoder starts from a stand-in for torchvision's file."""
    pool = open_synthetic(SyntheticParams(world="crowd", size="tiny"), None, tmp_path / "pool")
    component, hidden = registry.get("preparer", "hmr-training"), pool.train.hide()
    stand_in = stood_in(
        registry,
        "preparer",
        "hmr-training",
        "encoder_weights",
        tmp_path / "file",
        [],
        backbone="resnet18",
        labels="none",
    )
    params: Any = rehearsed(
        component, backbone="resnet18", encoder_weights=stand_in.encoder_weights, labels="none", hidden=8
    )
    ctx, _ = make_context(
        PrepareContext,
        tmp_path / "out",
        params,
        image_size=(48, 24),
        split=hidden,
        truth=BoundTruth(pool.truth, hidden),
    )
    with counted_steps() as taken:
        component.load()(ctx)
    assert list(taken.values()) == [workload(component, params, pool=Amount(72)).steps] == [17]
