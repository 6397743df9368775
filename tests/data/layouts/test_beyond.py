"""Clothes, modality and tracklets from names: whole tracklets are split, and numbers are unique."""

from __future__ import annotations

from collections import defaultdict

import pytest

from reidbench.data.layouts.labelling import Labels, Rules, label
from reidbench.data.layouts.patterns import PathPattern
from reidbench.errors import DataError

WALKS = "{pid}_{camid}_{tracklet}_{}.jpg"


def labelled(paths: list[str], pattern: str = WALKS, split: str = "none") -> Labels:
    rules = Rules(PathPattern(pattern), split)
    pictures = [rules.read(path) for path in paths]
    return label([picture for picture in pictures if picture is not None], rules)


def test_a_tracklet_is_of_one_person_camera_and_split_and_each_camera_asks_with_one() -> None:
    paths = [f"{p}_{c}_{t}_{n}.jpg" for p in "abc" for c in (1, 2) for t in ("T1", "T2") for n in range(4)]
    labels = labelled(paths)
    tracklets = labels.beyond.labels.tracklets
    assert tracklets is not None
    found = defaultdict(set)
    for (path, pid, camid, part), number in zip(labels.rows, tracklets.tolist(), strict=True):
        found[number].add((path.rpartition("_")[0], pid, camid, part))
    assert sorted(found) == list(range(12))
    assert all(len(walk) == 1 for walk in found.values())
    asked = [walk.pop()[1:] for walk in found.values()]
    queries = [(pid, camid) for pid, camid, part in asked if part == "query"]
    assert sorted(queries) == [(pid, camid) for pid in (1, 2, 3) for camid in (1, 2)]


def test_a_person_with_one_tracklet_has_no_query_where_cameras_are_unknown() -> None:
    paths = ["a_1_0.jpg", "a_1_1.jpg", "b_1_0.jpg", "b_2_0.jpg"]
    notes = labelled(paths, "{pid}_{tracklet}_{}.jpg").notes
    assert (
        "1 test identities have one tracklet only: they have no query, and their images are in the gallery: a" in notes
    )


def test_the_same_number_in_another_outfit_is_another_tracklet() -> None:
    paths = [f"a_{c}_{outfit}_1_{n}.jpg" for c in (1, 2) for outfit in ("x", "y") for n in (0, 1)]
    more = labelled(paths, "{pid}_{camid}_{clothes}_{tracklet}_{}.jpg").beyond
    assert more.labels.tracklets is not None
    assert sorted(more.labels.tracklets.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [(walk.camera, walk.clothes) for walk in more.walks] == [("1", "x"), ("1", "y"), ("2", "x"), ("2", "y")]


def test_minus_one_is_unknown_as_it_is_in_a_manifest() -> None:
    paths = [f"a_{c}_k{k}_t{t}_{n}.jpg" for c in (1, 2) for k, t in ((-1, -1), (0, 7), (1, 8)) for n in (0, 1)]
    more = labelled(paths, "{pid}_{camid}_k{clothes}_t{tracklet}_{}.jpg").beyond
    assert more.clothes == {"0": 0, "1": 1}
    assert more.labels.clothes is not None
    assert more.labels.tracklets is not None
    assert sorted(more.labels.clothes.tolist()) == [-1] * 4 + [0] * 4 + [1] * 4
    assert sorted(more.labels.tracklets.tolist()) == [-1] * 4 + [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_number_that_comes_again_is_noted_with_what_differs() -> None:
    paths = [f"a_1_{outfit}_1_{n}.jpg" for outfit in ("x", "y") for n in (0, 1)]
    (note,) = labelled(paths, "{pid}_{camid}_{clothes}_{tracklet}_{}.jpg", "train").beyond.notes
    assert note.startswith(
        "tracklet 1 occurs 2 times, for identity a by camera 1, in outfit x and identity a by camera 1, in outfit y: "
    )


def test_without_such_fields_there_are_no_labels_and_no_notes() -> None:
    more = labelled(["a_1_0.jpg", "a_2_0.jpg"], "{pid}_{camid}_{}.jpg").beyond
    assert more.labels.known == frozenset()
    assert (more.clothes, more.modality, more.walks, more.notes) == ({}, {}, (), ())


@pytest.mark.parametrize(
    ("name", "word"), [("RGB", "visible"), ("vis", "visible"), ("NIR", "infrared"), ("TIR", "thermal"),
                       ("Thermal", "thermal"), ("depth", "depth")]
)  # fmt: skip
def test_words_of_modalities(name: str, word: str) -> None:
    more = labelled([f"a_1_{name}.jpg", "a_2_visible.jpg"], "{pid}_{camid}_{modality}.jpg").beyond
    assert more.labels.modality == (word, "visible")
    assert more.notes == (() if name == word else (f"modality: {name} is {word}",))


def test_a_modality_that_is_no_word_and_an_outfit_in_two_spellings() -> None:
    with pytest.raises(DataError, match="modality '3d' is not a lower-case word"):
        labelled(["a_1_3D.jpg", "a_2_3D.jpg"], "{pid}_{camid}_{modality}.jpg")
    with pytest.raises(DataError, match="outfit '01' and '1' are the same in two spellings"):
        labelled(["a_1_1.jpg", "a_2_01.jpg"], "{pid}_{camid}_{clothes}.jpg")
