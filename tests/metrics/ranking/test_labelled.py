"""Rules of labelled rows: by hand, and against a slow formulation under every combination."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidbench.metrics import (
    Labelled,
    MetricError,
    Ranking,
    Rules,
    ScoreReport,
    compare,
    rank,
    rank_labelled,
    refuse_idle,
)
from tests.support.naive_ranking import naive_ranking


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Labelled, Labelled]:
    """Queries and gallery of few identities, cameras, clothes and tracklets, with unknown ones, junk and ties."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    whole = draw(st.booleans())
    sides = []
    for low, count in ((0, draw(st.integers(1, 9))), (-1, draw(st.integers(3, 24)))):
        features = rng.normal(size=(count, 4))
        if whole:  # many equal distances
            features = rng.integers(1, 3, size=(count, 2)).astype(float)
        tracklets = rng.integers(-1, 6, count)
        pids, camids = rng.integers(low, 4, count), rng.integers(-1, 3, count)
        for tracklet in range(6):
            images = np.flatnonzero(tracklets == tracklet)
            pids[images], camids[images] = pids[images[:1]], camids[images[:1]]
        kinds = rng.integers(-1, 3, 200), rng.integers(0, 3, 200)
        key = (pids + 1) * 4 + camids + 1
        clothes = kinds[0][np.where(tracklets >= 0, 100 + tracklets, key)]
        modality = np.array(["visible", "infrared", ""])[kinds[1][camids + 1]]
        images_ = rng.integers(0, 30, count)
        sides.append(Labelled(features.astype(np.float32), pids, camids, images_, clothes, modality, tracklets))
    return sides[0], sides[1]


RULES = st.fixed_dictionaries(
    {
        "ap": st.sampled_from(("step", "trapezoid")),
        "invalid": st.sampled_from(("drop", "zero")),
        "ties": st.sampled_from(("stable", "best", "worst")),
        "camera": st.sampled_from(("market1501", "none")),
        "distance": st.sampled_from(("cosine", "euclidean")),
        "cmc": st.sampled_from(("images", "identities")),
        "exclude": st.sampled_from(((), ("same-clothes",), ("different-clothes",))),
        "cross": st.sampled_from((None, "modality")),
        "skip_cameras": st.sampled_from(({}, {0: [1]}, {2: [1, 2], 0: [0]})),
        "query_cameras": st.sampled_from(((), (0, 2))),
        "gallery_cameras": st.sampled_from(((), (0, 1))),
        "pool": st.sampled_from((None, "mean", "max")),
        "multi_query": st.booleans(),
        "shots": st.sampled_from((None, 1, 2)),
        "shots_per": st.sampled_from(("identity", "identity-and-camera")),
        "repeats": st.sampled_from((1, 3)),
        "seed": st.integers(0, 3),
    }
)


@pytest.mark.slow
@settings(deadline=None, max_examples=400)
@given(scene=scenes(), named=RULES)
def test_as_the_slow_formulation(scene: tuple[Labelled, Labelled], named: dict[str, Any]) -> None:
    query, gallery = scene
    if named["shots"] is None:
        named |= {"shots_per": "identity"}
    named |= {
        "query_cameras": [camera for camera in named["query_cameras"] if camera in query.camids],
        "gallery_cameras": [camera for camera in named["gallery_cameras"] if camera in gallery.camids],
        "skip_cameras": {
            camera: there
            for camera, skipped in named["skip_cameras"].items()
            if camera in query.camids and (there := [other for other in skipped if other in gallery.camids])
        },
    }
    rules = Rules(**named)
    naive = naive_ranking(query, gallery, rules)
    if isinstance(naive, str):
        with pytest.raises(MetricError, match=naive):
            rank_labelled(query, gallery, rules)
        return
    found = rank_labelled(query, gallery, rules)
    assert found.metrics() == pytest.approx(naive.metrics, abs=1e-12)
    assert np.flatnonzero(found.asked).tolist() == sorted(naive.per_query)
    for name, values in found.per_query().items():
        for image, results in naive.per_query.items():
            shown = [result[name] for result in results if result]
            count = len(results) if rules.invalid == "zero" else len(shown)
            expected = sum(shown) / count if count else np.nan
            assert values[image] == pytest.approx(expected, abs=1e-12, nan_ok=True)
        assert np.isnan(values[~found.asked]).all()


# ---------------------------------------------------------------- by hand: features are places on a line

LINE = Rules(distance="euclidean")


def line(places: list[float], pids: list[int], camids: list[int], **more: Any) -> Labelled:
    return Labelled(np.array(places, float)[:, None], np.array(pids), np.array(camids), **more)


def on_line(query: Labelled, gallery: Labelled, **rules: Any) -> Ranking:
    return rank_labelled(query, gallery, dataclasses.replace(LINE, **rules))


def wardrobe() -> tuple[Labelled, Labelled]:
    """One query; its pid in its clothes, in others, under its own camera, and in unknown ones; clothes 5 of another."""
    query = line([0], [1], [0], clothes=np.array([5]))
    clothes = np.array([5, 5, 6, 7, -1])
    return query, line([1, 2, 3, 4, 5], [1, 2, 1, 1, 1], [1, 1, 1, 0, 2], clothes=clothes)


@pytest.mark.parametrize(
    ("exclude", "ap", "removed"),
    [
        ((), (1 + 2 / 3 + 3 / 4) / 3, {}),
        (("same-clothes",), (1 / 2 + 2 / 3) / 2, {"same_clothes": 1}),
        (("different-clothes",), (1 + 2 / 3) / 2, {"different_clothes": 1}),
    ],
)
def test_clothes_are_excluded_of_the_own_pid_alone(exclude: Any, ap: float, removed: dict[str, int]) -> None:
    found = on_line(*wardrobe(), exclude=exclude)
    assert found.mAP == pytest.approx(ap, abs=1e-12)
    assert found.filtered == {"junk": 0, "same_camera": 1} | removed
    kept = "kept, for the clothes of one of them are unknown: 1 pairs of a query and a gallery row of its pid"
    assert found.notes == ((kept,) if exclude else ())


def test_a_pair_that_two_rules_remove_counts_once() -> None:
    query = line([0], [1], [0], clothes=np.array([5]), images=np.array([9]))
    clothes, images = np.array([5, 5, 6]), np.array([9, 1, 2])
    gallery = line([0, 1, 2], [1, 1, 1], [0, 0, 1], clothes=clothes, images=images)
    found = on_line(query, gallery, exclude=("same-clothes",))
    assert found.filtered == {"junk": 0, "same_camera": 1, "same_image": 1, "same_clothes": 0}


def test_a_query_that_has_matches_in_its_clothes_only() -> None:
    query, gallery = wardrobe()
    twice = Labelled(*(np.repeat(column, 2, 0) for column in (query.features, query.pids, query.camids)))
    twice = dataclasses.replace(twice, clothes=np.array([5, 6]))
    found = on_line(twice, gallery.take(np.array([0, 1, 3])), exclude=("same-clothes",))
    reason = "their pid is in the gallery from their own camera or in the same clothes only"
    assert found.invalid_queries.reasons == {reason: 1}
    assert found.valid.tolist() == [False, True]


def cameras_by_night() -> tuple[Labelled, Labelled]:
    query = line([0, 0], [1, 1], [2, 5], modality=np.array(["infrared", "infrared"]))
    modality = np.array(["infrared", "infrared", "", "visible", "visible", "visible"])
    return query, line([1, 2, 3, 4, 5, 6], [2, 1, 3, 4, 1, -1], [2, 3, 0, 1, 0, 1], modality=modality)


def test_modalities_do_not_meet_whatever_the_pid() -> None:
    """Kept: pid 3 of an unknown modality, 4, 1; both infrared rows of both queries never meet them."""
    found = on_line(*cameras_by_night(), cross="modality")
    assert found.first_hit.tolist() == [3, 3]
    assert found.mAP == pytest.approx(1 / 3)
    assert found.filtered == {"junk": 1, "same_camera": 0, "same_modality": 4}
    assert found.notes == ("modality unknown, so kept with all: 0 queries, 1 gallery rows",)


def test_queries_of_a_camera_skip_cameras_whatever_the_pid() -> None:
    """Rows of camera 1 (pid 4, and junk, which is nobody's) are skipped by the query of camera 2 alone."""
    found = on_line(*cameras_by_night(), cross="modality", skip_cameras={2: [1]})
    assert found.first_hit.tolist() == [2, 3]
    assert found.filtered == {"junk": 1, "same_camera": 0, "same_modality": 4, "skipped_camera": 1}


def test_cameras_that_take_no_part_leave_their_queries_empty() -> None:
    query, gallery = cameras_by_night()
    found = on_line(query, gallery, query_cameras=(5,), gallery_cameras=(0, 2))
    assert found.asked.tolist() == [False, True]
    assert found.first_hit.tolist() == [0, 3]
    assert np.isnan(found.ap[0])
    assert (found.num_queries, found.num_valid) == (1, 1)
    assert found.notes == (
        "left out by camera: 1 of 2 query images",
        "left out by camera: 3 of 6 gallery images",
    )
    assert not on_line(query, gallery, query_cameras=(5, 2), gallery_cameras=(0, 1, 2, 3)).notes
    zero = on_line(query, gallery, query_cameras=(5,), gallery_cameras=(3,), invalid="zero")
    assert zero.mAP == 1.0  # over one query, not over two images


@pytest.mark.parametrize(("pool", "places"), [("mean", [3, 2]), ("max", [5, 2])])
def test_images_of_a_tracklet_become_one_row(pool: Any, places: list[float]) -> None:
    """Gallery: tracklet 4 at 1 and 5, pid 1; an image of no tracklet at 2; pid 2 at 4."""
    query = line([-1, 1, 0], [1, 1, 3], [0, 0, 0], tracklets=np.array([8, 8, -1]))
    gallery = line([1, 2, 4, 5], [1, 1, 2, 1], [1, 2, 1, 1], tracklets=np.array([4, -1, -1, 4]))
    found = on_line(query, gallery, pool=pool)
    start = 0 if pool == "mean" else 1
    order = sorted([(abs(place - start), 1) for place in places] + [(abs(4 - start), 2)])
    hits = [rank for rank, (_, pid) in enumerate(order, 1) if pid == 1]
    assert found.ap[0] == pytest.approx((1 / hits[0] + 2 / hits[1]) / 2)
    assert found.valid.tolist() == [True, False, False]
    assert found.asked.tolist() == [True, False, True]
    assert found.notes[:2] == (
        "queries: 1 tracklets of 2 images and 1 images of no tracklet",
        "gallery: 1 tracklets of 2 images and 2 images of no tracklet",
    )


def test_tracklets_with_a_common_picture_are_one() -> None:
    """Picture 7 is in the query's tracklet and in gallery tracklet 1, which all of it then does not meet."""
    query = line([0, 0], [1, 1], [0, 0], tracklets=np.array([3, 3]), images=np.array([6, 7]))
    gallery = line(
        [1, 1, 2, 3], [1, 1, 2, 1], [1, 1, 1, 2], tracklets=np.array([1, 1, -1, 2]), images=np.array([7, 8, 9, 10])
    )
    found = on_line(query, gallery, pool="mean")
    assert found.first_hit.tolist() == [2, 0]
    assert found.filtered == {"junk": 0, "same_camera": 0, "same_image": 1}


def test_images_of_one_pid_and_camera_become_one_query() -> None:
    """Images at 0 and 4 of camera 0 meet in the middle; that of camera 1 and those of unknown cameras stay alone."""
    query = line([0, 4, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, -1, -1])
    found = on_line(query, line([1, 2], [2, 1], [7, 8]), multi_query=True)
    assert found.asked.tolist() == [True, False, True, True, True]
    assert found.first_hit.tolist() == [1, 0, 2, 2, 2]
    assert found.notes == ("queries: 4 of one pid and camera each, from 5 images",)


def identities() -> tuple[Labelled, Labelled]:
    """Before the query's pid come two images of pid 2 and one of pid 3; then pid 2 again, and the pid once more."""
    return line([0], [1], [0]), line([1, 2, 3, 4, 5, 6], [2, 2, 3, 1, 2, 1], [1] * 6)


def test_cmc_over_identities_counts_each_once() -> None:
    images, persons = (on_line(*identities(), cmc=cmc) for cmc in ("images", "identities"))
    assert images.first_hit.tolist() == [4]
    assert persons.first_hit.tolist() == [3]
    assert persons.cmc[:4].tolist() == [0, 0, 1, 1]
    assert persons.mAP == images.mAP == pytest.approx((1 / 4 + 2 / 6) / 2)
    assert persons.mINP == images.mINP == pytest.approx(2 / 6)


@pytest.mark.parametrize(("ties", "place"), [("best", 1), ("stable", 2), ("worst", 3)])
def test_identities_at_equal_distances(ties: Any, place: int) -> None:
    """At one distance: pid 2 twice, then the true match, then pid 2 and pid 3."""
    found = on_line(line([0], [1], [0]), line([1] * 5, [2, 2, 1, 2, 3], [1] * 5), cmc="identities", ties=ties)
    assert found.first_hit.tolist() == [place]
    assert found.ties.best is not None
    assert found.ties.worst is not None
    assert (found.ties.best["cmc1"], found.ties.worst["cmc1"]) == (1, 0)


# ---------------------------------------------------------------- drawn galleries


def test_pid_0_counts_as_one_identity_and_that_is_said() -> None:
    """Two distractors come before the true match: one identity, so the match is the second."""
    query, gallery = line([0], [1], [9]), line([1, 2, 3], [0, 0, 1], [0, 0, 0])
    told = "CMC counts gallery pid 0, which marks distractors in some data sets, as one identity, of 2 rows"
    for pool in (None, "mean"):
        alone = dataclasses.replace(gallery, tracklets=np.array([-1, -1, -1]))
        found = on_line(dataclasses.replace(query, tracklets=np.array([-1])), alone, cmc="identities", pool=pool)
        assert found.first_hit.tolist() == [2]
        assert told in found.notes
    one = gallery.take(np.array([1, 2]))
    assert not [note for note in on_line(query, one, cmc="identities").notes if "pid 0" in note]
    assert not [note for note in on_line(query, gallery).notes if "pid 0" in note]
    plain = rank(query.features, query.pids, query.camids, gallery.features, gallery.pids, gallery.camids,
                 Rules(cmc="identities", distance="euclidean"))  # fmt: skip
    assert plain.notes == (told,)


@pytest.mark.parametrize(
    ("rules", "query", "gallery", "told"),
    [
        ({"exclude": "same-clothes"}, {"clothes": [-1, -1]}, {"clothes": [0, -1]},
         "exclude=same-clothes would have no effect: the clothes of every query image are unknown"),
        ({"exclude": "different-clothes"}, {"clothes": [0, 1]}, {"clothes": [-1, -1]},
         "exclude=different-clothes would have no effect: the clothes of every gallery image are unknown"),
        ({"cross": "modality"}, {"modality": ["", ""]}, {"modality": ["visible", ""]},
         "cross=modality would have no effect: the modality of every query image is unknown"),
        ({"cross": "modality", "gallery_cameras": [1]}, {"modality": ["", "visible"]}, {"modality": ["visible", ""]},
         "cross=modality would have no effect: the modality of every gallery image is unknown"),
        ({"multi_query": True}, {"camids": [-1, -1]}, {},
         "multi_query would have no effect: the camera of every query image is unknown"),
        ({"shots": 1, "shots_per": "identity-and-camera"}, {}, {"camids": [-1, -1]},
         "shots_per=identity-and-camera would have no effect: the camera of every gallery image is unknown"),
        ({"pool": "max"}, {"tracklets": [-1, -1]}, {"tracklets": [-1, -1]},
         "pool=max would have no effect: no query or gallery image belongs to a tracklet"),
    ],
)  # fmt: skip
def test_rules_that_would_do_nothing(
    rules: dict[str, Any], query: dict[str, Any], gallery: dict[str, Any], told: str
) -> None:
    sides = [line([0, 1], [1, 2], [0, 1]), line([1, 2], [1, 2], [0, 1])]
    changed = [
        dataclasses.replace(side, **{name: np.array(values) for name, values in change.items()})
        for side, change in zip(sides, (query, gallery), strict=True)
    ]
    with pytest.raises(MetricError) as error:
        refuse_idle(*changed, Rules(**rules))
    assert str(error.value) == f"rule {told}; add the labels, or remove the rule"
    known = {"clothes": [0, -1], "modality": ["", "visible"], "tracklets": [3, -1], "camids": [1, -1]}
    for side, change in ((0, query), (1, gallery)):
        good = {name: np.array(known[name]) for name in change}
        changed[side] = dataclasses.replace(changed[side], **good)
    rules.pop("gallery_cameras", None)
    refuse_idle(*changed, Rules(**rules))


def shot_gallery() -> tuple[Labelled, Labelled]:
    """Pid 1 at 1 (camera 0) and 9 (camera 1); pid 2 at 5 and 5; junk at 0."""
    return line([0], [1], [7]), line([1, 9, 5, 5, 0], [1, 1, 2, 2, -1], [0, 1, 0, 1, 0])


def places_of(seed: int, draws: int) -> list[int]:
    """Rank of the true match in each draw: first if its image at 1 has the smaller number of the draw."""
    chance = [np.random.Generator(np.random.PCG64([seed, draw])).random(5) for draw in range(draws)]
    return [1 if numbers[0] < numbers[1] else 2 for numbers in chance]


def test_metrics_are_means_over_drawn_galleries() -> None:
    found = on_line(*shot_gallery(), shots=1, repeats=40, seed=3)
    places = places_of(3, 40)
    assert {1, 2} == set(places)
    assert found.mAP == pytest.approx(np.mean([1 / place for place in places]))
    assert found.cmc_at[1] == pytest.approx(np.mean([place == 1 for place in places]))
    assert found.cmc_at[5] == 1
    assert found.shares is not None
    assert found.shares[0].tolist() == [found.cmc_at[1], 1, 1, 1]
    assert found.first_hit.tolist() == [-1]
    assert found.filtered["junk"] == 1
    assert found.notes == ("gallery drawn 40 times: 1 of the images of each of 2 identities",)
    assert on_line(*shot_gallery(), shots=1, repeats=40, seed=4).mAP != found.mAP


def test_a_report_says_what_is_counted_over_all_draws() -> None:
    query, gallery = shot_gallery()
    found = on_line(query, gallery, shots=1, repeats=4)
    text = ScoreReport("x.npz", found, query.pids, query.camids).as_text()
    assert "1 queries, 1 valid; removed (over all drawn galleries): 1 junk gallery rows" in text
    assert "\n  gallery drawn 4 times: 1 of the images of each of 2 identities\n" in text
    assert "repeats=4 seed=0 shots=1 shots_per=identity" in text


def test_each_identity_and_camera_gives_its_images() -> None:
    """One of each identity and camera is all of this gallery, in every draw; pid 1 has no second image anywhere."""
    whole = on_line(*shot_gallery())
    for shots in (1, 2):
        found = on_line(*shot_gallery(), shots=shots, shots_per="identity-and-camera", repeats=3)
        assert found.metrics() == pytest.approx(whole.metrics())
    more = "; 4 of these have fewer and give all"
    note = f"gallery drawn 3 times: 2 of the images of each of 4 pairs of an identity and a camera{more}"
    assert found.notes == (note,)


@pytest.mark.parametrize("invalid", ["drop", "zero"])
def test_draws_without_a_true_match(invalid: Any) -> None:
    """The image at 1 is of the first query's own camera: where it is drawn, that query has no match."""
    query, gallery = line([0, 0], [1, 1], [0, 7]), shot_gallery()[1]
    found = on_line(query, gallery, shots=1, repeats=10, seed=3, invalid=invalid)
    places = places_of(3, 10)
    drawn_own = places.count(1)
    assert 0 < drawn_own < 10
    each = [(1 / 2 if invalid == "zero" else 1) if place == 1 else 1 / 2 for place in places]
    assert found.mAP == pytest.approx(np.mean(each))
    assert found.num_valid == 2
    alone = 1 / 2 if invalid == "drop" else (10 - drawn_own) / 10 / 2
    assert found.ap[0] == pytest.approx(alone)
    assert any(text.startswith("without a true match in some of the 10 drawn galleries") for text in found.notes)
    assert any("1 of 2 queries" in text for text in found.notes)


def test_intervals_are_withheld_where_queries_have_a_match_in_some_draws_only() -> None:
    """The mean over queries of the means over draws is another number there, whose interval is not the metric's."""
    query, gallery = line([0, 0], [1, 1], [0, 7]), shot_gallery()[1]
    found = on_line(query, gallery, shots=1, repeats=10, seed=3)
    assert np.nanmean(found.ap) != pytest.approx(found.mAP)
    assert found.in_some_draws.tolist() == [True, False]
    report = ScoreReport("x.npz", found, query.pids, query.camids)
    withheld = (
        "no intervals and no comparisons by query: 1 of 2 queries have a true match in some of the drawn galleries "
        "only, so that a mean over the queries is not the metric, which is a mean over the galleries"
    )
    assert found.without_intervals == withheld
    assert f"\n  {withheld}\n" in report.as_text()
    assert "[" not in report.as_text().split("queries")[0]
    assert report.as_dict()["ci95"] == {}
    assert withheld in report.as_dict()["notes"]
    always = on_line(*shot_gallery(), shots=1, repeats=10, seed=3)
    zero = on_line(query, gallery, shots=1, repeats=10, seed=3, invalid="zero")
    for ranking in (always, zero):
        assert not ranking.in_some_draws.any()
        kept = ScoreReport("y.npz", ranking, query.pids, query.camids)
        one = ranking is always  # of its two queries one is valid, which has no spread
        assert set(kept.as_dict()["ci95"]) == (set() if one else {"mAP", "mINP", "cmc1"})
        assert ("one valid query: no intervals" in kept.as_dict().get("notes", [])) == one
        assert np.nanmean(kept.per_query()["mAP"]) == pytest.approx(ranking.mAP)
        for pair in ((report, kept), (kept, report)):
            reason = "because some queries have a true match in some of the drawn galleries only"
            assert compare(pair) == ([], f"not compared with {pair[0].name}, {reason}: {pair[1].name}")


def test_the_reason_of_a_query_without_a_match_is_the_rules_or_the_draws() -> None:
    """Of pid 1 the images of camera 0 are at 1, of camera 1 at 3: with one draw, one of both is in the gallery."""
    query, gallery = line([0, 0, 0], [1, 1, 2], [0, 1, 0]), line([1, 3, 2], [1, 1, 2], [0, 1, 0])
    found = on_line(query, gallery, shots=1, repeats=1)
    place = [bool(found.valid[0]), bool(found.valid[1])]
    assert sorted(place) == [False, True]
    drawn = "none of their true matches is in a drawn gallery"
    assert found.invalid_queries.reasons == {drawn: 1, "their pid is in the gallery from their own camera only": 1}
    first = place.index(False)
    assert found.invalid_queries.first[0] == f"query {first} (pid 1, camera {first}): {drawn}"


def test_draws_without_any_true_match_are_in_no_mean() -> None:
    query, gallery = line([0], [1], [0]), shot_gallery()[1]
    found = on_line(query, gallery, shots=1, repeats=10, seed=3)
    assert found.mAP == 1 / 2
    empty = places_of(3, 10).count(1)
    assert f"without a true match for any query, so left out of all means: {empty} of 10 drawn galleries" in found.notes
    with pytest.raises(MetricError, match="their pid is in the gallery from their own camera only"):
        on_line(query, gallery.take(np.array([0, 2])), shots=1)


def test_a_draw_does_not_depend_on_what_takes_part() -> None:
    """Of camera 0 the same images are drawn whether those of camera 1 are left out, or there as other persons."""
    query = line([0], [1], [9])
    gallery = line([1, 4, 3, 2, 5, 6], [1, 1, 1, 2, 2, 2], [0, 0, 1, 0, 0, 1])
    named = {"shots": 1, "shots_per": "identity-and-camera", "repeats": 20}
    restricted = on_line(query, gallery, gallery_cameras=(0,), **named)
    alone = line([1, 4, 99, 2, 5, 98], [1, 1, 7, 2, 2, 7], [0, 0, 1, 0, 0, 1])
    assert 0.5 < restricted.mINP < 1
    assert restricted.mINP == on_line(query, alone, **named).mINP


def test_distractors_are_drawn_as_one_identity() -> None:
    gallery = line([1, 2, 3], [0, 0, 1], [1, 1, 1])
    found = on_line(line([0], [1], [0]), gallery, shots=1, repeats=2)
    assert found.mAP == 1 / 2
    assert found.notes[1] == "gallery pid 0, which marks distractors in some data sets, is drawn from as one identity"


def test_doubts_look_at_all_parts_and_draws() -> None:
    """All vectors equal. The query "a" meets pids 1 and 2, the query "b" its own pid 2 alone.

    One of the two images of pid 2 is drawn: that of modality "b", or that of "a", with which no other person is left.
    """
    query = line([1, 1], [1, 2], [0, 0], modality=["a", "b"])
    gallery = line([1, 1, 1], [1, 2, 2], [1, 1, 1], modality=["b", "b", "a"])
    whole = on_line(query, gallery, cross="modality")
    assert (whole.ties.pairs, whole.ties.undecided, whole.flat, whole.unopposed) == (1, 1, 1, 1)
    drawn = on_line(query, gallery, cross="modality", shots=1, repeats=12)
    assert 0 < drawn.ties.pairs < 12
    assert (drawn.ties.queries, drawn.ties.undecided, drawn.flat, drawn.unopposed) == (1, 1, 1, 1)
    assert whole.nothing_ranked
    assert drawn.nothing_ranked


# ---------------------------------------------------------------- what is refused


def test_refusals_say_what_and_where() -> None:
    query, gallery = cameras_by_night()
    for rules, message in (
        ({"exclude": ("same-clothes",)}, "requires query_clothes, which are missing"),
        ({"pool": "mean"}, "rule pool=mean requires query_tracklets"),
        ({"query_cameras": (3,)}, "rule query_cameras: no query image is from camera 3; cameras with images: 2, 5"),
        ({"gallery_cameras": (0, 5)}, "no gallery image is from camera 5; cameras with images: 0, 1, 2, 3"),
        ({"skip_cameras": {1: [1]}}, "rule skip_cameras: no query image is from camera 1"),
        ({"skip_cameras": {2: [9]}}, "rule skip_cameras: no gallery image is from camera 9"),
        ({"distance": "given"}, "rule distance=given requires distances"),
    ):
        with pytest.raises(MetricError, match=message):
            on_line(query, gallery, **rules)
    with pytest.raises(MetricError, match="query_modality must be words, such as visible, not int64"):
        on_line(dataclasses.replace(query, modality=np.array([0, 1])), gallery, cross="modality")
    with pytest.raises(MetricError, match="rank, rank_blocks and rank_distances cannot apply cross, shots; use"):
        rank(query.features, query.pids, query.camids, gallery.features, gallery.pids, gallery.camids,
             Rules(cross="modality", shots=1))  # fmt: skip


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (
            "pids",
            [2, 1, 1],
            "tracklet 4 has images of several pids: 2 in row 0, and 1 in row 2 of gallery_pids",
        ),
        ("camids", [1, 1, 3], "gallery tracklet 4 has images of several camids: 1 in row 0, and 3 in row 2"),
        ("clothes", [1, 1, 3], "gallery tracklet 4 has images of several clothes"),
    ],
)
def test_a_tracklet_is_one_pid_under_one_camera(column: str, values: list[int], message: str) -> None:
    query = line([0], [1], [0], tracklets=np.array([-1]), clothes=np.array([9]))
    gallery = line([1, 2, 3], [1, 1, 1], [1, 1, 1], tracklets=np.array([4, -1, 4]), clothes=np.array([1, 1, 1]))
    mixed = dataclasses.replace(gallery, **{column: np.array(values)})
    with pytest.raises(MetricError, match=message):
        on_line(query, mixed, pool="mean", exclude=("same-clothes",))


def test_errors_name_images_not_rows() -> None:
    """Left out by camera or pooled, an image keeps its number in what is said of its features."""
    query = line([1, 1], [1, 1], [0, 1], tracklets=np.array([0, 1]))
    gallery = line([1, 2, np.nan], [1, 1, 1], [2, 3, 3], tracklets=np.array([0, 1, 1]))
    for rules in ({"gallery_cameras": (3,)}, {"pool": "mean"}, {"shots": 1}):
        with pytest.raises(MetricError, match="gallery_features row 2 contains NaN"):
            rank_labelled(query, gallery, Rules(**rules))
    zero = line([1, 2, 0], [1, 1, 1], [2, 3, 3], tracklets=np.array([0, 1, 2]))
    with pytest.raises(MetricError, match="gallery_features row 2 is a zero vector"):
        rank_labelled(query, zero, Rules(gallery_cameras=(3,)))
    assert rank_labelled(query, zero, Rules(gallery_cameras=(2,))).mAP == 1
    cancelled = line([1, -1, 2], [1, 1, 1], [2, 2, 3], tracklets=np.array([0, 0, 1]))
    with pytest.raises(MetricError, match="the mean of the gallery_features pooled with row 0 is a zero"):
        rank_labelled(query, cancelled, Rules(pool="mean"))


def test_distances_from_elsewhere_are_asked_for_by_part() -> None:
    """`compare` is given the rows that meet; the numbers are those of the products."""
    query, gallery = cameras_by_night()
    shapes = []

    def compare(mine: Labelled, theirs: Labelled) -> list[np.ndarray]:
        shapes.append((len(mine.features), len(theirs.features)))
        return [np.abs(mine.features - theirs.features.T)]

    rules = dataclasses.replace(LINE, cross="modality", skip_cameras={2: (1,)})
    found = rank_labelled(query, gallery, rules, compare)
    assert found.metrics() == rank_labelled(query, gallery, rules).metrics()
    assert sorted(shapes) == [(1, 2), (1, 4)]
    assert found.rules.distance == "given"
