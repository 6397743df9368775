"""GCL's stages and arms: Chen et al. (CVPR 2021), its released code, pictures, and whole trainings."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import reidbench_gcl
from reidbench import AdaptContext
from reidbench.data import Split, read_market_folder
from reidbench.data.pictures.images import HasImages
from reidbench.errors import DataError, ReidbenchError
from reidbench.stages.worker import limited_threads
from reidbench.testing import write_market_folder
from reidbench.training import BackboneEmbedder, Embedder, Preprocess, embed, stream
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_gcl import adapt, joint
from reidbench_gcl.apart import ApartArm
from reidbench_gcl.contrast.contrast import Arm, RealArm, shuffled
from reidbench_gcl.contrast.identity import IdentityEncoder
from reidbench_gcl.contrast.oracle import OracleArm
from reidbench_gcl.generator.pictures import load_generator, to_pixels
from reidbench_gcl.generator.view_angles import Structures, allowed_angles, draw_angles
from reidbench_gcl.joint import JointArm
from reidbench_gcl.params import ContrastParams, GCLParams, OracleParams, RealParams
from reidbench_gcl.structure.structure_maps import DESCRIPTION, STRUCTURE, StructureMaps
from tests.support.contexts import NEVER, Lines, check_resumes, make_context

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
ANGLES = (45, 90, 135, 180, 225, 270, 315)
LOOP: dict[str, Any] = {
    "epochs": 2, "iterations": 2, "batch": 8, "k1": 6, "k2": 2, "rho": 0.05, "min_samples": 2, "lr": 0.01,
    "temperature": 0.07,
}  # fmt: skip
SMALL: dict[str, Any] = {
    **LOOP, "warmup_epochs": 2, "warmup_iterations": 2, "dim": 2, "blocks": 4, "mlp": 8, "dilations": (1, 2, 3),
    "critic_dim": 2, "critic_blocks": 1, "critic_scales": 2, "lr_generator": 1e-3, "lr_critic": 1e-3, "probe": 8,
    "sheet": 3,
}  # fmt: skip
ARMS: dict[str, tuple[type[Arm], type[ContrastParams], Any, dict[str, Any]]] = {
    "gcl": (JointArm, GCLParams, adapt.adapt, SMALL),
    "gcl-oracle": (OracleArm, OracleParams, adapt.oracle, {**LOOP, "sheet": 3}),
    "gcl-contrast": (RealArm, RealParams, adapt.contrast, LOOP),
}


class Truth:
    """The true view of an image: its picture, brighter with the angle."""

    def __init__(self, images: HasImages) -> None:
        self.images = images

    def view(self, index: int, yaw: float) -> np.ndarray:
        return np.clip(self.images.image(index).astype(int) + round(10 * yaw), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Split, Path]:
    """Return a target of 24 images of 32x16 (6 identities), and bodies that encode image (height) and angle (width)."""
    place = tmp_path_factory.mktemp("gcl")
    target = read_market_folder(write_market_folder(place / "target", identities=6, seed=1)).train
    write_structure(place / "structure", len(target))
    return target, place / "structure"


def write_structure(folder: Path, count: int, missing: tuple[int, ...] = ()) -> None:
    folder.mkdir()
    maps = np.full((count, 1 + len(ANGLES), *SIZE), 255, dtype=np.uint8)
    for index in range(count):
        for column in range(1 + len(ANGLES)):
            maps[index, column, 4 : 6 + index, 2 : 5 + column] = 120
    np.save(folder / STRUCTURE, maps)
    facts = {"provider": "drawn", "angles": ANGLES, "images": count, "missing": [f"{i:07d}" for i in missing]}
    (folder / DESCRIPTION).write_text(json.dumps(facts))


def start(neck: bool = True) -> BackboneEmbedder:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = resnet_tiny(TinyParams(width=4), SIZE)
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": list(SIZE)}
    return BackboneEmbedder(network, Preprocess(SIZE), neck=neck)


def context(
    world: tuple[Split, Path], out: Path, use: str = "gcl", *, die_after: int = NEVER, target: Split | None = None,
    structure: Path | None = None, first: Any = start, seed: int = 5, **params: Any,
) -> tuple[AdaptContext, Lines, list[np.ndarray]]:  # fmt: skip
    """A context, its log and its clusters."""
    clusters: list[np.ndarray] = []
    _, kind, _, small = ARMS[use]
    images = (target or world[0]).hide()
    ctx, lines = make_context(
        AdaptContext, out, kind(**{**small, **params}), die_after=die_after, image_size=SIZE, seed=seed,
        record_clusters=lambda epoch, labels: clusters.append(np.array(labels)),
        prepared={"structure": structure or world[1]}, target=images, source=None, backbone=lambda: None,
        start=first() if first else None, truth=Truth(images),
    )  # fmt: skip
    return ctx, lines, clusters


def arm(world: tuple[Split, Path], out: Path, use: str = "gcl", **params: Any) -> Any:
    return ARMS[use][0](context(world, out, use, **params)[0])


def digest(network: torch.nn.Module) -> str:
    """Of all parameters and buffers."""
    found = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def batch_of(one: Any, count: int = 4) -> np.ndarray:
    """A batch after a clustering that puts every three images into one cluster."""
    one.bank.fill(torch.from_numpy(one.features()))
    one.bank.labels.copy_(torch.arange(len(one.images)) // 3)
    one.set_modes(joint=True)
    return np.arange(count)


def step(one: Any, indices: np.ndarray) -> dict[str, float]:
    """One step on the images of the indices."""
    return one.step(indices, one.pictures(indices))


# ---------------------------------------------------------------------- parameters
def test_defaults_are_the_released_codes() -> None:
    params = GCLParams()
    assert (params.batch, params.epochs, params.warmup_epochs) == (16, 20, 40)
    assert (params.lr, params.momentum, params.identity_weight_decay) == (3.5e-4, 0.9, 5e-4)
    assert (params.alpha, params.temperature, params.negatives) == (0.2, 0.04, 8192)
    assert (params.k1, params.k2, params.rho, params.min_samples) == (30, 6, 0.002, 4)
    assert (params.angles, params.feat_pair, params.adversarial, params.slices) == ("code", "code", "lsgan", "code")
    assert (params.views, params.own_negatives, params.view_weight) == ("generated", False, 1.0)
    assert params.terms == ("real-mate", "view-self", "view-mate")
    assert RealParams().augment == "none"


def test_rate_falls_at_epoch_ten(world: tuple[Split, Path], tmp_path: Path) -> None:
    """3.5e-4 in epochs 0 to 9, 3.5e-5 in 10 to 19; Nesterov; generator and critic stay constant."""
    one = arm(world, tmp_path, lr=3.5e-4, epochs=20)
    assert one.optimiser.defaults["nesterov"]
    rates, others = [], []
    for number in range(20):
        one.set_rate(number)
        rates.append(one.optimiser.param_groups[0]["lr"])
        others.append([adam.param_groups[0]["lr"] for adam in (one.adam, one.critic_adam)])
    assert rates == pytest.approx([3.5e-4] * 10 + [3.5e-5] * 10)
    assert others == [[1e-3, 1e-3]] * 20


# ---------------------------------------------------------------------- the identity encoder
def test_appearance_code_is_the_map_in_four_rows_channel_by_channel() -> None:
    """A view of (C, 4, 1), so its first quarter is the first quarter of channels with all rows."""
    embedder = start().eval()
    images = torch.randn(3, 3, *SIZE, generator=stream(0, "images"))
    feat, f = IdentityEncoder(embedder)(images)
    maps = embedder.backbone(images).map  # 28 channels of 4 x 2
    assert maps.shape[1:] == (28, 4, 2)
    assert torch.allclose(feat, maps.mean(3).reshape(3, -1), atol=1e-6)
    assert torch.allclose(feat[:, :28], maps[:, :7].mean(3).reshape(3, -1), atol=1e-6)
    assert torch.equal(f, embedder(images))
    assert IdentityEncoder(embedder).widths(SIZE) == (112, 28)
    tall = torch.randn(1, 3, 64, 32, generator=stream(0, "tall"))
    rows = embedder.backbone(tall).map.unflatten(2, (4, 2)).mean((3, 4))
    assert torch.allclose(IdentityEncoder(embedder)(tall)[0], rows.flatten(1), atol=1e-6)


def test_what_cannot_be_an_identity_encoder_is_reported(world: tuple[Split, Path], tmp_path: Path) -> None:
    class Bare(Embedder):
        def forward(self, images: torch.Tensor, camids: Any = None) -> torch.Tensor:
            return images.flatten(1)

    class Twice(BackboneEmbedder):
        def forward(self, images: torch.Tensor, camids: Any = None) -> torch.Tensor:
            return super().forward(images) + super().forward(images.flip(3))

    with pytest.raises(ReidbenchError, match=r"needs a trained identity encoder: set `finetune:`.*adapt: \["):
        arm(world, tmp_path, first=None)
    with pytest.raises(ReidbenchError, match="one backbone; Bare has none"):
        arm(world, tmp_path, first=lambda: Bare(preprocess=Preprocess(SIZE)))
    with pytest.raises(ReidbenchError, match="one backbone pass, but Twice makes 2"):
        arm(world, tmp_path, first=lambda: Twice(start().backbone, Preprocess(SIZE)))


# ---------------------------------------------------------------------- turns and structure
def test_six_angles_as_released_and_all_seven() -> None:
    """Each of 45 to 270 occurs 1000 +- 150 times in 6000 draws; 315 only on request, 0 never."""
    code = draw_angles(allowed_angles(ANGLES, "code"), 6000, stream(0, "angles"))
    assert set(code.tolist()) == {45, 90, 135, 180, 225, 270}
    assert all(abs(number - 1000) <= 150 for number in Counter(code.tolist()).values())
    everything = draw_angles(allowed_angles(ANGLES, "all7"), 7000, stream(0, "angles"))
    assert set(everything.tolist()) == set(ANGLES)
    assert all(abs(number - 1000) <= 150 for number in Counter(everything.tolist()).values())
    with pytest.raises(DataError, match=r"angles: code leaves none of the rendered angles \[315\]"):
        allowed_angles((315,), "code")


def body(structure: torch.Tensor) -> tuple[list[int], list[int]]:
    """Return (images, columns of the structure maps) of a structure drawn by `write_structure`."""
    dark = structure[:, 0] < 1
    return (dark.any(2).sum(1) - 2).tolist(), (dark.any(1).sum(1) - 3).tolist()


def test_second_structure_is_the_same_images_body(world: tuple[Split, Path]) -> None:
    """s_new belongs to the batch's own images, also where some images have no structure."""
    found = StructureMaps.load(world[1], 24)
    kept = np.setdiff1d(np.arange(24), [0, 7])
    structures = Structures(found, kept, "generated", "code")
    indices = np.array([3, 0, 21, 6, 6])
    generators = {"angles": stream(0, "angles"), "strangers": stream(0, "strangers")}
    seen = structures.seen(indices)
    assert seen.shape == (5, 1, *SIZE)
    assert seen.max() == 1.0
    assert body(seen) == (kept[indices].tolist(), [0] * 5)
    for _ in range(20):
        turned, angles = structures.draw(indices, generators)
        assert body(turned) == (kept[indices].tolist(), [angle // 45 for angle in angles.tolist()])
    assert torch.equal(Structures(found, kept, "identity", "code").draw(indices, generators)[0], seen)


def test_random_structure_is_never_the_images_own(world: tuple[Split, Path]) -> None:
    structures = Structures(StructureMaps.load(world[1], 24), np.arange(24), "random", "all7")
    generators = {"angles": stream(0, "angles"), "strangers": stream(0, "strangers")}
    met = set()
    for _ in range(60):
        turned, angles = structures.draw(np.array([5, 20]), generators)
        others, columns = body(turned)
        assert columns == [angle // 45 for angle in angles.tolist()]
        assert others[0] != 5
        assert others[1] != 20
        met.update(others)
    assert len(met) == 24


def test_an_image_is_the_same_whenever_it_is_fetched(world: tuple[Split, Path], tmp_path: Path) -> None:
    """Only the contrast's own classic arm augments; otherwise only the second view differs."""
    one = arm(world, tmp_path)
    pair = np.array([2, 9])
    views = [one.views(pair, one.pictures(pair)) for _ in range(3)]
    assert torch.equal(views[0].x, views[1].x)
    assert any(not torch.equal(views[0].x_new, other.x_new) for other in views[1:])
    plain = arm(world, tmp_path / "plain", "gcl-contrast")
    classic = arm(world, tmp_path / "classic", "gcl-contrast", augment="classic")
    indices = np.arange(8)
    assert torch.equal(plain.pictures(indices), plain.pictures(indices))
    assert torch.equal(plain.pictures(indices[[2]]), one.pictures(np.array([2])))
    assert not torch.equal(classic.pictures(indices), classic.pictures(indices))


# ---------------------------------------------------------------------- stages
def test_warm_up_leaves_the_encoder_untouched(world: tuple[Split, Path], tmp_path: Path) -> None:
    """Encoder parameters, batch-norm statistics and memory stay; generator and critic change; rates stay."""
    one = arm(world, tmp_path)
    before = {name: digest(network) for name, network in networks(one).items()}
    line = one.warmup_epoch()
    after = {name: digest(network) for name, network in networks(one).items()}
    assert after["identity"] == before["identity"] == digest(IdentityEncoder(start()))
    assert after["bank"] == before["bank"]
    assert after["generator"] != before["generator"]
    assert after["critic"] != before["critic"]
    assert line["stage"] == 2
    assert not one.optimiser.state
    assert not one.identity.training
    assert not {"real-mate", "view-self", "view-mate"} & set(line)
    assert (one.adam.param_groups[0]["lr"], one.optimiser.param_groups[0]["lr"]) == (1e-3, 0.01)


def networks(one: Any) -> dict[str, torch.nn.Module]:
    return {"identity": one.identity, "bank": one.bank, "generator": one.generator, "critic": one.critic}


def test_the_joint_stage_moves_the_encoder_by_the_generators_losses_alone(
    world: tuple[Split, Path], tmp_path: Path
) -> None:
    """Without weight for the contrast the encoder still learns, also after a frozen warm-up."""
    one = arm(world, tmp_path, view_weight=0.0)
    one.warmup_epoch()
    indices = batch_of(one)
    before = digest(one.identity), [parameter.detach().clone() for parameter in one.trained]
    step(one, indices)
    assert digest(one.identity) != before[0]
    moved = [not torch.equal(old, new) for old, new in zip(before[1], one.trained, strict=True)]
    assert sum(moved) > 0.8 * len(moved)
    assert one.identity.training


def test_weight_of_the_contrast_enters_the_step(world: tuple[Split, Path], tmp_path: Path) -> None:
    """The same step with weight 0, 1 and 2: the encoder's gradient is linear in it."""
    gradients = []
    for weight in (0.0, 1.0, 2.0):
        one = arm(world, tmp_path / str(weight), view_weight=weight)
        step(one, batch_of(one))
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in one.trained]))
    once, twice = gradients[1] - gradients[0], gradients[2] - gradients[0]
    assert once.norm() > 1e-2 * gradients[0].norm()
    assert (twice - 2 * once).norm() < 1e-3 * twice.norm()


def test_passes_of_each_network_in_a_step(world: tuple[Split, Path], tmp_path: Path) -> None:
    """Four encodings of images in both stages, two of structure, three decodings; at test one."""
    one = arm(world, tmp_path, warmup_iterations=1)
    calls: Counter[str] = Counter()
    parts = {"identity": one.embedder, "structure": one.generator.structure, "decoder": one.generator.decoder}
    for name, part in parts.items():
        part.register_forward_hook(lambda *_, name=name: calls.update([name]))
    measured = {"identity": 4, "structure": 2, "decoder": 3}
    one.warmup_epoch()
    assert calls == measured
    indices = batch_of(one)
    calls.clear()
    step(one, indices)
    assert calls == measured
    calls.clear()
    embed(one.embedder, one.images, one.images.camids, batch=99)
    assert calls == {"identity": 1}
    for use, expected in (("gcl-oracle", 2), ("gcl-contrast", 1)):
        other = arm(world, tmp_path / use, use)
        indices = batch_of(other)
        calls.clear()
        other.embedder.register_forward_hook(lambda *_: calls.update(["identity"]))
        step(other, indices)
        assert calls == {"identity": expected}


def test_apart_the_encoder_learns_from_the_contrast_alone(world: tuple[Split, Path], tmp_path: Path) -> None:
    """Generator, discriminator and initial encoder stay, images are encoded twice, the gradient is linear."""
    gradients = []
    for weight in (1.0, 2.0):
        one = ApartArm(context(world, tmp_path / str(weight), joint=False, view_weight=weight)[0])
        one.warmup_epoch()
        indices = batch_of(one)
        before = {name: digest(network) for name, network in {**networks(one), "painter": one.painter}.items()}
        line = step(one, indices)
        after = {name: digest(network) for name, network in {**networks(one), "painter": one.painter}.items()}
        assert {name for name, found in after.items() if found != before[name]} == {"identity", "bank"}
        assert set(line) == {"real-mate", "view-self", "view-mate", "cosine"}
        gradients.append(
            torch.cat([parameter.grad.flatten() for parameter in one.trained if parameter.grad is not None])
        )
    assert gradients[0].norm() > 0
    assert torch.allclose(gradients[1], 2 * gradients[0], rtol=1e-3, atol=1e-6)


def test_apart_views_have_the_starts_appearance_and_the_joint_stages_bodies(
    world: tuple[Split, Path], tmp_path: Path
) -> None:
    """The first batch has the views of joint training; later ones do not follow the encoder."""
    apart = ApartArm(context(world, tmp_path / "apart", joint=False)[0])
    together = JointArm(context(world, tmp_path / "joint")[0])
    for one in (apart, together):
        one.warmup_epoch()
    assert digest(apart.generator) == digest(together.generator)
    indices = batch_of(apart)
    images = apart.pictures(indices)
    turned = together.structures.draw(indices, together.streams)[0]
    code, (feat, _) = apart.generator(turned), IdentityEncoder(start()).eval()(images)
    expected = apart.generator(code=code, feat=feat)
    assert torch.allclose(apart.paint(indices, images), expected, atol=1e-5)
    with torch.no_grad():
        for parameter in apart.trained:
            parameter.mul_(2)
    turned = together.structures.draw(indices, together.streams)[0]
    expected = apart.generator(code=apart.generator(turned), feat=feat)
    assert torch.allclose(apart.paint(indices, images), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("lines", [1, 3])
def test_a_killed_training_apart_goes_on_bit_identical(world: tuple[Split, Path], tmp_path: Path, lines: int) -> None:
    def made(out: Path, die_after: int) -> Any:
        return context(world, out, die_after=die_after, joint=False)[:2]

    _, log = check_resumes(tmp_path, made, adapt.adapt, lines)
    assert [line["stage"] for line in log] == [2, 2, 3, 3]


@pytest.mark.slow
@pytest.mark.parametrize("use", list(ARMS))
def test_every_arm_takes_the_same_steps_of_the_encoder_on_the_same_batches(
    world: tuple[Split, Path], tmp_path: Path, use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fairness: epochs x iterations steps; only gcl has a warm-up, and it takes no step of the encoder."""
    ctx, lines, _ = context(world, tmp_path, use)
    one = ARMS[use][0](ctx)
    batches, steps = [], []
    taken = one.optimiser.step
    monkeypatch.setattr(one.optimiser, "step", lambda *args, **more: (steps.append(1), taken(*args, **more))[1])
    step = one.step
    monkeypatch.setattr(
        one, "step", lambda indices, images: (batches.append(indices.tolist()), step(indices, images))[1]
    )
    one.train()
    assert len(steps) == len(batches) == 4
    assert len(lines) == 2 + (2 if use == "gcl" else 0)
    first = arm(world, tmp_path / "other", "gcl-contrast", epochs=1, iterations=2)
    first.bank.fill(torch.from_numpy(first.features()))
    first.bank.relabel(k1=6, k2=2, rho=0.05, min_samples=2)
    inside = np.flatnonzero(first.bank.labels.numpy() >= 0)
    assert batches[:2] == [found.tolist() for found in shuffled(inside, 8, 2, first.streams["order"])]


# ---------------------------------------------------------------------- the memory in training
def test_memory_begins_with_the_features_in_eval_mode(world: tuple[Split, Path], tmp_path: Path) -> None:
    """Row i is the unit feature of training image i, made when the joint stage begins."""
    one = arm(world, tmp_path, min_samples=20)  # all noise: the rows stay as they were filled
    one.warmup_epoch()
    one.epoch(0)
    expected = embed(start(), one.images, one.images.camids)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(one.bank.rows.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("use", list(ARMS))
def test_a_step_moves_the_batchs_rows_by_the_original_images(
    world: tuple[Split, Path], tmp_path: Path, use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of the batch are normalise(.2 old + .8 f) with train-mode f; the others are bit-equal."""
    one = arm(world, tmp_path, use)
    indices = batch_of(one)
    before, found = one.bank.rows.clone(), []
    contrast = one.contrast

    def spy(rows: np.ndarray, f: torch.Tensor, f_new: Any) -> Any:
        found.append(f.detach().clone())
        return contrast(rows, f, f_new)

    monkeypatch.setattr(one, "contrast", spy)
    step(one, indices)
    unit = found[0] / found[0].norm(dim=1, keepdim=True)
    mixed = 0.2 * before[indices] + 0.8 * unit
    assert torch.allclose(one.bank.rows[indices], mixed / mixed.norm(dim=1, keepdim=True), atol=1e-6)
    assert torch.equal(one.bank.rows[4:], before[4:])


def test_generated_features_never_enter_the_memory(
    world: tuple[Split, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With noise in place of the views' features the memory after a step is the same."""
    banks = []
    made = joint.synthesise
    for noise in (0.0, 9.0):

        def spoiled(*arguments: Any, noise: float = noise) -> Any:
            views = made(*arguments)
            views.f_new = views.f_new + noise * torch.randn(views.f_new.shape, generator=stream(0, "noise"))
            return views

        monkeypatch.setattr(joint, "synthesise", spoiled)
        one = arm(world, tmp_path / str(noise))
        line = step(one, batch_of(one))
        banks.append((one.bank.rows.clone(), line["view-self"]))
    assert torch.equal(banks[0][0], banks[1][0])
    assert banks[0][1] != banks[1][1]


def test_outliers_are_in_no_batch_and_their_rows_stay(
    world: tuple[Split, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only images of clusters are drawn, and only drawn images move their rows."""
    ctx, _, clusters = context(world, tmp_path, "gcl-contrast", iterations=9)
    one: Any = RealArm(ctx)
    wanted = torch.arange(24) // 4
    wanted[[2, 9, 10, 23]] = -1
    monkeypatch.setattr(one.bank, "relabel", lambda **_: (one.bank.labels.copy_(wanted), 0.5)[1])
    batches, step, filled = [], one.step, one.bank.fill
    before = []
    monkeypatch.setattr(
        one, "step", lambda indices, images: (batches.extend(indices.tolist()), step(indices, images))[1]
    )
    monkeypatch.setattr(one.bank, "fill", lambda f: (filled(f), before.append(one.bank.rows.clone()))[0])
    line = one.epoch(0)
    assert set(batches) == set(range(24)) - {2, 9, 10, 23}
    still = (one.bank.rows == before[0]).all(1)
    assert torch.nonzero(still)[:, 0].tolist() == [2, 9, 10, 23]
    assert (line["outliers"], line["clusters"], line["inliers"]) == (4, 6, pytest.approx(20 / 24))
    assert clusters[0].tolist() == wanted.tolist()


def test_clusters_do_not_ask_the_network(world: tuple[Split, Path], tmp_path: Path) -> None:
    """With a zeroed network the second epoch's labels are those of the bank."""
    labels = []
    for zeroed in (False, True):
        ctx, _, clusters = context(world, tmp_path / str(zeroed), "gcl-contrast", iterations=1)
        one: Any = RealArm(ctx)
        one.epoch(0)
        if zeroed:
            for parameter in one.embedder.parameters():
                parameter.data.zero_()
        one.epoch(1)
        labels.append(clusters)
    assert np.array_equal(labels[0][1], labels[1][1])
    assert len(np.unique(labels[0][1])) > 1


@pytest.mark.slow
def test_an_epoch_of_noise_takes_no_step(world: tuple[Split, Path], tmp_path: Path) -> None:
    for use in ARMS:
        ctx, lines, clusters = context(world, tmp_path / use, use, min_samples=20)
        embedder = ARMS[use][2](ctx)
        assert digest(embedder) == digest(start())
        assert (lines[-1]["steps"], lines[-1]["inliers"]) == (0, 0)
        assert all((found == -1).all() for found in clusters)


@pytest.mark.slow
def test_images_without_structure_are_left_out(world: tuple[Split, Path], tmp_path: Path) -> None:
    """Images without structure are in no batch, in no cluster, and have no row in the memory."""
    write_structure(tmp_path / "holes", 24, missing=(3, 11))
    ctx, _, clusters = context(world, tmp_path / "run", structure=tmp_path / "holes")
    one: Any = JointArm(ctx)
    assert len(one.images) == len(one.bank.rows) == 22
    one.train()
    assert all(found.shape == (24,) and (found[[3, 11]] == -1).all() for found in clusters)
    pixels = to_pixels(one.pictures(np.array([3, 21])), one.embedder.preprocess)
    assert np.array_equal(pixels[0], ctx.target.image(4))
    assert np.array_equal(pixels[1], ctx.target.image(23))


# ---------------------------------------------------------------------- options
def test_options_reach_the_terms(world: tuple[Split, Path], tmp_path: Path) -> None:
    lines = {}
    cases: dict[str, dict[str, Any]] = {
        "all": {}, "two": {"terms": ("real-mate", "view-mate")}, "own": {"own_negatives": True},
    }  # fmt: skip
    for name, params in cases.items():
        one = arm(world, tmp_path / name, "gcl-oracle", **params)
        lines[name] = step(one, batch_of(one))
    assert set(lines["two"]) == {"real-mate", "view-mate", "cosine"}
    assert lines["own"]["real-mate"] != lines["all"]["real-mate"]
    assert lines["own"]["view-self"] == lines["all"]["view-self"]
    assert lines["own"]["view-mate"] == lines["all"]["view-mate"]


def test_without_an_adversary_the_critic_rests(world: tuple[Split, Path], tmp_path: Path) -> None:
    one = arm(world, tmp_path, adversarial_weight=0.0)
    before = digest(one.critic)
    line = step(one, batch_of(one))
    assert digest(one.critic) == before
    assert not any(name.startswith(("critic", "adv")) for name in line)


def test_true_views_are_the_truths(world: tuple[Split, Path], tmp_path: Path) -> None:
    one = arm(world, tmp_path, "gcl-oracle")
    turned = to_pixels(one.turned(np.array([5, 8]), np.array([90, 270])), one.embedder.preprocess)
    for place, (index, yaw) in enumerate(((5, math.pi / 2), (8, 3 * math.pi / 2))):
        shifted = np.clip(one.images.image(index).astype(int) + round(10 * yaw), 0, 255)
        assert np.array_equal(turned[place], shifted)


def test_too_few_images_and_strange_structure_are_reported(world: tuple[Split, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds structure of 24 images, but the target has 23"):
        arm((world[0].subset(range(23)), world[1]), tmp_path)
    with pytest.raises(DataError, match="two or more target images, but the target has 1"):
        arm((world[0].subset([0]), world[1]), tmp_path, "gcl-contrast")
    with pytest.raises(DataError, match="not a structure folder"):
        arm((world[0], tmp_path), tmp_path)
    ctx = dataclasses.replace(context(world, tmp_path)[0], image_size=(SIZE[0] * 2, SIZE[1]))
    with pytest.raises(DataError, match=f"structure maps are {SIZE[0]}x{SIZE[1]}, the images {SIZE[0] * 2}x{SIZE[1]}"):
        ARMS["gcl"][0](ctx)


# ---------------------------------------------------------------------- what comes out
@dataclasses.dataclass(frozen=True)
class Whole:
    """A whole training run: its arm, log, encoder after each epoch, clusters and folder."""

    arm: Any
    lines: Lines
    encoders: list[str]
    clusters: list[np.ndarray]
    out: Path


@pytest.fixture(scope="module")
def whole(world: tuple[Split, Path], tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Read only."""
    out = tmp_path_factory.mktemp("whole")
    ctx, lines, clusters = context(world, out)
    encoders: list[str] = []

    def log(line: Any) -> None:
        ctx.log(line)
        encoders.append(digest(one.embedder))

    with limited_threads(1):
        one = JointArm(dataclasses.replace(ctx, log=log))
        one.train()
    return Whole(one, lines, encoders, clusters, out)


def test_the_answer_is_the_encoder_alone(whole: Whole) -> None:
    """The embedder has the start's class and spec; generator and batch do not change a feature."""
    one = copy.deepcopy(whole.arm)
    embedder = one.embedder
    assert type(embedder) is BackboneEmbedder
    assert embedder.spec == start().spec
    assert set(embedder.state_dict()) == set(start().state_dict())
    assert not embedder.training
    assert not embedder.backbone._forward_hooks
    images = one.pictures(np.arange(24))
    with torch.no_grad():
        together = embedder(images)
        for parameter in one.generator.parameters():
            parameter.zero_()
        alone = torch.cat([embedder(image[None]) for image in images])
    assert torch.allclose(together, alone, atol=1e-5)
    assert digest(embedder) != digest(start())


def test_the_last_epoch_counts_and_no_test_image_is_at_hand(whole: Whole) -> None:
    """The result is the encoder of the last epoch; no context holds test images."""
    assert not {"query", "gallery"} & {field.name for field in dataclasses.fields(AdaptContext)}
    assert digest(whole.arm.embedder) == whole.encoders[-1] != whole.encoders[-2]


def test_the_generator_alone_leaves_the_start_as_it_was(world: tuple[Split, Path], tmp_path: Path) -> None:
    """`epochs: 0`: warm-up and pictures, no clustering, and the embedder that it began with, bit for bit."""
    ctx, lines, clusters = context(world, tmp_path, epochs=0)
    answer = adapt.adapt(ctx)
    assert digest(answer) == digest(start())
    assert {line["stage"] for line in lines} == {2.0}
    assert not clusters
    assert (tmp_path / "generator.safetensors").is_file()


def test_pictures_and_generator_are_kept(world: tuple[Split, Path], whole: Whole) -> None:
    """views.png: image, rebuilt, seven turns, cycle; the saved generator makes the same pictures."""
    one, lines = copy.deepcopy(whole.arm), whole.lines
    one.write_pictures()
    with Image.open(whole.out / "views.png") as picture:
        sheet = np.asarray(picture)
    scale = 4  # to 128 rows
    assert sheet.shape == (3 * 32 * scale + 12, (2 + 7 + 1) * 16 * scale, 3)
    first = sheet[12 : 12 + 128 : scale, : 16 * scale : scale]
    assert np.array_equal(first, world[0].hide().image(0))
    generator, described = load_generator(whole.out)
    turned = one.structures.at(np.arange(3), np.full(3, 90))
    with torch.no_grad():
        made = generator(turned, one.identity.eval()(one.pictures(np.arange(3)))[0])
    column = to_pixels(made, one.embedder.preprocess)
    shown = sheet[12::scale, 3 * 16 * scale : 4 * 16 * scale : scale].reshape(3, 32, 16, 3)
    assert np.abs(column.astype(int) - shown).max() <= 1
    assert (described.provider, described.angles, described.image_size) == ("drawn", ANGLES[:6], SIZE)
    assert described.at_start["l1_reconstruction"] == lines[0]["l1_reconstruction_at_start"]
    assert described.at_end["l1_reconstruction"] == pytest.approx(lines[-1]["l1_reconstruction"])
    with pytest.raises(DataError, match="no generator was saved here"):
        load_generator(world[1])


def test_views_are_judged_against_truth_and_photograph(world: tuple[Split, Path], tmp_path: Path) -> None:
    """SSIM by its closed forms; L1 on the body alone; the true view itself is nearer than the photograph."""
    from benchmarks import generated_views as judged

    flat, other = np.full((20, 10), 0.3), np.full((20, 10), 0.7)
    noisy = stream(0, "noise")
    picture = torch.rand(20, 10, generator=noisy, dtype=torch.float64).numpy()
    assert np.allclose(judged.ssim_map(picture, picture), 1)
    assert np.allclose(judged.ssim_map(flat, other), (2 * 0.21 + 1e-4) / (0.09 + 0.49 + 1e-4))
    inside = np.s_[4:-4, 4:-4]  # covariance -v, variances v, means m and 1 - m
    assert judged.ssim_map(picture, 1 - picture)[inside].max() < -0.5
    person = np.zeros((20, 10), dtype=bool)
    person[5:9] = True
    first = np.zeros((20, 10, 3), dtype=np.uint8)
    second = first.copy()
    second[5] = 255  # one of four rows of the person, one of twenty of the picture
    found = judged.compare(first, second, person)
    assert (found["L1"], found["L1 person"]) == (pytest.approx(1 / 20), pytest.approx(1 / 4))

    class Known(Truth):
        def structure(self, index: int, yaw: float) -> np.ndarray:
            drawn: np.ndarray = StructureMaps.load(world[1], 24).maps[index, 1]
            return drawn

    ctx, _, _ = context(world, tmp_path, epochs=1, warmup_epochs=1)
    one: Any = JointArm(ctx)
    one.train()
    one.write_pictures()
    generator, described = load_generator(tmp_path)
    given = judged.Judged(
        "drawn", 5, one.identity, generator, described, ctx.target, one.structures.structure_maps, Known(ctx.target)
    )
    line = judged.judge(given, most=4)
    assert line["images"] == 4
    expected = [10 * math.radians(angle) / 255 for angle in ANGLES]  # the truth is the photograph, brighter
    assert line["L1 photo-truth"] == pytest.approx(np.mean(expected), rel=0.15)
    assert line["recon / start"] == pytest.approx(line["recon"] / line["recon at start"])
    perfect = np.stack([
        np.stack([judged.true_view(given, index, angle)[0] for angle in ANGLES]) for index in range(4)
    ])  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judged, "made_views", lambda given, indices: perfect)
        ideal = judged.judge(given, most=4)
    assert ideal["L1 view-truth"] == 0
    assert ideal["SSIM view-truth"] == pytest.approx(1)
    assert ideal["nearer, L1"] == ideal["nearer, L1 person"] == 1


def test_log_says_what_to_watch(whole: Whole) -> None:
    lines = whole.lines
    assert [line["stage"] for line in lines] == [2, 2, 3, 3]
    assert len(whole.clusters) == 2
    watched = {"l1_reconstruction", "l1_cycle", "cosine_view", "score_real", "score_view"}
    generative = {"img", "cycle", "feat", "feat_cycle", "adv", "critic_real", "critic_fake", "critic_r1", "steps"}
    assert all(watched | generative <= set(line) for line in lines)
    contrastive = {"real-mate", "view-self", "view-mate", "eps", "clusters", "outliers", "inliers", "cosine", "lr"}
    assert all(contrastive <= set(line) for line in lines[2:])
    assert {f"{name}_at_start" for name in watched} <= set(lines[0])
    assert all(math.isfinite(value) for line in lines for value in line.values())
    assert all(-1 <= line["cosine_view"] <= 1 for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("use", list(ARMS))
def test_no_target_identity_is_read(world: tuple[Split, Path], tmp_path: Path, use: str, whole: Whole) -> None:
    """The result is bit-identical with other persons as the target's."""
    target = world[0]
    poisoned = Split.of_columns(target.root, target.paths, target.pids[::-1].copy(), target.camids)
    given = [(tmp_path / "poisoned", poisoned), *([] if use == "gcl" else [(tmp_path / "plain", target)])]
    found = [digest(ARMS[use][2](context(world, out, use, target=split)[0])) for out, split in given]
    assert found[0] == (whole.encoders[-1] if use == "gcl" else found[1])


@pytest.mark.slow
@pytest.mark.parametrize(("use", "lines"), [("gcl", 1), ("gcl", 3), ("gcl-oracle", 1), ("gcl-contrast", 1)])
def test_a_killed_training_goes_on_bit_identical(
    world: tuple[Split, Path], tmp_path: Path, use: str, lines: int
) -> None:
    """Killed in the warm-up or in the joint stage."""
    options = {"augment": "classic"} if use == "gcl-contrast" else {}

    def made(out: Path, die_after: int) -> Any:
        return context(world, out, use, die_after=die_after, **options)[:2]

    _, log = check_resumes(tmp_path, made, ARMS[use][2], lines)
    assert log[lines]["epoch"] == lines
    for name in ("views.png", "generator.safetensors", "generator.json") if use == "gcl" else ():
        assert (tmp_path / "cut" / name).is_file()


@pytest.mark.slow
def test_the_seed_decides_everything(world: tuple[Split, Path], tmp_path: Path) -> None:
    """The same seed gives the same losses for any state of the global generators; another seed does not."""
    logs = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        torch.manual_seed(len(logs))
        ctx, lines, _ = context(world, tmp_path / name, seed=seed)
        one: Any = JointArm(ctx)
        turned = one.structures.draw(np.arange(24), one.streams)[1]
        mates = torch.randint(9, (24,), generator=one.streams["mates"])
        one.train()
        logs.append((lines, turned, mates))
    for first, second in zip(logs[0][0], logs[1][0], strict=True):
        assert first == pytest.approx(second, abs=1e-5)
    assert np.array_equal(logs[0][1], logs[1][1])
    assert not np.array_equal(logs[0][1], logs[2][1])
    assert not torch.equal(logs[0][2], logs[2][2])
    assert logs[0][0][-1]["view-self"] != logs[2][0][-1]["view-self"]


def test_nothing_is_bound_to_one_device() -> None:
    """No `.cuda(` and no faiss in the package."""
    assert reidbench_gcl.__file__ is not None
    files = sorted(Path(reidbench_gcl.__file__).parent.rglob("*.py"))
    assert len(files) > 10
    for file in files:
        text = file.read_text()
        assert ".cuda(" not in text, file
        assert "import faiss" not in text, file
