"""Rendered persons: geometry, counts and labels against independent expectations."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import pickle
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from reidbench.errors import DataError
from reidbench.rendering.mesh import Part
from reidbench_synthetic import reidbench_datasets
from reidbench_synthetic.params import SyntheticParams
from reidbench_synthetic.persons.body import build_body
from reidbench_synthetic.persons.clothing import albedo
from reidbench_synthetic.persons.pose import skeleton
from reidbench_synthetic.pictures.figure import draw_structure
from reidbench_synthetic.pictures.filters import blur, resize
from reidbench_synthetic.randomness import Stream, Tag
from reidbench_synthetic.render import Studio
from reidbench_synthetic.shots import Kind, Shot, list_shots
from reidbench_synthetic.truth import Truth
from reidbench_synthetic.worlds import WORLDS, WorldName

ROOT = Path(__file__).parents[3]
TINY = SyntheticParams(world="plaza", size="tiny")
SIDES = ("plaza", "station", "arcade")


def first_shot(pid: int = 1, camera: int = 0, index: int = 0) -> Shot:
    return Shot("train", Kind.PERSON, pid, camera, index)


# --- randomness


def test_a_float_is_the_upper_53_bits_of_a_word() -> None:
    words = np.random.PCG64(np.random.SeedSequence([7, 101, 1, 5])).random_raw(3)
    expected = [int(word) // 2**11 / 2**53 for word in words]
    stream = Stream(7, 101, 1, 5)
    assert [stream.uniform() for _ in range(3)] == expected
    assert Stream(7, 101, 1, 5).uniforms((3,)).tolist() == expected
    assert Stream(7, 101, 1, 5).uniform(2, 6) == 2 + 4 * expected[0]


def test_the_first_word_is_known() -> None:
    # PCG64 of SeedSequence([0]) gives 11749869230777074271 first: numpy's documented default_rng(0) stream.
    assert int(np.random.PCG64(np.random.SeedSequence([0])).random_raw()) == 11749869230777074271
    assert Stream(0).uniform() == pytest.approx(0.6369616873214543, abs=1e-15)


def test_normal_has_its_mean_and_deviation() -> None:
    stream = Stream(1, 2)
    values = np.array([stream.normal(3.0, 0.5) for _ in range(4000)])
    assert abs(values.mean() - 3.0) < 4 * 0.5 / math.sqrt(4000)
    assert abs(values.std() - 0.5) < 0.03


def test_weighted_follows_the_weights_and_never_takes_a_zero() -> None:
    stream = Stream(3)
    counts = Counter(stream.weighted({"a": 3.0, "b": 0.0, "c": 1.0}) for _ in range(2000))
    assert counts["b"] == 0
    assert abs(counts["a"] / 2000 - 0.75) < 0.05


def test_tags_are_distinct() -> None:
    assert len({int(tag) for tag in Tag}) == len(Tag)
    assert len({world.key for world in WORLDS.values()}) == len(WORLDS)


# --- parameters and pixels are the same everywhere


FIRST_WORLDS: tuple[WorldName, ...] = ("arcade", "crowd", "plaza", "station")
LABELLED: dict[WorldName, str] = {
    "wardrobe": "4cfd877168af9d4c08074f28e6006a2f8a24c27c85d9b9c523666e3d504a064c",
    "nightfall": "50a25fae53ab8ee49c6dbf28acfbe10e1f5d57261eb2e8f159c01fc7f387a6d4",
    "footage": "855c6b01aef252453f42d84d93c063fb1e0e93e95e10965d7b261cb1e1234f95",
}
SEPARATE: dict[WorldName, str] = {
    "avenue": "566ea1cd4028223167ca8b2b3cbcb1b5742e8f7472a1eaef806e3ec6a61ad803",
    "terminal": "e72dba91b79b1e46bf4415d2b185d7456685a6e9732a20dde70c997ff80c5452",
}


def parameters_digest(worlds: Sequence[WorldName] = FIRST_WORLDS, shots: Sequence[Shot] = ()) -> str:
    """Nine digits of all parameters of a few persons, cameras and sightings."""
    texts = []
    for world in worlds:
        studio = Studio(SyntheticParams(world=world, size="small", seed=3))
        for shot in shots or (first_shot(1, 0, 1), first_shot(57, 4, 1)):
            person, _ = studio.person(shot.person, shot.outfit, studio.is_infrared(shot.camera))
            for item in (person, studio.camera(shot.camera), studio.sighting(shot)):
                texts.append(_text(dataclasses.asdict(item)))
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _text(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_text, value)) + "]"
    return format(value, ".9g") if isinstance(value, float) else str(value)


def test_parameters_are_the_agreed_ones() -> None:
    """The definition across machines. If it must change, raise RENDERER_VERSION."""
    assert parameters_digest() == "fad17b62e9382f3f65acf4892b75bc096e84a0b2d436ad75dae4fb745dd368f8"
    assert parameters_digest(["mixed"]) == "77f35e1ae298bf97c1d2e71819250275a87bc03edd0efec7b3a1b56fef28da14"
    for world, digest in {**LABELLED, **SEPARATE}.items():
        assert parameters_digest([world], list_shots(world, "small")[::400]) == digest, world
    assert {*FIRST_WORLDS, "mixed", *LABELLED, *SEPARATE} == set(WORLDS)


@pytest.mark.slow
def test_two_processes_render_the_same() -> None:
    code = (
        "import sys; sys.path[:0] = ['.', 'plugins']\n"
        "from tests.plugins.synthetic import test_dataset as t\n"
        "pixels = t.Studio(t.TINY).picture(t.first_shot(3, 1, 1))\n"
        "print(t.parameters_digest(), pixels.tobytes().hex())"
    )
    outputs = []
    for threads in ("1", "2"):
        env = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
        )
        outputs.append(run.stdout.split())
    assert outputs[0][0] == outputs[1][0]
    first, second = (np.frombuffer(bytes.fromhex(text[1]), np.uint8).astype(int) for text in outputs)
    assert np.abs(first - second).max() <= 1


# --- geometry


def test_faces_look_outward() -> None:
    """A closed skin that looks outward encloses a positive volume, piece by piece and as a whole."""
    studio = Studio(SyntheticParams(world="plaza", size="small"))
    for pid in range(1, 9):
        mesh = build_body(studio.person((pid,))[0])
        for part in np.unique(mesh.parts):
            a, b, c = np.moveaxis(mesh.vertices[mesh.faces[mesh.parts == part]], 1, 0)
            middle = mesh.vertices[np.unique(mesh.faces[mesh.parts == part])].mean(0)
            volume = (np.cross(a - middle, b - middle) * (c - middle)).sum() / 6
            assert volume > 0, part


def test_normals_look_the_way_of_their_faces() -> None:
    mesh = build_body(Studio(TINY).person((1,))[0])
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    across = np.cross(b - a, c - a)
    agree = (mesh.normals[mesh.faces].mean(1) * across).sum(1)
    assert (agree > 0).mean() > 0.99
    np.testing.assert_allclose((mesh.normals**2).sum(1), 1, atol=1e-6)


def test_bones_move_without_deforming() -> None:
    studio = Studio(TINY)
    for pid in range(1, 6):
        person, mesh = studio.person((pid,))
        sighting = studio.sighting(first_shot(pid))
        bones = skeleton(person, sighting.pose)
        identity = bones.rotations @ bones.rotations.transpose(0, 2, 1)
        np.testing.assert_allclose(identity, np.broadcast_to(np.eye(3), identity.shape), atol=1e-12)
        np.testing.assert_allclose(np.linalg.det(bones.rotations), 1)
        vertices, _ = mesh.posed(bones)
        assert -0.05 < vertices[:, 1].min() < 0.2
        assert 0.75 < vertices[:, 1].max() < 1.25


def test_resize_and_blur_keep_what_they_must() -> None:
    flat = np.full((8, 6, 3), 0.3, dtype=np.float32)
    np.testing.assert_allclose(resize(flat, 5, 9), 0.3, atol=1e-6)
    np.testing.assert_allclose(blur(flat, 1.0), 0.3, atol=1e-6)
    ramp = np.arange(8, dtype=np.float32).reshape(8, 1, 1)
    assert resize(ramp, 4, 1)[:, 0, 0].tolist() == [0.5, 2.5, 4.5, 6.5]  # pixel middles aligned
    spike = np.zeros((9, 9, 1), dtype=np.float32)
    spike[4, 4] = 1
    spread = blur(spike, 0.8)
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(spread, spread[::-1, ::-1], atol=1e-7)


# --- who is in a set


@pytest.mark.parametrize(
    ("size", "train", "query", "gallery"),
    [
        ("tiny", 12 * 3 * 2, 12 * 3, 12 * 3 * 1 + 6 + 3),
        ("small", 100 * 6 * 2, 100 * 6, 100 * 6 * 1 + 60 + 30),
        ("medium", 400 * 6 * 4, 200 * 6, 200 * 6 * 3 + 200 + 100),
        ("full", 400 * 8 * 4, 400 * 8, 400 * 8 * 3 + 400 + 200),
    ],
)
def test_counts(size: str, train: int, query: int, gallery: int) -> None:
    for world in SIDES:
        counts = Counter(shot.part for shot in list_shots(world, size))
        assert counts == {"train": train, "query": query, "gallery": gallery}


@pytest.mark.parametrize("size", ["tiny", "small", "medium"])
def test_pool_has_only_training_pictures_and_a_tenth_shows_nobody(size: str) -> None:
    shots = list_shots("crowd", size)
    assert {shot.part for shot in shots} == {"train"}
    nobody = [shot for shot in shots if shot.kind is Kind.IRRELEVANT]
    assert abs(len(nobody) / len(shots) - 0.1) < 0.001
    assert {shot.pid for shot in nobody} == {0}
    if size == "medium":
        assert len({shot.pid for shot in shots} - {0}) == 400


@pytest.mark.parametrize("world", SIDES)
def test_protocol_is_sound(world: str) -> None:
    shots = list_shots(world, "small")
    assert len({shot.name for shot in shots}) == len(shots)
    by_part = {part: [s for s in shots if s.part == part] for part in ("train", "query", "gallery")}
    pids = {part: {s.pid for s in found} for part, found in by_part.items()}
    assert pids["train"] == set(range(1, 101))
    assert pids["query"] == set(range(101, 201))
    assert pids["gallery"] == pids["query"] | {0, -1}
    seen = {(s.pid, s.camera) for s in by_part["gallery"]}
    cameras = range(6)
    for query in by_part["query"]:
        assert any((query.pid, camera) in seen for camera in cameras if camera != query.camera)


def test_names_are_market_names_that_tell_the_shot() -> None:
    assert first_shot(2, 0, 1).name == "0002_c1s1_000001_00.png"
    assert Shot("gallery", Kind.DISTRACTOR, 0, 4, 17).name == "0000_c5s1_100017_00.png"
    assert Shot("gallery", Kind.JUNK, -1, 2, 5).path == "bounding_box_test/-1_c3s1_200005_00.png"
    for shot in list_shots("plaza", "medium"):
        match = re.fullmatch(r"(-1|\d{4})_c(\d)s1_(\d)(\d{5})_00\.png", shot.name)
        assert match is not None
        assert [int(group) for group in match.groups()] == [shot.pid, shot.camera + 1, shot.kind, shot.index]


def test_a_person_is_the_same_in_all_sizes_and_differs_between_worlds_and_seeds() -> None:
    def person(**params: object) -> object:
        return Studio(SyntheticParams(**params)).person((5,))[0]

    assert person(size="small") == person(size="full")
    assert person(world="station") != person()
    assert person(seed=1) != person()


# --- pictures


@pytest.mark.slow
def test_cameras_change_colours_more_than_time_does() -> None:
    """Retrieval by colour alone: easy at the same camera, hard at another one."""
    studio = Studio(SyntheticParams(world="plaza", size="small"))
    shots = [first_shot(pid, camera, index) for pid in range(1, 31) for camera in range(4) for index in range(2)]
    features = np.stack([_stripe_histogram(studio.picture(shot)) for shot in shots])
    pids, cameras, index = (np.array([getattr(s, name) for s in shots]) for name in ("pid", "camera", "index"))
    gallery = index == 1
    same, across = [], []
    for query in np.flatnonzero(index == 0):
        order = np.argsort(-(features @ features[query]))
        beside = order[(gallery & (cameras == cameras[query]))[order]]
        others = order[(gallery & ~((cameras == cameras[query]) & (pids == pids[query])))[order]]
        same.append(_average_precision(pids[beside] == pids[query]))
        across.append(_average_precision(pids[others] == pids[query]))
    assert np.mean(same) > 0.75
    assert 0.05 < np.mean(across) < 0.5


def _average_precision(hits: np.ndarray) -> float:
    places = np.flatnonzero(hits)
    return float(np.mean((np.arange(len(places)) + 1) / (places + 1)))


def _stripe_histogram(picture: np.ndarray) -> np.ndarray:
    """Roots of 8 x 8 x 8 colour counts in six stripes of the middle half; length 1."""
    middle = picture[:, picture.shape[1] // 4 : -picture.shape[1] // 4] // 32
    codes = middle.astype(int) @ (64, 8, 1)
    counts = [np.bincount(stripe.ravel(), minlength=512) for stripe in np.array_split(codes, 6)]
    roots = np.sqrt(np.concatenate(counts).astype(float))
    return roots / np.linalg.norm(roots)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth(TINY)


NAME = "0004_c2s1_000001_00.png"
SHOT = first_shot(4, 1, 1)


def test_own_camera_and_draw_give_the_picture_back(truth: Truth) -> None:
    picture = Studio(TINY).picture(SHOT)
    assert picture.shape == (48, 24, 3)
    assert np.array_equal(truth.restyle(NAME, 1), picture)
    assert np.array_equal(truth.view(NAME, 0.0), picture)
    fresh = truth.restyle(NAME, 1, draw=1).astype(int) - picture
    assert 0 < np.abs(fresh).max() < 20  # noise only
    assert np.abs(truth.restyle(NAME, 2).astype(int) - picture).mean() > np.abs(fresh).mean()


def test_mask_is_where_the_person_hides_the_background(truth: Truth) -> None:
    rendering = Studio(TINY).rendering(SHOT)
    differs = np.abs(rendering.clean - rendering.background).max(2) > 0.02
    mask = truth.mask(NAME)
    assert 0.1 < mask.mean() < 0.6
    assert (differs & mask).sum() > 0.95 * mask.sum()
    assert np.array_equal(rendering.clean[rendering.cover == 0], rendering.background[rendering.cover == 0])
    assert np.array_equal(rendering.parts >= 0, rendering.cover > 0)


def test_structure_map_is_a_grey_form_on_white(truth: Truth) -> None:
    form = truth.structure(NAME)
    assert form.shape == (48, 24)
    person = truth.mask(NAME)
    assert (form[0, [0, -1]] == 255).all()
    assert form[person].astype(float).std() > 8  # shaded, not flat: normals point outwards
    assert 100 < form[person].mean() < 225


def test_structure_mirrors_from_behind() -> None:
    """Seen from straight ahead and from behind without tilt, an outline is its own mirror image."""
    studio = Studio(SyntheticParams(size="full"))
    person, mesh = studio.person((2,))
    sighting = studio.sighting(first_shot(2))
    framing = dataclasses.replace(sighting.framing, right=0.0, down=0.0)
    ahead, behind = (
        draw_structure(person, mesh, dataclasses.replace(sighting, yaw=yaw, framing=framing), 0.0, (128, 64)) < 250
        for yaw in (0.0, math.pi)
    )
    both, either = (ahead & behind[:, ::-1]).sum(), (ahead | behind[:, ::-1]).sum()
    assert both / either > 0.9  # perspective makes the near leg larger
    assert both / either > (ahead & behind).sum() / (ahead | behind).sum()


def test_a_full_turn_changes_nothing_and_half_a_turn_much(truth: Truth) -> None:
    assert np.abs(truth.view(NAME, 2 * math.pi).astype(int) - truth.view(NAME, 0)).max() <= 1
    assert np.abs(truth.view(NAME, math.pi).astype(int) - truth.view(NAME, 0)).max() > 40


def test_the_face_is_seen_from_the_front_only() -> None:
    """Positive yaw turns the front to the right of the picture; yaw 0 looks into the face."""
    person = Studio(TINY).person((1,))[0]
    person = dataclasses.replace(person, head=dataclasses.replace(person.head, style="short"))
    parts = np.full(2, int(Part.HEAD))
    front, back = albedo(person, parts, np.array([0.0, 0.5]), np.array([0.6, 0.6]))
    np.testing.assert_allclose(front, person.head.skin, atol=1e-6)
    np.testing.assert_allclose(back, person.head.hair, atol=1e-6)


def test_truth_refuses_what_it_cannot_know(truth: Truth) -> None:
    with pytest.raises(DataError, match="not an image of plaza"):
        truth.restyle("9999_c1s1_000000_00.png", 0)
    with pytest.raises(DataError, match="cannot restyle to camera 3"):
        truth.restyle(NAME, 3)


def test_pool_knows_which_pictures_are_irrelevant() -> None:
    pool = Truth(SyntheticParams(world="crowd", size="tiny"))
    nobody = "0000_c2s1_300001_00.png"
    assert not pool.relevance(nobody)
    assert pool.relevance("0001_c2s1_000001_00.png")
    assert not pool.mask(nobody).any()
    assert pool.restyle(nobody, 0).shape == (48, 24, 3)
    with pytest.raises(DataError, match="no person"):
        pool.view(nobody, 1.0)


def test_truth_travels_to_other_processes(truth: Truth) -> None:
    copy = pickle.loads(pickle.dumps(truth))  # noqa: S301
    assert np.array_equal(copy.restyle(NAME, 0), truth.restyle(NAME, 0))


def test_distractors_and_junk_are_strangers() -> None:
    studio = Studio(TINY)
    shots = list_shots("plaza", "tiny")
    known = [studio.person((pid,))[0] for pid in range(1, 25)]
    for kind in (Kind.DISTRACTOR, Kind.JUNK):
        for shot in (s for s in shots if s.kind is kind):
            assert studio.person(shot.person)[0] not in known
            assert studio.picture(shot).std() > 1


# --- declaration


def test_component_is_declared_without_heavy_imports() -> None:
    (component,) = reidbench_datasets()
    assert (component.name, component.params) == ("synthetic", SyntheticParams)
    code = (
        "import sys; sys.path[:0] = ['.', 'plugins']; import reidbench_synthetic\n"
        "print([m for m in ('torch', 'reidbench_synthetic.render') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["[]"]
