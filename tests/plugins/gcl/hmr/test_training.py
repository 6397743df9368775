"""The body regressor: error feedback, cameras and targets by hand, training on rendered persons, its structure maps."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import benchmarks.hmr
from reidbench import PrepareContext
from reidbench.data import Dataset, HiddenSplit
from reidbench.data.split import BoundTruth
from reidbench.errors import DataError, ReidbenchError
from reidbench.rendering import humanoid
from reidbench.rendering.skeleton import Joint
from reidbench.stages.worker import limited_threads
from reidbench.store.artifacts import Store
from reidbench.testing import make_plugin, run_matrix
from reidbench.training import Preprocess, stream
from reidbench_gcl.hmr import structures
from reidbench_gcl.hmr import training as hmr_training
from reidbench_gcl.hmr.bodies import (
    Bodies,
    BodyAugment,
    errors_of_the_mean,
    joint_errors,
    move,
    shown_persons,
    yaw_errors,
)
from reidbench_gcl.hmr.fitting import _triple, fit
from reidbench_gcl.hmr.network import (
    THETA,
    Fitted,
    NetworkSpec,
    Regressor,
    load_encoder,
    load_regressor,
    mean_theta,
    save_regressor,
    split_theta,
)
from reidbench_gcl.hmr.params import HMRParams, HMRTrainingParams, HMRWeightsParams
from reidbench_gcl.structure.structure_maps import StructureMaps
from reidbench_synthetic.dataset import open_synthetic
from reidbench_synthetic.params import SyntheticParams
from tests.support.contexts import NEVER, Lines, check_resumes, make_context, with_workers_where_cut

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (48, 24)
SMALL: dict[str, Any] = {
    "backbone": "small", "width": 4, "grid": (3, 2), "hidden": 32, "dropout": 0.1, "epochs": 4, "batch": 16, "lr": 2e-3,
    "held_out": 0.1, "monitor_every": 2, "sheet": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return 72 images of persons and 8 without a person, 48x24."""
    return open_synthetic(SyntheticParams(world="crowd", size="tiny"), None, tmp_path_factory.mktemp("pool"))


def context(
    split: HiddenSplit, out: Path, params: Any, *, truth: Any = None, **more: Any
) -> tuple[PrepareContext, Lines]:
    return make_context(PrepareContext, out, params, image_size=SIZE, seed=3, split=split, truth=truth, **more)


def training(pool: Dataset, out: Path, *, die_after: int = NEVER, **params: Any) -> Any:
    """A context of hmr-training on the tiny pool and its log."""
    split = pool.train.hide()
    given = HMRTrainingParams(**{**SMALL, **params})
    return context(split, out, given, truth=BoundTruth(pool.truth, split), die_after=die_after)


def bodies_of(pool: Dataset) -> Bodies:
    split = pool.train.hide()
    truth = BoundTruth(pool.truth, split)
    return Bodies.read(truth, shown_persons(truth, len(split)))


def small_regressor(seed: int = 0, **spec: Any) -> Regressor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        given: dict[str, Any] = {"width": 2, "grid": (2, 1), "hidden": 8, "dropout": 0.5, **spec}
        return Regressor(NetworkSpec(Preprocess(SIZE), **given))


# ---------------------------------------------------------------------- the network
def test_theta_is_camera_pose_and_shape() -> None:
    """4 + 13 x 6 + 8 numbers; at the mean all bones are at rest."""
    assert THETA == 90
    found = split_theta(mean_theta()[None])
    torch.testing.assert_close(found.pose, torch.eye(3).expand(1, 13, 3, 3))
    assert not found.shape.any()
    assert found.camera.shape == (1, 4)
    root = humanoid.turn(torch.tensor([2.0]))[0]
    turned = split_theta(mean_theta(root=root[:, :2].t().flatten().tolist())[None])
    torch.testing.assert_close(turned.pose[0, 0], root)


def test_feedback_adds_to_the_mean_as_often_as_it_is_asked() -> None:
    """With a constant last layer c, theta after round k is mean + k c; every round gets the previous theta."""
    regressor = small_regressor(iterations=3).eval()
    last = regressor.feedback[-1]
    step = torch.linspace(-0.1, 0.1, THETA)
    torch.nn.init.zeros_(last.weight)
    last.bias.data = step
    given: list[torch.Tensor] = []
    regressor.feedback.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0].clone()))
    rounds = regressor.rounds(torch.randn(2, 3, *SIZE))
    assert len(rounds) == len(given) == 3
    for number, theta in enumerate(rounds, 1):
        torch.testing.assert_close(theta, (regressor.mean + number * step).expand(2, -1))
        before = regressor.mean + (number - 1) * step
        torch.testing.assert_close(given[number - 1][:, -THETA:], before.expand(2, -1))
        assert torch.equal(given[number - 1][:, :-THETA], given[0][:, :-THETA])  # the features stay
    assert torch.equal(regressor(torch.randn(2, 3, *SIZE)), rounds[-1])


def test_first_answers_are_near_the_mean() -> None:
    """The last layer starts a hundred times smaller than usual."""
    answers = small_regressor().eval()(torch.randn(4, 3, *SIZE)).detach()
    assert 0 < float((answers - mean_theta()).abs().max()) < 0.1


@pytest.mark.parametrize(("backbone", "channels"), [("resnet50", 2048), ("resnet18", 512)])
def test_full_size_is_a_residual_network_with_global_average(backbone: str, channels: int) -> None:
    params = HMRTrainingParams(backbone=backbone)
    assert (params.grid, params.hidden, params.iterations, params.dropout) == ((1, 1), 1024, 3, 0.5)
    assert HMRTrainingParams().backbone == "resnet50"
    regressor = small_regressor(backbone=backbone, grid=params.grid, hidden=params.hidden).eval()
    first = regressor.feedback[0]
    assert (first.in_features, first.out_features) == (channels + THETA, 1024)
    with torch.no_grad():
        assert regressor(torch.randn(1, 3, 64, 32)).shape == (1, THETA)


def test_encoders_start_from_torchvisions_names(tmp_path: Path) -> None:
    regressor, other = small_regressor(backbone="resnet18"), small_regressor(1, backbone="resnet18")
    state = {**other.encoder.state_dict(), "fc.weight": torch.zeros(3, 512), "fc.bias": torch.zeros(3)}
    assert "layer4.1.conv2.weight" in state
    torch.save(state, tmp_path / "resnet.pth")
    load_encoder(regressor, tmp_path / "resnet.pth")
    assert all(torch.equal(tensor, state[name]) for name, tensor in regressor.encoder.state_dict().items())
    del state["conv1.weight"]
    torch.save(state, tmp_path / "resnet.pth")
    with pytest.raises(ReidbenchError, match=r"resnet\.pth: 1 of 100 tensors are missing.*: conv1\.weight"):
        load_encoder(regressor, tmp_path / "resnet.pth")
    with pytest.raises(ValueError, match="set backbone"):
        HMRTrainingParams(backbone="small", encoder_weights=tmp_path / "resnet.pth")


def test_a_point_is_seen_where_scale_stretch_and_place_put_it() -> None:
    """Scale 0.8 of the height, place (0.1, -0.2), stretch 1.5, a picture twice as high as wide."""
    camera = torch.tensor([[math.log(0.8), 0.1, -0.2, math.log(1.5)]])
    found = Fitted(camera, torch.eye(3).expand(1, 13, 3, 3), torch.zeros(1, 8))
    points = found.project(torch.tensor([[[0.0, 0, 5], [0.25, 0.5, -3]]]), aspect=2.0)
    torch.testing.assert_close(points[0], torch.tensor([[0.6, 0.3], [0.6 + 0.25 * 0.8 * 1.5 * 2, 0.3 - 0.5 * 0.8]]))


def test_the_least_square_camera_is_the_one_that_took_the_picture(pool: Dataset) -> None:
    bodies = bodies_of(pool)
    camera = torch.randn(len(bodies), 4, generator=stream(0, "cameras")) * 0.2
    flat = Fitted(camera, bodies.root[:, None], torch.zeros(1)).project(bodies.joints, 2.0)
    torch.testing.assert_close(hmr_training.cameras(replace(bodies, joints2d=flat), 2.0), camera, atol=1e-4, rtol=1e-4)
    # The renderer's perspective is weak: its own pictures are off by little.
    own = Fitted(hmr_training.cameras(bodies, 2.0), bodies.root[:, None], torch.zeros(1)).project(bodies.joints, 2.0)
    assert float((own - bodies.joints2d).abs().mean()) < 0.02


# ---------------------------------------------------------------------- targets
def test_bodies_are_the_truths(pool: Dataset) -> None:
    split = pool.train.hide()
    truth = BoundTruth(pool.truth, split)
    persons = shown_persons(truth, len(split))
    assert len(persons) == 72
    bodies = Bodies.read(truth, persons)
    assert bodies.joints.shape == (72, 15, 3)
    yaws = torch.tensor([truth.yaw(index) for index in persons])
    assert float(yaw_errors(humanoid.yaw(bodies.root), yaws).max()) < 0.01
    # The spine leans by a few degrees at most, so the root's up axis is nearly where the neck is.
    up = bodies.joints[:, 1] / bodies.joints[:, 1].norm(dim=1, keepdim=True)
    assert float((up * bodies.root[:, :, 1]).sum(1).min()) > 0.97


def test_a_mirrored_body_walks_the_other_way(pool: Dataset) -> None:
    bodies = bodies_of(pool)
    where = torch.arange(len(bodies)) % 2 == 0
    mirrored = bodies.mirrored(where)
    assert torch.equal(mirrored.joints[1::2], bodies.joints[1::2])
    assert float(yaw_errors(humanoid.yaw(mirrored.root[::2]), -humanoid.yaw(bodies.root[::2])).max()) < 0.01
    left, right = Joint.LEFT_KNEE, Joint.RIGHT_KNEE
    torch.testing.assert_close(mirrored.joints2d[0, left, 0], 1 - bodies.joints2d[0, right, 0])
    torch.testing.assert_close(mirrored.joints[0, left], bodies.joints[0, right] * torch.tensor([-1.0, 1, 1]))
    torch.testing.assert_close(torch.linalg.det(mirrored.root), torch.ones(len(bodies)))
    again = mirrored.mirrored(where)
    torch.testing.assert_close(again.joints2d, bodies.joints2d)
    torch.testing.assert_close(again.root, bodies.root)


def test_joints_move_with_the_pixels_under_them() -> None:
    """A bright spot is where `moved` says after `move`, to a tenth of a pixel."""
    size, place = (64, 32), torch.tensor([[0.45, 0.3], [0.6, 0.7]])
    y, x = torch.meshgrid((torch.arange(64) + 0.5) / 64, (torch.arange(32) + 0.5) / 32, indexing="ij")
    spots = [torch.exp(-(((x - p[0]) * 32) ** 2 + ((y - p[1]) * 64) ** 2) / 8) for p in place]
    pictures = torch.stack(spots)[:, None].expand(-1, 3, -1, -1)
    scale, shift = torch.tensor([[1.1, 0.9], [0.9, 1.2]]), torch.tensor([[0.05, -0.04], [-0.06, 0.02]])
    nothing = torch.zeros(2, 1, 3)
    bodies = Bodies(nothing, place[:, None], torch.eye(3).expand(2, 3, 3), torch.zeros(2, 6))
    expected = bodies.moved(scale, shift).joints2d[:, 0]
    torch.testing.assert_close(expected[0], torch.tensor([0.5 - 0.05 * 1.1 + 0.05, 0.5 - 0.2 * 0.9 - 0.04]))
    moved = move(pictures, scale, shift)[:, 0]
    mass = moved.sum((1, 2))
    found = torch.stack([(moved * x).sum((1, 2)) / mass, (moved * y).sum((1, 2)) / mass], 1)
    torch.testing.assert_close(found * torch.tensor(size[::-1]), expected * torch.tensor(size[::-1]), atol=0.1, rtol=0)


def test_augmentation_without_strength_changes_nothing(pool: Dataset) -> None:
    nothing = {"flip": 0.0, "zoom": 0.0, "shift": 0.0, "jitter": (0.0, 0.0, 0.0, 0.0), "grey": 0.0, "erase": 0.0}
    preprocess, bodies = Preprocess(SIZE), bodies_of(pool).rows(torch.arange(4))
    pixels = torch.randint(256, (4, *SIZE, 3), generator=stream(0, "pixels"), dtype=torch.uint8)
    images, same = BodyAugment(HMRTrainingParams(**nothing), preprocess)(pixels, bodies, stream(0, "draws"))
    torch.testing.assert_close(images, preprocess.normalise(pixels), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(same.joints2d, bodies.joints2d)
    for strength in (
        {"flip": 1.0},
        {"zoom": 0.2},
        {"shift": 0.2},
        {"jitter": (0.4,) * 4},
        {"grey": 1.0},
        {"erase": 1.0},
    ):
        augment = BodyAugment(HMRTrainingParams(**{**nothing, **strength}), preprocess)
        changed, moved = augment(pixels, bodies, stream(0, "draws"))
        assert float((changed - images).abs().mean()) > 0.01, strength
        stays = not {"flip", "zoom", "shift"} & set(strength)
        assert torch.allclose(moved.joints2d, bodies.joints2d, atol=1e-6) == stays, strength


def test_errors_by_hand() -> None:
    degrees = torch.tensor([1.0, 359.0, 90.0, 720.0])
    found = yaw_errors(torch.deg2rad(degrees), torch.deg2rad(torch.tensor([359.0, 1.0, 270.0, 10.0])))
    torch.testing.assert_close(found, torch.tensor([2.0, 2.0, 180.0, 10.0]), atol=1e-3, rtol=0)
    joints = torch.zeros(2, 15, 3)
    joints[1, 4] = torch.tensor([3.0, 0.0, 4.0])
    torch.testing.assert_close(joint_errors(joints, torch.zeros(2, 15, 3)), torch.tensor([0.0, 5 / 15]))
    root = humanoid.turn(torch.deg2rad(torch.tensor([10.0, 30.0])))
    mean = errors_of_the_mean(Bodies(joints, torch.zeros(2, 15, 2), root, torch.zeros(2, 6)))
    assert mean["yaw"] == pytest.approx(10, abs=1e-3)  # any direction between the two costs 20 in all
    assert mean["joints"] == pytest.approx(2.5 / 15)  # the mean is halfway, for both
    everywhere = humanoid.turn(torch.arange(360) * (math.pi / 180))
    nothing = torch.zeros(360, 15, 3)
    mean = errors_of_the_mean(Bodies(nothing, nothing[..., :2], everywhere, torch.zeros(360, 6)))
    assert mean["yaw"] == pytest.approx(90, abs=0.1)


def test_the_truth_costs_nothing_and_each_loss_sees_its_own_error(pool: Dataset, tmp_path: Path) -> None:
    run = hmr_training.Training(training(pool, tmp_path)[0])
    pose = torch.eye(3).expand(3, 13, 3, 3).clone()
    pose[:, 0] = humanoid.turn(torch.tensor([0.3, 2.0, 4.0]))
    found = Fitted(torch.zeros(3, 4), pose, torch.zeros(3, 8))
    joints = found.joints()
    wanted = Bodies(joints, found.project(joints, 2.0), pose[:, 0], humanoid.girths(found.shape))
    assert all(float(value) == 0 for value in run.losses(found, wanted).values())
    around = run.losses(found, replace(wanted, root=pose[:, 0] @ humanoid.turn(torch.full((3,), math.pi))))
    assert float(around["root"]) == pytest.approx(8 * run.params.root_weight)  # |R - R'|^2 = 4 (1 - cos)
    assert {name for name, value in around.items() if float(value) > 0} == {"root"}
    thick = run.losses(found, replace(wanted, girths=wanted.girths / 1.5))
    assert float(thick["shape"]) == pytest.approx(0.25 * run.params.shape_weight)
    beside = run.losses(found, replace(wanted, joints2d=wanted.joints2d + torch.tensor([0.1, 0.0])))
    assert float(beside["joints2d"]) == pytest.approx(0.05 * run.params.joints2d_weight)
    above = run.losses(found, replace(wanted, joints=wanted.joints + torch.tensor([0.0, 0.3, 0.0])))
    assert float(above["joints"]) == pytest.approx(0.1 * run.params.joints_weight)


# ---------------------------------------------------------------------- training
@pytest.mark.slow
def test_training_goes_on_where_it_was_killed(pool: Dataset, tmp_path: Path) -> None:
    def made(out: Path, die_after: int) -> Any:
        return with_workers_where_cut(training(pool, out, die_after=die_after), out)

    _, lines = check_resumes(tmp_path, made, hmr_training.prepare, 2)
    assert (tmp_path / "cut" / "regressor.safetensors").is_file()
    assert [("held_out_yaw" in line) for line in lines] == [False, True, False, True]
    assert [round(line["lr"] / 2e-3, 6) for line in lines] == [1.0, 0.853553, 0.5, 0.146447]


def test_only_persons_are_learnt_from_and_some_are_kept_apart(pool: Dataset, tmp_path: Path) -> None:
    ctx, _ = training(pool, tmp_path, epochs=1)
    hmr_training.prepare(ctx)
    facts = json.loads((tmp_path / "training.json").read_text())
    assert facts["persons"] == 72
    assert len(facts["held_out"]) == 7
    assert all(ctx.truth.relevance(ctx.split.ids.index(name)) for name in facts["held_out"])
    assert set(facts["errors"]) == {"held_out_yaw", "held_out_joints", "mean_yaw", "mean_joints"}
    with Image.open(tmp_path / "fitted.png") as sheet:
        assert sheet.size == (3 * (3 * 24 + 4) * 3, 48 * 3)  # three persons, three pictures each, enlarged to 144 rows


def test_it_starts_from_the_mean_of_what_it_learns_from(pool: Dataset, tmp_path: Path) -> None:
    run = hmr_training.Training(training(pool, tmp_path)[0])
    root = run.bodies.root[torch.from_numpy(run.seen)]
    torch.testing.assert_close(run.regressor.mean[4:10], torch.cat([root[..., 0].mean(0), root[..., 1].mean(0)]))
    camera = split_theta(run.regressor.mean[None]).camera[0].exp()
    assert 0.8 < float(camera[0]) < 1.05  # a person fills 0.92 of the height
    assert 1.2 < float(camera[3]) < 1.5  # and is drawn 1.25 to 1.45 times as wide


def test_what_cannot_teach_is_refused(pool: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="65 training images of persons, fewer than one batch of 70"):
        hmr_training.prepare(training(pool, tmp_path, batch=70)[0])
    ctx, _ = training(pool, tmp_path)
    with pytest.raises(DataError, match="has no bodies"):
        hmr_training.prepare(replace(ctx, truth=SimpleNamespace(relevance=lambda index: True)))


# ---------------------------------------------------------------------- the providers
@pytest.fixture(scope="module")
def learnt(pool: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a regressor that has memorised the tiny pool: two hundred steps without augmentation."""
    out = tmp_path_factory.mktemp("learnt")
    plain = {"flip": 0.0, "zoom": 0.0, "shift": 0.0, "jitter": (0.0,) * 4, "grey": 0.0, "erase": 0.0}
    with limited_threads(1):
        ctx, _ = training(
            pool, out, **plain, epochs=50, width=8, hidden=64, dropout=0.0, held_out=0.0, batch=18, monitor_every=99
        )
        hmr_training.prepare(ctx)
    return out


@pytest.mark.slow
def test_training_learns_directions_and_joints(pool: Dataset, learnt: Path) -> None:
    """On its own images: a third of the error of the best constant, and joints in the image to 4 %."""
    split = pool.train.hide()
    truth = BoundTruth(pool.truth, split)
    persons = np.array(shown_persons(truth, len(split)))
    wanted = Bodies.read(truth, persons.tolist())
    found = fit(load_regressor(learnt / "regressor.safetensors"), split, persons)
    mean = errors_of_the_mean(wanted)
    assert float(yaw_errors(humanoid.yaw(found.pose[:, 0]), humanoid.yaw(wanted.root)).mean()) < mean["yaw"] / 3
    assert float(joint_errors(found.joints(), wanted.joints).mean()) < mean["joints"] / 2
    assert float((found.project(found.joints(), 2.0) - wanted.joints2d).abs().mean()) < 0.04


def overlap(ours: np.ndarray, true: np.ndarray) -> float:
    """Mean intersection over union of bodies [N, H, W] on white, ours shifted horizontally to the true one's centre.

    The renderer fits a new frame to a turned body, while the views of one image keep their camera.
    """
    shares = []
    for mine, theirs in zip(ours < 250, true < 250, strict=True):
        middles = [float(np.flatnonzero(body.any(0))[[0, -1]].mean()) for body in (mine, theirs)]
        moved = np.roll(mine, round(middles[1] - middles[0]), axis=1)
        shares.append((moved & theirs).sum() / (moved | theirs).sum())
    return float(np.mean(shares))


@pytest.mark.slow
def test_maps_show_the_persons_as_they_stand_and_turned(pool: Dataset, learnt: Path, tmp_path: Path) -> None:
    """A fitted body covers the true one, at each angle more than when turned by another angle."""
    split = pool.train.hide()
    truth = BoundTruth(pool.truth, split)
    persons = shown_persons(truth, len(split))[:36]
    part = split.subset(persons)
    params = HMRParams(persons=5, angles=(90, 180, 270))
    ctx, _ = context(part, tmp_path / "maps", params, prepared={"regressor": learnt})
    assert ctx.truth is None
    structures.prepare(ctx)
    made = StructureMaps.load(ctx.out, len(part))
    assert (made.provider, made.angles, made.missing) == ("hmr", (90, 180, 270), ())
    assert made.maps.shape == (36, 4, *SIZE)
    assert (made.maps[:, :, 0, 0] == 255).mean() > 0.9  # white around a body
    true = [np.stack([truth.structure(index, math.radians(angle)) for index in persons]) for angle in (0, 90, 180)]
    assert overlap(made.maps[:, 0], true[0]) > 0.7
    found = [overlap(made.maps[:, column], true[1]) for column in range(4)]
    assert max(found) == found[1] > 0.55
    assert found[1] > found[3] + 0.05  # 90 degrees are not taken the other way round
    found = [overlap(made.maps[:, column], true[2]) for column in range(4)]
    assert max(found) == found[2] > 0.6
    with Image.open(ctx.out / "fitted.png") as sheet:
        assert sheet.size == (4 * (3 * 24 + 4) * 3, 2 * 48 * 3)


def test_a_person_is_shown_beside_the_body_and_under_it() -> None:
    picture, grey = np.full((2, 2, 3), 30, dtype=np.uint8), np.array([[255, 180], [255, 255]], dtype=np.uint8)
    shown = _triple(picture, grey)
    assert shown.shape == (2, 3 * 2 + 4, 3)
    assert (shown[:, :2] == 30).all()
    assert shown[0, 2:4, 0].tolist() == [255, 180]
    assert shown[0, 4:6, 0].tolist() == [30, (30 + 2 * 180) // 3]  # where there is a body, two thirds of it
    assert (shown[:, 6:] == 255).all()


@pytest.mark.slow
def test_own_weights_make_the_same_maps(pool: Dataset, learnt: Path, tmp_path: Path) -> None:
    part = pool.train.hide().subset(range(4))
    weights = learnt / "regressor.safetensors"
    ctx, _ = context(part, tmp_path / "hmr", HMRParams(angles=(45,)), prepared={"regressor": learnt})
    structures.prepare(ctx)
    other, _ = context(part, tmp_path / "weights", HMRWeightsParams(angles=(45,), weights=weights))
    structures.prepare_with_weights(other)
    assert np.array_equal(StructureMaps.load(ctx.out, 4).maps, StructureMaps.load(other.out, 4).maps)
    assert StructureMaps.load(other.out, 4).provider == "hmr-weights"
    bare = tmp_path / "bare.safetensors"
    save_file(load_file(weights), bare)
    again, _ = context(
        part, tmp_path / "bare", HMRWeightsParams(angles=(45,), weights=bare, spec=learnt / "regressor.json")
    )
    structures.prepare_with_weights(again)
    assert np.array_equal(StructureMaps.load(again.out, 4).maps, StructureMaps.load(other.out, 4).maps)


@pytest.mark.slow
def test_weights_of_something_else_are_refused(pool: Dataset, learnt: Path, tmp_path: Path) -> None:
    part = pool.train.hide().subset(range(2))
    save_file({"mean": torch.zeros(90)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="has no description of its network"):
        load_regressor(tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="not weights of this regressor"):
        load_regressor(tmp_path / "other.safetensors", learnt / "regressor.json")
    (tmp_path / "text.safetensors").write_text("nothing of the kind")
    with pytest.raises(DataError, match=r"text\.safetensors: a text file"):
        load_regressor(tmp_path / "text.safetensors")
    (tmp_path / "empty").mkdir()
    ctx, _ = context(part, tmp_path / "out", HMRParams(), prepared={"regressor": tmp_path / "empty"})
    with pytest.raises(DataError, match=r"hmr-training left no regressor\.safetensors"):
        structures.prepare(ctx)


def test_a_picture_without_a_finite_body_is_missing(pool: Dataset, tmp_path: Path) -> None:
    regressor = small_regressor(grid=(1, 1))
    regressor.mean.fill_(math.nan)
    save_regressor(tmp_path, regressor)
    ctx, _ = context(
        pool.train.hide().subset(range(2)),
        tmp_path / "out",
        HMRWeightsParams(weights=tmp_path / "regressor.safetensors"),
    )
    with pytest.raises(DataError, match="hmr-weights: 2 of 2 images have no structure"):
        structures.prepare_with_weights(ctx)


# ---------------------------------------------------------------------- in a matrix
LOOK = '''
"""An adapter that only looks at its structure."""
from reidbench import Component, Params, Uses, hookimpl


class LookParams(Params):
    structure: Uses["preparer", "target"]


def adapt(ctx):
    from reidbench_gcl.structure.structure_maps import StructureMaps

    made = StructureMaps.load(ctx.prepared["structure"], len(ctx.target))
    ctx.log({"angles": float(len(made.angles)), "white": float((made.maps == 255).mean())})
    return ctx.start


@hookimpl
def reidbench_adapters():
    yield Component("look", "hmr_look:adapt", LookParams)
'''
MATRIX = """
image_size: [48, 24]
seeds: [0]
data:
  plaza: {use: synthetic, world: plaza, size: tiny}
  crowd: {use: synthetic, world: crowd, size: tiny}
tasks:
  with a pool: {target: plaza, pool: crowd}
  without: {target: plaza}
backbone: {use: resnet-tiny, width: 4}
evaluate: [cosine]
methods:
  look:
    finetune: none
    adapt:
      use: look
      structure:
        use: hmr
        angles: [90, 180]
        regressor: {use: hmr-training, backbone: small, width: 2, hidden: 8, epochs: 1, batch: 8, held_out: 0.2}
"""


@pytest.mark.slow
def test_a_regressor_of_the_pool_serves_the_target(
    pool: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained on the pool, used on the target without its truth; a task without a pool cannot use it."""
    make_plugin(tmp_path / "site", "hmr_look", LOOK)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-hmr-look")
    monkeypatch.setenv("REIDBENCH_CACHE", str(tmp_path / "cache"))
    results = run_matrix(MATRIX, tmp_path).results
    found = {result.row.task: result for result in results}
    assert found["with a pool"].status == "ok", found["with a pool"].error
    assert found["without"].status == "not-applicable"
    assert found["without"].row.reason == "hmr-training needs a pool, and the task has none"
    store = Store(tmp_path / "store")
    stages = [store.manifest(key).manifest["stage"] for key in sorted(store.keys())]
    data = {stage["use"]: [given["data"] for given in stage["data"]] for stage in stages}
    assert (data["hmr-training"], data["hmr"]) == (["crowd"], ["plaza"])
    lines = list(benchmarks.hmr.rows(store, most=10))
    images = {line["images"]: line["persons' images"] for line in lines}
    assert images == {"data crowd, held out": 14, "data plaza, test": 9}  # of 81 every ninth
    assert all(0 < line["yaw error"] < 180 and 0 < line["joint error"] < 1 for line in lines)
