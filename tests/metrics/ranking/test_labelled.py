"""Rules of labelled rows: by hand, and against a slow formulation under every combination."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidbench.metrics import Labelled, MetricError, Rules, rank_labelled
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
