"""Rules of the evaluators: refused values, required labels, and words of the protocol column."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from reidbench.words import complaint
from reidbench_baseline.ranking_params import ExpansionParams, RankingParams, ReciprocalParams


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"exclude": ["same-clothes", "different-clothes"]}, "together they leave no known match"),
        ({"exclude": ["same-clothes", "same-clothes"]}, "give same-clothes or different-clothes, once"),
        ({"exclude": ["clothes"]}, "Input should be 'same-clothes' or 'different-clothes'"),
        ({"cross": "camera"}, "Input should be 'modality'"),
        ({"pool": "min"}, "Input should be 'mean' or 'max'"),
        ({"shots": 0}, "greater than or equal to 1"),
        ({"shots": 1, "gallery": "single-shot"}, "shots draws a gallery for all queries"),
        ({"cmc": "identities", "gallery": "single-shot"}, "cmc: identities has no effect with gallery: single-shot"),
        ({"shots_per": "identity-and-camera"}, "shots_per: identity-and-camera has no effect without shots"),
        ({"repeats": 5}, "repeats has no effect without shots or gallery: single-shot"),
        ({"draw_seed": 5}, "draw_seed has no effect without shots or gallery: single-shot"),
        ({"query_cameras": []}, "at least 1 item"),
        ({"query_cameras": [1, 1]}, "query_cameras names a camera twice"),
        ({"gallery_cameras": [-1]}, "greater than or equal to 0"),
        ({"skip_cameras": {2: []}}, "at least 1 item"),
        ({"skip_cameras": {-2: [1]}}, "greater than or equal to 0"),
        ({"skip_cameras": {"02": [1], "2": [0]}}, "two keys name the same query camera: '02', '2'"),
        ({"skip_cameras": {2: [1], "2": [0]}}, "two keys name the same query camera: 2, '2'"),
        ({"skip_cameras": {2: [1, 1]}}, "query camera 2 skips the same camera twice"),
        ({"skip_cameras": [2]}, "Input should be a valid dictionary"),
    ],
)
def test_rules_that_mean_nothing_are_refused(given: dict[str, Any], sentence: str) -> None:
    for params in (RankingParams, ReciprocalParams, ExpansionParams):
        with pytest.raises(ValidationError, match=re.escape(sentence)):
            params(**given)


@pytest.mark.parametrize(
    ("given", "needs"),
    [
        ({}, set()),
        ({"exclude": ["same-clothes"]}, {"clothes"}),
        ({"cross": "modality", "pool": "max"}, {"modality", "tracklets"}),
        ({"multi_query": True, "shots": 1, "query_cameras": [1], "skip_cameras": {1: [2]}}, set()),
    ],
)
def test_rules_need_the_labels_that_they_look_at(given: dict[str, Any], needs: set[str]) -> None:
    assert RankingParams(**given).required() == needs


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"exclude": ["same-clothes"]}, {"same clothes excluded"}),
        ({"exclude": ["different-clothes"]}, {"different clothes excluded"}),
        ({"cross": "modality"}, {"across modalities"}),
        ({"skip_cameras": {2: [1]}}, {"camera 1 skipped for queries of camera 2"}),
        (
            {"skip_cameras": {2: [4, 1], 12: [0]}},
            {"cameras 1+4 skipped for queries of camera 2", "camera 0 skipped for queries of camera 12"},
        ),
        ({"query_cameras": [5, 2]}, {"queries of cameras 2+5"}),
        ({"query_cameras": [2], "gallery_cameras": [0]}, {"queries of camera 2", "gallery of camera 0"}),
        ({"pool": "mean"}, {"tracklets pooled (mean)"}),
        ({"multi_query": True}, {"multi-query (mean)"}),
        ({"multi_query": True, "pool": "max"}, {"multi-query (max)", "tracklets pooled (max)"}),
        ({"shots": 1}, {"gallery 1 shot per identity x10"}),
        (
            {"shots": 10, "shots_per": "identity-and-camera", "repeats": 3},
            {"gallery 10 shots per identity and camera x3"},
        ),
        ({"cmc": "identities"}, {"CMC over identities"}),
        ({"shots": 1, "draw_seed": 3}, {"gallery 1 shot per identity x10", "draw seed 3"}),
        ({"gallery": "single-shot", "draw_seed": 12}, {"single gallery shot x10", "draw seed 12"}),
    ],
)
def test_each_rule_is_a_word_of_the_protocol(given: dict[str, Any], words: set[str]) -> None:
    said = RankingParams(**given).protocol()
    assert said == {"AP step"} | words
    assert complaint("protocol", said, "evaluator") == ""


@pytest.mark.parametrize(
    "word",
    [
        "gallery 0 shots per identity x10",
        "gallery 1 shot per camera x10",
        "gallery 1 shot per identity x0",
        "queries of cameras 2",
        "queries of cameras 2, 5",
        "queries of camera two",
        "skipped for queries of camera 2",
        "tracklets pooled",
        "draw seed 0",
        "draw seed",
    ],
)
def test_other_words_are_unknown(word: str) -> None:
    assert f"protocol {word!r} is not a known word" in complaint("protocol", {word}, "evaluator")
