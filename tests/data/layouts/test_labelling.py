"""Labels from names: numbers of persons and cameras, training persons, and queries that all have a match."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from reidbench.data.layouts.labelling import Labels, Rules, label
from reidbench.data.layouts.naming import numbered
from reidbench.data.layouts.patterns import PathPattern
from reidbench.errors import DataError

NAMES = "{pid}_{camid}_{}.jpg"


def labelled(paths: Iterable[str], pattern: str = NAMES, split: str = "none", **more: Any) -> Labels:
    rules = Rules(PathPattern(pattern), split, **more)
    pictures = [rules.read(path) for path in paths]
    return label([picture for picture in pictures if picture is not None], rules)


def of(labels: Labels, part: str) -> list[str]:
    return [path for path, _, _, its in labels.rows if its == part]


@pytest.mark.parametrize(
    ("names", "first", "numbers"),
    [
        (["7", "0012", "3"], 1, {"7": 7, "0012": 12, "3": 3}),  # numbers stay
        (["bob", "anna", "10", "9"], 1, {"9": 1, "10": 2, "anna": 3, "bob": 4}),  # numbers before strings, by value
        (["0", "1"], 1, {"0": 1, "1": 2}),  # 0 would be a distractor
        (["0", "3"], 0, {"0": 0, "3": 3}),
        (["１２", "3"], 1, {"3": 1, "１２": 2}),  # digits of other scripts are text
        (["-5", "3"], 1, {"-5": 1, "3": 2}),
    ],
)
def test_numbers(names: list[str], first: int, numbers: dict[str, int]) -> None:
    assert numbered("identity", names, first) == numbers
    assert numbered("identity", names[::-1], first) == numbers


@pytest.mark.parametrize("pair", [("1", "01"), ("+1", "1"), ("\u00e9", "e\u0301")])
def test_one_name_in_two_spellings_is_refused(pair: Sequence[str]) -> None:
    with pytest.raises(DataError, match="are the same in two spellings: rename one"):
        numbered("camera", [*pair, "7"], 0)


def test_training_persons_are_the_first_by_a_hash_of_seed_and_name() -> None:
    paths = [f"{person}_{camera}_0.jpg" for person in "abcdefghij" for camera in (1, 2)]
    order = sorted("abcdefghij", key=lambda name: hashlib.sha256(f"3 person {name}".encode()).hexdigest())
    for split, count in (("70% identities", 7), ("25%  identities".replace("  ", " "), 2), ("4 identities", 4)):
        labels = labelled(paths, split=split, seed=3)
        assert {path[0] for path in of(labels, "train")} == set(order[:count])
        assert len(of(labels, "train")) == 2 * count
    assert len(of(labelled(paths, split="train"), "train")) == 20
    assert of(labelled(paths, split="none"), "train") == []


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("70%", "expected 'N% identities'"),
        ("0% identities", "expected 'N% identities'"),
        ("100% identities", "expected 'N% identities'"),
        ("-1 identities", "expected 'N% identities'"),
        ("10% identities", "split '10% identities' of 3 identities: 0 for training, 3 for the test; each needs"),
        ("3 identities", "of 3 identities: 3 for training, 0 for the test"),
    ],
)
def test_a_split_that_is_none(split: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        labelled([f"{person}_{camera}_0.jpg" for person in "abc" for camera in (1, 2)], split=split)


# The cameras of a person, with the number of its pictures; how many are queries, worked out by hand.
@pytest.mark.parametrize(
    ("cameras", "queries"),
    [
        ((3, 2), 2),
        ((1, 1), 1),  # the other is its match
        ((1, 5), 1),  # the five have a match in the one only if it stays
        ((1, 1, 1), 2),
        ((1, 1, 4), 2),
        ((1, 4, 2), 3),
        ((6,), 0),  # by one camera: no valid match
    ],
)
def test_queries_of_a_person(cameras: tuple[int, ...], queries: int) -> None:
    other = [f"x_{camera}_{number}.jpg" for camera in (1, 2) for number in (1, 2)]
    paths = [f"a_{camera}_{number}.jpg" for camera, many in enumerate(cameras) for number in range(many)]
    labels = labelled([*paths, *other])
    assert sum(path.startswith("a") for path in of(labels, "query")) == queries
    assert len(of(labels, "query")) == queries + 2
    alone = "1 test identities are seen by one camera only: they have no query, and their images are in the gallery: a"
    assert (alone in labels.notes) == (queries == 0)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_query_has_a_match_by_another_camera_and_no_camera_has_two(seed: int) -> None:
    """For every person whom up to four cameras see in up to three pictures."""
    for many in itertools.product(range(4), repeat=4):
        if sum(number > 0 for number in many) < 2:
            continue
        paths = [f"a_{camera}_{number}.jpg" for camera in range(4) for number in range(many[camera])]
        labels = labelled(paths, seed=seed)
        cameras = {path: camid for path, _, camid, _ in labels.rows}
        queries, gallery = of(labels, "query"), of(labels, "gallery")
        assert sorted([*queries, *gallery]) == sorted(paths)
        assert len({cameras[path] for path in queries}) == len(queries) >= 1
        for query in queries:
            assert any(cameras[path] != cameras[query] for path in gallery), many


def test_the_seed_draws_other_queries() -> None:
    paths = [f"a_{camera}_{number}.jpg" for camera in (1, 2) for number in range(20)]
    drawn = [of(labelled(paths, seed=seed), "query") for seed in range(4)]
    assert len({tuple(queries) for queries in drawn}) > 1


def test_without_cameras_one_picture_of_each_person_is_the_query() -> None:
    labels = labelled(["a_1.jpg", "a_2.jpg", "b_1.jpg"], "{pid}_{}.jpg")
    assert {camid for _, _, camid, _ in labels.rows} == {-1}
    assert len(of(labels, "query")) == 1
    assert of(labels, "query")[0].startswith("a")
    assert labels.notes == (
        "1 test identities have one image only: they have no query, and their images are in the gallery: b",
        "the pattern has no {camid}: cameras are unknown, and the camera rule does not apply",
    )


def test_junk_and_distractors_are_in_the_gallery_and_never_trained_on() -> None:
    paths = [f"{person}_{camera}_{n}.jpg" for person in ("-1", "none", "4", "5") for camera in (1, 2) for n in (1, 2)]
    labels = labelled(paths, split="50% identities", distractors="none")
    assert labels.persons == {"-1": -1, "none": 0, "4": 4, "5": 5}
    assert {pid for _, pid, _, part in labels.rows if part == "train"} < {4, 5}
    assert {part for _, pid, _, part in labels.rows if pid <= 0} == {"gallery"}
    train = labelled(paths, split="train", distractors="none")
    assert {pid for _, pid, _, _ in train.rows} == {4, 5}
    assert "8 images of junk or distractors are left out, since nothing is tested" in train.notes
    with pytest.raises(DataError, match="distractors 'nobody': no image has this identity"):
        labelled(paths, distractors="nobody")


def test_junk_in_any_spelling_of_minus_1() -> None:
    labels = labelled(
        [f"{person}_{camera}_{n}.jpg" for person in ("-001", "0001") for camera in (1, 2) for n in (1, 2)]
    )
    assert labels.persons == {"-001": -1, "0001": 1}
    assert {part for _, pid, _, part in labels.rows if pid == -1} == {"gallery"}


def test_cameras_of_several_fields_and_a_note_where_one_could_be_several() -> None:
    paths = [f"{store}_{camera}_a_{number}.jpg" for store in "AB" for camera in (1, 2) for number in (1, 2)]
    pattern = "{store}_{camid}_{pid}_{}.jpg"
    merged = labelled(paths, pattern)
    assert merged.cameras == {"1": 1, "2": 2}
    assert merged.notes == (
        "camera 1 is one camera, though {store} is A and B; if these are different cameras, use --camera "
        "'{store}-{camid}'",
    )
    apart = labelled(paths, pattern, camera="{store}-{camid}")
    assert (apart.cameras, apart.notes) == ({"A-1": 0, "A-2": 1, "B-1": 2, "B-2": 3}, ())


def test_person_zero_is_a_person_with_a_note() -> None:
    labels = labelled([f"{person}_{camera}_0.jpg" for person in ("00", "01") for camera in (1, 2)])
    assert labels.persons == {"00": 1, "01": 2}
    assert labels.notes == (
        "identity 00 is an ordinary identity with pid 1; if it means distractors, use --distractors 00",
    )


@pytest.mark.parametrize(
    ("pattern", "more", "words"),
    [
        ("{name}_{camid}.jpg", {}, "no field {pid}, which is the identity"),
        ("{pid}_{camid}.jpg", {"camera": "{store}"}, "camera {store}: the pattern has no field {store}"),
        ("{pid}_{camid}.jpg", {"camera": "store"}, "store: expected fields of the pattern"),
    ],
)
def test_rules_that_cannot_be(pattern: str, more: dict[str, str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Rules(PathPattern(pattern), "none", **more)


def test_nobody_to_ask_for() -> None:
    with pytest.raises(
        DataError, match="none of the 2 test identities is seen by two cameras, so there are no queries"
    ):
        labelled(["a_1_1.jpg", "a_1_2.jpg", "b_2_1.jpg"])
    with pytest.raises(DataError, match="no image shows an identity"):
        labelled(["-1_1_1.jpg"])


@pytest.mark.parametrize(
    ("template", "names", "words"),
    [
        ("{store}{camid}", ("1_12", "11_2"), "'112' is camid 12, store 1 and camid 2, store 11"),
        ("{store}-{camid}", ("a-b_c", "a_b-c"), "'a-b-c' is camid c, store a-b and camid b-c, store a"),
    ],
)
def test_two_cameras_of_one_text_are_refused(template: str, names: tuple[str, str], words: str) -> None:
    paths = [f"{person}_{name}_0.jpg" for person in "ab" for name in (*names, "5_6")]
    with pytest.raises(DataError, match=f"{words}; separate the fields by a character that is in neither"):
        labelled(paths, "{pid}_{store}_{camid}_{}.jpg", camera=template)
    assert len(labelled(paths, "{pid}_{store}_{camid}_{}.jpg", camera="{store}+{camid}").cameras) == 3


def test_camera_minus_1_is_unknown() -> None:
    """The camera rule keeps all matches of such images: person b, of unknown cameras alone, has a query too."""
    paths = [f"a_{camera}_{shot}.jpg" for camera in (-1, 0, 3) for shot in "xy"] + [
        f"b_-1_{shot}.jpg" for shot in "xyz"
    ]
    labels = labelled(paths)
    assert labels.cameras == {"0": 0, "3": 3}
    assert {(path.split("_")[1], camid) for path, _, camid, _ in labels.rows} == {("-1", -1), ("0", 0), ("3", 3)}
    assert "5 images have camera -1, an unknown camera: the camera rule does not apply to them" in labels.notes
    assert sorted(path[:4].rstrip("_xyz") for path in of(labels, "query")) == ["a_-1", "a_0", "a_3", "b_-1"]
    shops = [f"{shop}_a_{camera}_{shot}.jpg" for shop in (1, 2) for camera in (-1, 0) for shot in "xy"]
    pattern = "{shop}_{pid}_{camid}_{}.jpg"
    merged, apart = labelled(shops, pattern), labelled(shops, pattern, camera="{shop}-{camid}")
    assert [note[:8] for note in merged.notes] == ["4 images", "camera 0"]  # no camera is -1, so none is two cameras
    assert apart.cameras == {"1-0": 0, "2-0": 1}
    assert {camid for path, _, camid, _ in apart.rows if "_-1_" in path} == {-1}
