"""The body of our own: joints by hand, bones that keep their length, a closed skin, mirror images, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from reidbench.rendering import humanoid
from reidbench.rendering.humanoid import SHAPES
from reidbench.rendering.skeleton import BONES, MIRRORED_JOINTS, PARENTS, Bone, Joint
from reidbench_gcl.structure.renderer import Camera, render_turned
from reidbench_synthetic.params import SyntheticParams
from reidbench_synthetic.shots import list_shots
from reidbench_synthetic.truth import Truth

AT = {joint.name.lower().replace("_", " "): int(joint) for joint in Joint}


def rest(count: int = 1) -> torch.Tensor:
    return torch.eye(3, dtype=torch.float64).expand(count, BONES, 3, 3).clone()


def mean_shape(count: int = 1) -> torch.Tensor:
    return torch.zeros(count, len(SHAPES), dtype=torch.float64)


def random_pose(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return humanoid.rotations(torch.randn(count, BONES, 6, generator=generator, dtype=torch.float64))


def angle(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def test_at_rest_joints_are_where_the_measures_put_them() -> None:
    joints = humanoid.joints(rest(), mean_shape())[0].numpy()
    assert joints.shape == (15, 3)
    # Above the pelvis, which is 0.51 above the floor: head 0.825 + 0.1, ankles 0.015, wrists 0.825 - 0.035 - 0.315.
    expected = {
        "pelvis": (0, 0), "head": (0, 0.415), "neck": (0, 0.315), "left hip": (-0.046, -0.035),
        "right knee": (0.046, -0.28), "left ankle": (-0.046, -0.495), "right shoulder": (0.112, 0.28),
        "left elbow": (-0.112, 0.115), "right wrist": (0.112, -0.035),
    }  # fmt: skip
    for name, place in expected.items():
        np.testing.assert_allclose(joints[AT[name]], [*place, 0], atol=1e-7, err_msg=name)


def test_a_bone_turns_what_hangs_on_it_and_nothing_else() -> None:
    pose = rest()
    pose[:, Bone.LEFT_UPPER_ARM] = humanoid.tilt(angle(-math.pi / 2))  # the arm is held out to the front
    pose[:, Bone.LEFT_FOREARM] = humanoid.tilt(angle(-math.pi / 2))  # and the forearm from there up
    before, after = (humanoid.joints(turns, mean_shape())[0].numpy() for turns in (rest(), pose))
    np.testing.assert_allclose(after[AT["left elbow"]], [-0.112, 0.28, 0.165], atol=1e-7)
    np.testing.assert_allclose(after[AT["left wrist"]], [-0.112, 0.28 + 0.15, 0.165], atol=1e-7)
    others = [row for name, row in AT.items() if name not in ("left elbow", "left wrist")]
    assert np.array_equal(before[others], after[others])


def test_bones_keep_their_length_in_every_pose() -> None:
    shape = torch.randn(4, len(SHAPES), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    still, moved = humanoid.joints(rest(4), shape), humanoid.joints(random_pose(4), shape)
    for first, second in (
        ("left hip", "left knee"), ("right knee", "right ankle"), ("left shoulder", "left elbow"),
        ("right elbow", "right wrist"), ("neck", "head"), ("pelvis", "neck"), ("left hip", "right hip"),
        ("left shoulder", "right shoulder"), ("neck", "left shoulder"),
    ):  # fmt: skip
        lengths = [(joints[:, AT[first]] - joints[:, AT[second]]).norm(dim=1) for joints in (still, moved)]
        torch.testing.assert_close(lengths[0], lengths[1])


def test_two_columns_become_a_rotation() -> None:
    """Gram-Schmidt: (2, 0, 0) and (5, 3, 0) give x and y; any columns give an orthonormal matrix that keeps hands."""
    six = torch.tensor([[2.0, 0, 0, 5, 3, 0]])
    torch.testing.assert_close(humanoid.rotations(six)[0], torch.eye(3))
    turns = random_pose(20)
    torch.testing.assert_close(turns @ turns.transpose(-1, -2), torch.eye(3, dtype=torch.float64).expand_as(turns))
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(20, BONES, dtype=torch.float64))
    columns = turns[..., :2].transpose(-1, -2).flatten(-2)
    torch.testing.assert_close(humanoid.rotations(columns), turns)


def test_yaw_is_read_from_a_tilted_root() -> None:
    yaws = torch.linspace(-3.1, 3.1, 41, dtype=torch.float64)
    for pitch in (0.0, 0.4, -0.7):
        root = humanoid.tilt(torch.full_like(yaws, pitch)) @ humanoid.turn(yaws)
        torch.testing.assert_close(humanoid.yaw(root), yaws)
    front = humanoid.turn(angle(math.pi / 2))[0] @ torch.tensor([0.0, 0, 1], dtype=torch.float64)
    torch.testing.assert_close(front, torch.tensor([1.0, 0, 0], dtype=torch.float64))


def test_shapes_change_what_they_name_and_no_body_leaves_the_scale() -> None:
    mean = humanoid.measures(mean_shape())
    for number, (name, changes) in enumerate(SHAPES.items()):
        shape = mean_shape()
        shape[0, number] = 1.0
        found = humanoid.measures(shape)
        reached = 3 * math.tanh(1 / 3)
        for measure, percent in changes.items():
            assert float(found[measure] / mean[measure]) == pytest.approx(math.exp(percent / 100 * reached)), name
        same = set(mean) - set(changes) - {"shin", "neck"}
        assert all(found[measure] == mean[measure] for measure in same), name
    wild = humanoid.measures(1e6 * torch.randn(50, len(SHAPES), generator=torch.Generator().manual_seed(2)))
    assert all((value > 0).all() for value in wild.values())
    for legs in (-2.0, 2.0):
        shape = mean_shape()
        shape[0, 0] = legs
        joints = humanoid.joints(rest(), shape)[0]
        assert float(joints[AT["head"], 1] - joints[AT["left ankle"], 1]) == pytest.approx(0.925 - 0.015)


def test_the_skin_is_closed_and_looks_outwards() -> None:
    faces = humanoid.faces()
    for pose in (rest(2), random_pose(2)):
        skin = humanoid.vertices(pose, mean_shape(2))[1].numpy()
        assert skin.shape == (faces.max() + 1, 3)
        a, b, c = (skin[faces[:, corner]] for corner in range(3))
        volume = np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6
        # Pieces overlap a little; a person of 1.75 m and 70 kg fills 0.07 / 1.75^3 = 0.013 of a cubic body height.
        assert 0.010 < volume < 0.020
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = edges[np.linalg.norm(skin[edges[:, 0]] - skin[edges[:, 1]], axis=1) > 1e-9]  # a cap ends in one point
    assert len(np.unique(edges, axis=0)) == len(edges)  # each once in each direction
    assert {tuple(edge) for edge in edges} == {tuple(edge[::-1]) for edge in edges}


def test_girths_are_measures_of_the_skin() -> None:
    shape = torch.randn(3, len(SHAPES), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    girths = humanoid.girths(shape)
    parts = dict(enumerate(humanoid._pieces(humanoid.measures(shape))))
    trunk, head, thigh, arm = parts[0][1], parts[2][1], parts[3][1], parts[6][1]
    assert [parts[number][0] for number in (0, 2, 3, 6)] == [
        Bone.SPINE, Bone.HEAD, Bone.LEFT_THIGH, Bone.LEFT_UPPER_ARM,
    ]  # fmt: skip
    torch.testing.assert_close(trunk[..., 0].amax(1), torch.maximum(girths[:, 0], girths[:, 1]))
    torch.testing.assert_close(trunk[..., 2].amax(1), girths[:, 2])
    torch.testing.assert_close(thigh[..., 0].amax(1), girths[:, 3])
    torch.testing.assert_close(arm[..., 0].amax(1), girths[:, 4])
    torch.testing.assert_close((head[..., 1].amax(1) - head[..., 1].amin(1)) / 2, girths[:, 5])


def test_a_mirror_swaps_left_and_right() -> None:
    """The mirror image of a pose (M R M, left and right bones exchanged) has the mirrored joints."""
    swapped = [0, 1, 2, 8, 9, 10, 11, 12, 3, 4, 5, 6, 7]
    assert [PARENTS[bone] for bone in swapped[3:8]] == [0, 8, 9, 1, 11]
    mirror = torch.diag(torch.tensor([-1.0, 1, 1], dtype=torch.float64))
    pose = random_pose(5)
    joints = humanoid.joints(pose, mean_shape(5))
    mirrored = humanoid.joints(mirror @ pose[:, swapped] @ mirror, mean_shape(5))
    torch.testing.assert_close(mirrored, joints[:, list(MIRRORED_JOINTS)] @ mirror)


def test_gradients_are_those_of_finite_differences() -> None:
    six = torch.randn(1, BONES, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64).requires_grad_()
    shape = (0.3 * torch.randn(1, len(SHAPES), generator=torch.Generator().manual_seed(5))).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: humanoid.joints(humanoid.rotations(a), b)[:, ::4], (six, shape))
    skin = humanoid.vertices(humanoid.rotations(six), shape)
    skin.square().sum().backward()
    assert six.grad is not None
    assert (six.grad.abs().sum(2) > 0).all()
    assert shape.grad is not None
    assert (shape.grad != 0).all()


def test_the_mean_body_is_the_renderers_mean_person() -> None:
    """Bone lengths and girths against those of 60 rendered persons: within 5 %, girths within 10 %."""
    truth = Truth(SyntheticParams(world="crowd", size="small"))
    bodies = [truth.body(shot.name) for shot in list_shots("crowd", "small")[:1200:20]]
    joints = np.stack([body.joints for body in bodies])
    ours = humanoid.joints(rest(), mean_shape()).numpy()
    for first, second in (
        ("left hip", "left knee"), ("right knee", "right ankle"), ("left shoulder", "left elbow"), ("pelvis", "neck"),
        ("right elbow", "right wrist"), ("left hip", "right hip"), ("left shoulder", "right shoulder"),
    ):  # fmt: skip
        theirs, mine = (np.linalg.norm(p[:, AT[first]] - p[:, AT[second]], axis=1).mean() for p in (joints, ours))
        assert mine == pytest.approx(theirs, rel=0.05), (first, second)
    girths = np.stack([body.girths for body in bodies]).mean(0)
    np.testing.assert_allclose(humanoid.girths(mean_shape())[0].numpy(), girths, rtol=0.1)


def test_a_rendered_body_turns_like_its_root() -> None:
    """A body turned by 90 degrees is the body whose root was turned by 90, about the skin's middle."""
    size, camera = (64, 32), Camera((58.0, 58.0), (16.0, 32.0))
    pose = rest()
    pose[:, Bone.RIGHT_FOREARM] = humanoid.tilt(angle(-1.2))
    skin = humanoid.vertices(pose, mean_shape())[0].numpy()
    middle = skin.mean(0) * [1, 0, 1]
    views = render_turned(skin - middle, humanoid.faces(), camera, size, (90,))
    pose[:, Bone.ROOT] = humanoid.turn(angle(math.pi / 2))
    turned = humanoid.vertices(pose, mean_shape())[0].numpy()
    other = render_turned(turned - turned.mean(0) * [1, 0, 1], humanoid.faces(), camera, size, ())
    assert np.abs(views[1].astype(int) - other[0]).mean() < 0.5
    assert np.abs(views[1].astype(int) - views[0]).mean() > 3
    columns = np.flatnonzero((views[1][20:32] < 255).any(0))  # about the waist, where the forearm points to the right
    assert columns[-1] - 16 > 16 - columns[0] + 3
