"""Worlds with labels beyond identity: clothes by person and camera, infrared cameras, images of one walk."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from reidbench.data import Split, read_manifest
from reidbench.errors import DataError
from reidbench_synthetic import dataset as synthetic
from reidbench_synthetic import reidbench_datasets
from reidbench_synthetic.folder import MANIFEST
from reidbench_synthetic.labels import labels_of
from reidbench_synthetic.params import SyntheticParams
from reidbench_synthetic.render import Studio
from reidbench_synthetic.shots import Kind, Part, Shot, list_shots
from reidbench_synthetic.worlds import WORLDS, SizeName, WorldName, size_of

NEW: dict[WorldName, frozenset[str]] = {
    "wardrobe": frozenset({"clothes", "attributes"}),
    "nightfall": frozenset({"modality"}),
    "footage": frozenset({"tracklets"}),
}
SIZES: tuple[SizeName, ...] = ("tiny", "small", "medium", "full")


def persons_of(world: WorldName, size: SizeName, part: Part) -> list[Shot]:
    return [shot for shot in list_shots(world, size) if shot.part == part and shot.kind is Kind.PERSON]


# --- the worlds that were there before

# Computed before the worlds with labels came: names of all sizes (sha256), and the means of blocks of 12 x 12 pixels
# of the pictures 5, 40 and the last of size tiny, seed 2.
BEFORE: dict[WorldName, tuple[str, list[list[float]]]] = {
    "plaza": ("e7e1a9194a03cf79", [
        [149.5, 154.5, 126.4, 145.0, 84.9, 88.9, 85.5, 90.1], [135.1, 134.1, 63.5, 61.7, 99.2, 98.6, 101.2, 103.1],
        [119.4, 100.4, 94.2, 84.7, 51.0, 49.8, 100.5, 104.2]]),
    "station": ("e7e1a9194a03cf79", [
        [94.0, 106.6, 64.3, 77.5, 87.1, 103.4, 96.2, 101.0], [105.5, 102.5, 81.7, 92.4, 88.1, 94.3, 96.4, 95.3],
        [136.5, 136.2, 145.0, 124.3, 120.4, 112.3, 109.9, 99.5]]),
    "arcade": ("e7e1a9194a03cf79", [
        [84.1, 69.8, 76.6, 71.8, 54.5, 51.1, 75.5, 60.7], [59.1, 57.4, 57.3, 64.1, 61.1, 71.6, 69.9, 76.0],
        [54.0, 64.7, 58.4, 60.6, 100.4, 100.1, 114.4, 114.5]]),
    "crowd": ("de142344263f6457", [
        [83.6, 96.4, 42.1, 39.3, 82.1, 67.2, 106.5, 85.9], [87.7, 86.6, 80.1, 91.2, 92.2, 110.3, 99.9, 114.9],
        [71.7, 81.3, 70.5, 74.4, 76.4, 76.7, 80.4, 85.5]]),
    "mixed": ("bf726cf1cd77411f", [
        [104.0, 84.9, 67.6, 61.1, 62.6, 53.0, 70.0, 59.2], [103.7, 103.7, 97.4, 117.0, 64.2, 105.6, 67.3, 82.2],
        [95.4, 95.2, 88.4, 70.8, 63.2, 64.5, 70.5, 67.2]]),
}  # fmt: skip


@pytest.mark.parametrize("world", BEFORE)
def test_a_world_without_labels_keeps_its_names_and_pictures(world: WorldName) -> None:
    names, blocks = BEFORE[world]
    paths = [shot.path for size in SIZES for shot in list_shots(world, size)]
    assert hashlib.sha256("\n".join(paths).encode()).hexdigest().startswith(names)
    shots, studio = list_shots(world, "tiny"), Studio(SyntheticParams(world=world, size="tiny", seed=2))
    pictures = np.stack([studio.picture(shot) for shot in (shots[5], shots[40], shots[-1])])
    means = pictures.reshape(3, 4, 12, 2, 12, 3).mean((2, 4, 5)).reshape(3, 8)
    np.testing.assert_allclose(means, blocks, atol=0.3)  # a processor may change a pixel by one grey level


@pytest.mark.parametrize("world", BEFORE)
def test_a_world_without_labels_has_none(world: WorldName) -> None:
    params = SyntheticParams(world=world, size="tiny")
    assert params.offered() == {"truth"}
    assert not labels_of(params, list_shots(world, "tiny")).known
    assert synthetic.fingerprint(params, None) == f"synthetic-{world}-tiny-s0-v1"


# --- what the data set offers


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


@pytest.mark.slow
@pytest.mark.parametrize("world", NEW)
def test_component_offers_what_its_splits_have(world: WorldName, cache: Path) -> None:
    (component,) = reidbench_datasets()
    params = SyntheticParams(world=world, size="tiny")
    assert component.capabilities_with(params) == {"truth"} | NEW[world]
    opened = synthetic.open_synthetic(params, None, cache)
    assert opened.notes == ()
    assert opened.truth is not None
    for split in opened.parts().values():
        assert split.more.known == NEW[world]
        assert not split.telling(frozenset()).more.known


@pytest.mark.parametrize("world", NEW)
def test_a_file_is_labelled_as_its_shot(world: WorldName, cache: Path) -> None:
    """Splits are sorted and shots are not: each file's labels are looked up by its path."""
    opened = synthetic.open_synthetic(SyntheticParams(world=world, size="tiny"), None, cache)
    shots = {shot.path: shot for shot in list_shots(world, "tiny")}
    for split in opened.parts().values():
        for sample in split.samples:
            shot = shots[sample.path]
            clothes = shot.outfit if world == "wardrobe" else -1
            modality = {2: "infrared", 5: "infrared"}.get(shot.camera, "visible") if world == "nightfall" else ""
            assert (sample.pid, sample.camid) == (shot.pid, shot.camera)
            assert (sample.clothes, sample.modality) == (clothes, modality)
            assert sample.tracklet == (shot.tracklet if world == "footage" else -1)


@pytest.mark.parametrize("world", NEW)
def test_the_manifest_in_the_folder_says_the_same(world: WorldName, cache: Path) -> None:
    opened = synthetic.open_synthetic(SyntheticParams(world=world, size="tiny"), None, cache)
    read = read_manifest(opened.root / MANIFEST)

    def rows(split: Split | None) -> dict[str, tuple[object, ...]]:
        assert split is not None
        return {sample.path: sample[1:] for sample in split.samples}

    assert read.parts().keys() == opened.parts().keys()
    for part, split in opened.parts().items():
        assert rows(read.parts()[part]) == rows(split)
    with (opened.root / MANIFEST).open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    names = {"tracklets": "tracklet"}
    assert header[:4] == ["path", "pid", "split", "camid"]
    assert set(header[4:]) == {names.get(label, label) for label in NEW[world]}


@pytest.mark.slow
def test_a_strange_file_is_named(tmp_path: Path) -> None:
    params = SyntheticParams(world="footage", size="tiny")
    opened = synthetic.open_synthetic(params, None, tmp_path)
    first = sorted((opened.root / "query").iterdir())[0]
    first.rename(first.with_name("0013_c1s1_099999_00.png"))  # as many pictures as before
    with pytest.raises(DataError, match=r"query/0013_c1s1_099999_00.png is not an image of this data set; delete"):
        synthetic.open_synthetic(params, None, tmp_path)


@pytest.mark.parametrize(
    ("world", "size", "train", "query", "gallery"),
    [
        ("wardrobe", "tiny", 12 * 4 * 2, 12 * 4, 12 * 4 * 2),
        ("wardrobe", "small", 150 * 4 * 2, 50 * 4, 50 * 4 * 2),
        ("wardrobe", "medium", 400 * 4 * 6, 200 * 4, 200 * 4 * 5),
        ("wardrobe", "full", 400 * 4 * 8, 400 * 4, 400 * 4 * 7),
        ("nightfall", "tiny", 12 * 6 * 2, 12 * 2 * 2, 12 * 4 * 2),
        ("nightfall", "small", 100 * 6 * 2, 50 * 2 * 4, 50 * 4 * 4),
        ("nightfall", "medium", 400 * 6 * 4, 200 * 2 * 5, 200 * 4 * 5),
        ("nightfall", "full", 400 * 6 * 6, 200 * 2 * 10, 200 * 4 * 10),
        # frames of walks: each training person once at each camera and twice at one, tests with one more for queries
        ("footage", "tiny", 4 * 12 * (3 + 1), 4 * 12 * 3, 4 * (12 * (3 + 1) + 4 + 2)),
        ("footage", "small", 6 * 40 * (4 + 1), 6 * 50 * 4, 6 * (50 * (4 + 1) + 16 + 8)),
        ("footage", "medium", 8 * 200 * (6 + 1), 8 * 100 * 6, 8 * (100 * (6 + 1) + 40 + 20)),
        ("footage", "full", 10 * 300 * (6 + 1), 10 * 150 * 6, 10 * (150 * (6 + 1) + 80 + 40)),
    ],
)
def test_counts(world: WorldName, size: SizeName, train: int, query: int, gallery: int) -> None:
    counts = Counter(shot.part for shot in list_shots(world, size))
    assert counts == {"train": train, "query": query, "gallery": gallery}


@pytest.mark.parametrize("world", NEW)
@pytest.mark.parametrize("size", SIZES)
def test_names_are_unique_and_persons_are_on_one_side(world: WorldName, size: SizeName) -> None:
    shots, counts = list_shots(world, size), size_of(world, size)
    assert len({shot.name for shot in shots}) == len(shots)
    pids: dict[Part, set[int]] = defaultdict(set)
    for shot in shots:
        pids[shot.part].add(shot.pid)
    train, test = counts.train_identities, counts.test_identities
    assert pids["train"] == set(range(1, train + 1))
    assert pids["query"] == set(range(train + 1, train + test + 1))
    strangers = {0, -1} if world == "footage" else set()
    assert pids["gallery"] == pids["query"] | strangers


# --- wardrobe: the rules on clothes have something to compare, at every size


@pytest.mark.parametrize("size", SIZES)
def test_every_query_is_seen_elsewhere_in_the_same_and_in_other_clothes(size: SizeName) -> None:
    gallery = defaultdict(set)
    for shot in persons_of("wardrobe", size, "gallery"):
        gallery[shot.pid].add((shot.camera, shot.outfit))
    for query in persons_of("wardrobe", size, "query"):
        outfits = [outfit for camera, outfit in gallery[query.pid] if camera != query.camera]
        assert query.outfit in outfits
        assert any(outfit != query.outfit for outfit in outfits)


@pytest.mark.parametrize("size", SIZES)
def test_the_cameras_are_as_prcc_and_vc_clothes_have_them(size: SizeName) -> None:
    worn = defaultdict(set)
    for part in ("query", "gallery"):
        for shot in persons_of("wardrobe", size, part):
            worn[part, shot.camera].add(shot.outfit)
    assert worn["gallery", 0] == worn["query", 1]  # PRCC: the same clothes,
    assert not worn["gallery", 0] & worn["query", 2]  # and others
    for here, there in ((1, 2), (2, 1)):  # VC-Clothes: the same clothes at its cameras 2 and 3,
        assert worn["query", here] == worn["gallery", there]
    for here, there in ((2, 3), (3, 2)):  # and others at 3 and 4
        assert not worn["query", here] & worn["gallery", there]
    shots = Counter(shot.pid for shot in persons_of("wardrobe", size, "gallery") if shot.camera == 0)
    assert min(shots.values()) > 1  # a single-shot draw is not the whole gallery


def test_everybody_has_three_outfits_and_every_camera_sees_them_in_training() -> None:
    outfits, at_cameras = defaultdict(set), defaultdict(set)
    for shot in list_shots("wardrobe", "small"):
        if shot.kind is Kind.PERSON:
            outfits[shot.pid].add(shot.outfit)
        if shot.part == "train":
            at_cameras[shot.camera].add(shot.outfit)
    assert all(worn == {0, 1, 2} for worn in outfits.values())
    assert all(worn == {0, 1, 2} for worn in at_cameras.values())


def test_attributes_are_what_the_person_wears() -> None:
    params = SyntheticParams(world="wardrobe", size="tiny")
    shots, studio = list_shots("wardrobe", "tiny"), Studio(params)
    attributes = labels_of(params, shots).attributes
    for number, shot in enumerate(shots):
        person, _ = studio.person(shot.person, shot.outfit)
        assert attributes["lower"][number] == person.bottom.kind
        assert attributes["sleeves"][number] == person.top.sleeves
        assert attributes["hair"][number] == person.head.style
        assert attributes["bag"][number] == person.bag.kind
    hair = defaultdict(set)
    for shot, style in zip(shots, attributes["hair"], strict=True):
        hair[shot.person].add(style)
    assert all(len(styles) == 1 for styles in hair.values())
    assert len(set(attributes["upper"])) > 4


# --- nightfall: infrared asks, visible answers


@pytest.mark.parametrize("size", SIZES)
def test_infrared_queries_meet_several_visible_pictures_of_each_camera(size: SizeName) -> None:
    assert {shot.camera for shot in persons_of("nightfall", size, "query")} == {2, 5}
    whole = [shot for shot in list_shots("nightfall", size) if shot.part == "gallery"]
    assert {shot.camera for shot in whole} == {0, 1, 3, 4}
    seen = Counter((shot.pid, shot.camera) for shot in persons_of("nightfall", size, "gallery"))
    assert len(seen) == 4 * size_of("nightfall", size).test_identities
    assert min(seen.values()) > 1
    assert {shot.camera for shot in persons_of("nightfall", size, "train")} == {0, 1, 2, 3, 4, 5}


# --- footage: walks


@pytest.mark.parametrize("size", SIZES)
def test_a_tracklet_is_one_walk_of_one_person_past_one_camera(size: SizeName) -> None:
    walks = defaultdict(list)
    for shot in list_shots("footage", size):
        walks[shot.tracklet].append(shot)
    assert set(walks) == set(range(len(walks)))
    for shots in walks.values():
        assert [shot.frame for shot in shots] == list(range(size_of("footage", size).frames))
        assert len({(shot.part, shot.kind, shot.pid, shot.camera, shot.walk, shot.person) for shot in shots}) == 1
    kinds, counts = Counter(shots[0].kind for shots in walks.values()), size_of("footage", size)
    assert (kinds[Kind.DISTRACTOR], kinds[Kind.JUNK]) == (counts.distractors, counts.junk)
    # one walk of each at each camera in training and two in the test, and one more at one camera
    again = counts.train_identities + counts.test_identities
    assert kinds[Kind.PERSON] == (counts.train_identities + 2 * counts.test_identities) * counts.cameras + again


@pytest.mark.parametrize("size", SIZES)
def test_every_query_walk_has_walks_at_other_cameras(size: SizeName) -> None:
    gallery = Counter((shot.pid, shot.camera) for shot in persons_of("footage", size, "gallery") if shot.frame == 0)
    cameras = range(size_of("footage", size).cameras)
    for query in persons_of("footage", size, "query"):
        assert sum(gallery[query.pid, camera] for camera in cameras if camera != query.camera) >= len(cameras) - 1
    assert set(gallery.values()) == {1, 2}  # a person walks past twice at one camera


@pytest.mark.parametrize("world", NEW)
def test_new_worlds_say_in_worlds_py_what_they_have(world: WorldName) -> None:
    assert WORLDS[world].labels == NEW[world]
