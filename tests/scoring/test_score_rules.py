"""Feature files under rules that look at clothes, modality, tracklets and cameras, or draw the gallery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench.cli import main
from reidbench.cli.end import exit_code
from reidbench.cli.scoring import _chosen, named_protocol
from reidbench.errors import DataError, ReidbenchError
from reidbench.metrics import Labelled, Reranking, Rules, rank_labelled, rerank_blocks
from reidbench.registry.plugins import Registry
from reidbench.scoring import score
from reidbench_baseline.evaluators import _rules as evaluator_rules
from reidbench_baseline.ranking_params import RankingParams
from tests.support.scores import arrays, scored


def at(*angles: float) -> np.ndarray:
    """Unit vectors [N, 2] at these angles in degrees: the larger the difference, the farther away."""
    turned = np.radians(angles)
    return np.stack([np.cos(turned), np.sin(turned)], 1)


# One query of person 1 in outfit 0, visible, by camera 0. Gallery, from the nearest on: a true match in the same
# outfit, another person, a true match in another outfit, a true match in the infrared.
HAND: dict[str, Any] = {
    "query_features": at(0),
    "query_pids": np.array([1]),
    "query_camids": np.array([0]),
    "query_clothes": np.array([0]),
    "query_modality": np.array(["visible"]),
    "query_tracklets": np.array([0]),
    "gallery_features": at(10, 20, 30, 40),
    "gallery_pids": np.array([1, 2, 1, 1]),
    "gallery_camids": np.array([1, 1, 2, 3]),
    "gallery_clothes": np.array([0, 5, 1, -1]),
    "gallery_modality": np.array(["visible", "infrared", "visible", "infrared"]),
    "gallery_tracklets": np.array([4, 5, 6, 6]),
}


def save(folder: Path, columns: dict[str, Any], *without: str) -> Path:
    np.savez(folder / "f.npz", **{name: one for name, one in columns.items() if name not in without})
    return folder / "f.npz"


@pytest.mark.parametrize(
    ("more", "average", "filtered"),
    [
        ({}, (1 + 2 / 3 + 3 / 4) / 3, {}),
        ({"exclude": "same-clothes"}, (1 / 2 + 2 / 3) / 2, {"same_clothes": 1}),
        ({"exclude": "different-clothes"}, (1 + 2 / 3) / 2, {"different_clothes": 1}),  # what is unknown stays
        ({"cross": "modality"}, 1 / 2, {"same_modality": 2}),
        ({"gallery_cameras": [1, 3]}, (1 + 2 / 3) / 2, {}),
        ({"skip_cameras": {0: [1]}}, 1.0, {"skipped_camera": 2}),
    ],
)
def test_each_rule_by_hand(more: dict[str, Any], average: float, filtered: dict[str, int], tmp_path: Path) -> None:
    found = scored(save(tmp_path, HAND), more=more)
    assert found["mAP"] == pytest.approx(average)
    assert {"same_camera": 0, "junk": 0, **filtered} == found["filtered"]


def test_pooled_tracklets_by_hand(tmp_path: Path) -> None:
    """The images of tracklet 6 become one row at 35 degrees, and so do both of the query, at 30: 5 away, then 10."""
    columns = HAND | {
        "query_features": at(20, 40),
        "gallery_features": at(0, 20, 30, 40),
        "gallery_camids": np.array([1, 1, 2, 2]),
        **{f"query_{name}": np.repeat(HAND[f"query_{name}"], 2)
           for name in ("pids", "camids", "clothes", "modality", "tracklets")},
    }  # fmt: skip
    found = scored(save(tmp_path, columns), more={"pool": "mean"})
    assert (found["num_queries"], found["cmc"]["1"]) == (1, 1.0)
    assert found["mAP"] == pytest.approx((1 + 2 / 3) / 2)
    pooled = ["queries: 1 tracklets of 2 images", "gallery: 3 tracklets of 4 images"]
    assert found["notes"] == [*pooled, "one valid query: no intervals"]
    assert found["rules"]["pool"] == "mean"
    text: list[str] = []
    score.run([save(tmp_path, columns)], more={"pool": "mean"}, echo=text.append)
    assert "\n  queries: 1 tracklets of 2 images\n" in text[0]
    assert "pool=mean" in text[0]


def test_rules_and_notes_are_printed_only_where_they_do_something(tmp_path: Path) -> None:
    found = scored(save(tmp_path, HAND))
    assert found["notes"] == ["one valid query: no intervals"]
    assert found["ci95"] == {}
    assert set(found["rules"]) == {"ap", "invalid", "ties", "camera", "distance", "gallery", "rerank"}
    text: list[str] = []
    score.run([save(tmp_path, HAND)], more={"exclude": "same-clothes"}, echo=text.append)
    assert ", 1 pairs of a query and a gallery row of the same pid in the same clothes\n" in text[0]


def labelled(rng: np.random.Generator) -> dict[str, Any]:
    """Random features with all labels; a tracklet has one person, camera, outfit and modality."""
    columns = arrays(30, 90)
    for side in ("query", "gallery"):
        pids, camids = columns[f"{side}_pids"], columns[f"{side}_camids"]
        shots = rng.integers(2, size=len(pids))
        columns[f"{side}_tracklets"] = ((pids + 1) * 4 + camids) * 2 + shots
        columns[f"{side}_clothes"] = (pids + camids + shots) % 2
        columns[f"{side}_modality"] = np.where(camids < 2, "visible", "infrared")
    return columns


@pytest.mark.parametrize(
    "more",
    [
        {"exclude": "same-clothes", "pool": "max"},
        {"cross": "modality", "shots": 2, "repeats": 3, "seed": 5, "cmc": "identities"},
        {"multi_query": True, "query_cameras": [0, 1, 3]},
        {"skip_cameras": {0: [1], 2: [3]}, "shots": 1, "shots_per": "identity-and-camera"},
    ],
)
@pytest.mark.parametrize("rerank", [None, "torchreid"])
def test_files_are_ranked_by_rank_labelled(more: dict[str, Any], rerank: Any, tmp_path: Path) -> None:
    columns = labelled(np.random.default_rng(3))
    words = ("features", "pids", "camids", "clothes", "modality", "tracklets")
    query, gallery = (Labelled(**{word: columns[f"{side}_{word}"] for word in words}) for side in ("query", "gallery"))
    how = Reranking("torchreid", 6, 3, 0.3)
    compare = (lambda q, g: rerank_blocks(q.features, g.features, how, "cosine")) if rerank else None
    expected = rank_labelled(query, gallery, Rules(**more), compare, junk=not rerank)
    (report,) = score.score([save(tmp_path, columns)], Rules(**more), rerank, 6, 3, 0.3)
    assert report.ranking.metrics() == expected.metrics()
    assert report.ranking.notes == expected.notes
    assert report.ranking.rules == Rules(**more)
    for name, values in report.per_query().items():
        np.testing.assert_array_equal(values, expected.per_query()[name])


@pytest.mark.parametrize(
    ("more", "without", "sentence"),
    [
        ({"exclude": "same-clothes"}, ["query_clothes", "gallery_clothes"], "missing query_clothes"),
        ({"exclude": "same-clothes"}, ["gallery_clothes"], "; exclude=same-clothes requires a number for each image"),
        ({"cross": "modality"}, ["query_modality"], "; cross=modality requires a text for each image"),
        ({"pool": "max"}, ["query_tracklets"], "; pool=max requires a number for each image"),
        ({"query_cameras": [7]}, [], "rule query_cameras: no query image is from camera 7; cameras with images: 0"),
        ({"query_cameras": [0]}, ["query_camids"], "query_camids"),
    ],
)
def test_what_a_rule_needs_is_named(more: dict[str, Any], without: list[str], sentence: str, tmp_path: Path) -> None:
    file = save(tmp_path, HAND, *without)
    with pytest.raises(DataError) as caught:
        scored(file, more=more)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(f"{file}: ")


def test_cameras_are_needed_where_rules_name_them_though_the_camera_rule_is_off(tmp_path: Path) -> None:
    file = save(tmp_path, HAND, "query_camids", "gallery_camids")
    assert scored(file, camera=False)["num_queries"] == 1
    with pytest.raises(DataError, match=r"missing query_camids .*; multi_query requires them$"):
        scored(file, camera=False, more={"multi_query": True})


def test_distances_and_cameras_that_are_texts_are_refused(tmp_path: Path) -> None:
    columns = HAND | {"distances": np.ones((1, 4))}
    with pytest.raises(DataError, match="cross: these rules require features, but this file contains distances"):
        scored(save(tmp_path, columns), more={"cross": "modality"}, use="distances")
    texts = {"query_camids": np.array(["c0"]), "gallery_camids": np.array(["c1", "c1", "c2", "c3"])}
    with pytest.raises(
        DataError, match=r"gallery_cameras names cameras by number, but the file's cameras are strings \('c0'"
    ):
        scored(save(tmp_path, HAND | texts), more={"gallery_cameras": [1]})


def test_cameras_that_may_be_counted_from_1_are_doubted(tmp_path: Path) -> None:
    shifted = HAND | {name: HAND[name] + 1 for name in ("query_camids", "gallery_camids")}
    warnings = scored(save(tmp_path, shifted), more={"gallery_cameras": [2, 4]})["warnings"]
    assert any("no image has camera 0; if cameras are numbered from 1, subtract 1" in one for one in warnings)
    assert not any("numbered from 1" in one for one in scored(save(tmp_path, shifted))["warnings"])
    assert not any("numbered from 1" in one for one in
                   scored(save(tmp_path, HAND), more={"gallery_cameras": [1, 3]})["warnings"])  # fmt: skip


def test_a_rule_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ReidbenchError, match="rule exclude='clothes' is unknown; choose one of same-clothes"):
        scored(save(tmp_path, HAND), more={"exclude": "clothes"})


def command(*words: object) -> int | str | None:
    """The exit code of `reidbench score`; what it prints is on the usual streams."""
    return exit_code(lambda: main.app(["score", *map(str, words)]))


def test_the_options_reach_the_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = save(tmp_path, HAND)
    options = ["--exclude", "same-clothes", "--cross", "modality", "--skip-cameras", "0:2", "--query-cameras", "0",
               "--gallery-cameras", "1,2,3", "--pool", "max", "--multi-query", "--shots", "1", "--shots-per",
               "identity-and-camera", "--repeats", "3", "--draw-seed", "4", "--cmc", "identities"]  # fmt: skip
    columns = HAND | {
        "gallery_camids": np.array([1, 1, 2, 2]),
        "gallery_modality": np.array(["visible", *["infrared"] * 3]),
        "gallery_clothes": np.array([0, 5, 1, 1]),
    }
    assert command(save(tmp_path, columns), "--json", *options, "--skip-cameras", "0:3") == 2
    sentence = "rule skip_cameras: no gallery image is from camera 3; cameras with images: 1, 2"
    assert capsys.readouterr().err == f"reidbench: {file}: {sentence}\n"
    options[options.index("0:2")] = "0:1"
    options[options.index("1,2,3")] = "1,2"
    assert command(file, "--json", *options) == 0
    rules = json.loads(capsys.readouterr().out)["rules"]
    assert {name: value for name, value in rules.items() if name not in ("ap", "invalid", "ties", "gallery")} == {
        "camera": "market1501", "distance": "cosine", "rerank": None, "exclude": ["same-clothes"], "cross": "modality",
        "skip_cameras": {"0": [1]}, "query_cameras": [0], "gallery_cameras": [1, 2], "pool": "max", "multi_query": True,
        "shots": 1, "shots_per": "identity-and-camera", "repeats": 3, "seed": 4, "cmc": "identities",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--repeats", "3"], "--repeats requires --shots N; add it or remove --repeats"),
        (["--draw-seed", "0"], "--draw-seed requires --shots N; add it or remove --draw-seed"),
        (["--query-cameras", "0;1"], "--query-cameras '0;1': expected camera numbers separated by commas"),
        (["--gallery-cameras", ""], "--gallery-cameras '': expected camera numbers separated by commas"),
        (
            ["--skip-cameras", "2"],
            "--skip-cameras '2': expected a query camera and the gallery cameras to skip, for example 2:1,3",
        ),
        (["--skip-cameras", "2:"], "--skip-cameras '': expected camera numbers separated by commas"),
        (["--exclude", "same-clothes", "--exclude", "different-clothes"], "--exclude is given 2 times; give it once"),
        (["--query-cameras", "0", "--query-cameras=1"], "--query-cameras is given 2 times; give it once"),
        (["--pool", "max", "--json", "--pool", "max", "--json"], "--pool is given 2 times; give it once"),
        (["--protocol", "sysu"], "unknown protocol 'sysu'"),
    ],
)
def test_wrong_options_are_one_sentence(
    options: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(save(tmp_path, HAND), *options) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"reidbench: {sentence}")
    assert said.err.count("\n") == 1


def test_a_named_protocol_has_the_rules_of_the_evaluator_by_that_preset(registry: Registry) -> None:
    component = registry.get("evaluator", "cosine")
    assert {"prcc-single", "ltcc-cloth-changing", "sysu-mm01-indoor-multi", "regdb", "mars"} <= set(component.presets)
    for name, values in component.presets.items():
        assert Rules(**named_protocol(name)) == evaluator_rules(RankingParams(**values), "cosine"), name


@pytest.mark.slow
def test_a_protocol_is_all_rules_and_options_beside_it_win(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = HAND | {"gallery_tracklets": np.array([4, 5, 6, -1])}
    file = save(tmp_path, columns)
    assert command(file, "--json", "--protocol", "mars") == 0
    rules = json.loads(capsys.readouterr().out)["rules"]
    assert (rules["ap"], rules["invalid"], rules["pool"]) == ("trapezoid", "zero", "mean")
    assert command(file, "--protocol", "mars", "--distance", "euclidean") == 0
    assert " distance=euclidean " in capsys.readouterr().out
    options = ["--ap", "step", "--invalid", "zero", "--no-camera", "--pool", "max", "--ties", "stable"]
    assert command(file, "--json", "--protocol", "mars", *options) == 0
    found = json.loads(capsys.readouterr().out)
    rules = {name: found["rules"][name] for name in ("ap", "invalid", "camera", "pool", "ties")}
    assert rules == {"ap": "step", "invalid": "zero", "camera": "none", "pool": "max", "ties": "stable"}
    told = "differs from --protocol mars: ap=step instead of trapezoid, camera=none instead of market1501, "
    assert found["warnings"] == [f"{told}pool=max instead of mean"]
    assert command(file, "--protocol", "mars", "--ap", "trapezoid", "--pool", "mean") == 0
    assert "differs from --protocol" not in capsys.readouterr().out
    assert command(file, "--protocol", "mars", "--repeats", "3") == 2
    assert "--repeats requires --shots N; add it" in capsys.readouterr().err
    assert command(file, "--json", "--protocol", "prcc-single", "--query-cameras", "0", "--gallery-cameras", "1,2,3",
                   "--repeats", "3") == 0  # fmt: skip
    assert json.loads(capsys.readouterr().out)["rules"]["repeats"] == 3
    assert command(file, "--protocol", "marss") == 2
    assert "unknown protocol 'marss'; did you mean 'mars'? (known: " in capsys.readouterr().err
    assert command(save(tmp_path, columns, "query_tracklets"), "--protocol", "mars") == 2
    assert "missing query_tracklets" in capsys.readouterr().err


def test_every_rule_that_differs_from_a_protocol_is_named() -> None:
    chosen, said = _chosen("sysu-mm01-all-single", {}, {"cmc": "images", "skip_cameras": {2: [0]}, "shots": 1})
    assert (chosen["cmc"], chosen["skip_cameras"], chosen["repeats"]) == ("images", {2: [0]}, 10)
    told = "cmc=images instead of identities, skip_cameras={'2': [0]} instead of {'2': [1]}"
    assert said == (f"differs from --protocol sysu-mm01-all-single: {told}",)
    (said,) = _chosen("regdb", {}, {"exclude": "same-clothes", "pool": "max"})[1]
    assert said.endswith(": exclude=['same-clothes'] instead of none, pool=max instead of none")
    assert _chosen("regdb", {}, {"cross": "modality", "cmc": "images"})[1] == ()


def test_the_cure_for_a_file_without_cameras_works_with_a_protocol(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = HAND | {"gallery_tracklets": np.array([4, 5, 6, 7])}
    file = save(tmp_path, columns, "query_camids", "gallery_camids")
    assert command(file, "--protocol", "mars") == 2
    assert capsys.readouterr().err.endswith("; to score without the camera rule: --no-camera\n")
    assert command(file, "--protocol", "mars", "--no-camera") == 0
    assert "differs from --protocol mars: camera=none instead of market1501" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "copies"),
    [
        ({}, 3),
        ({"exclude": "same-clothes"}, 1),
        ({"exclude": "different-clothes"}, 2),
        ({"cross": "modality"}, 1),
        ({"query_cameras": [0, 2]}, 2),
        ({"gallery_cameras": [1, 8]}, 2),
        ({"skip_cameras": {0: [8]}}, 2),
        ({"pool": "mean"}, 0),
        ({"multi_query": True}, 0),
    ],
)
def test_copies_are_doubted_only_where_rules_let_them_meet(more: dict[str, Any], copies: int, tmp_path: Path) -> None:
    """Each of three queries has a copy in the gallery, and a true match that all rules leave it."""
    query = {"features": at(0, 50, 100), "pids": [1, 2, 3], "camids": [0, 1, 2], "clothes": [0, 0, 0],
             "modality": ["visible", "visible", "infrared"], "tracklets": [1, 2, 3]}  # fmt: skip
    copy = query | {"camids": [8, 8, 3], "clothes": [0, 1, 0], "modality": ["visible", "infrared", "infrared"]}
    match = {"features": at(5, 55, 105), "pids": [1, 2, 3], "camids": [1, 8, 8], "clothes": [-1] * 3,
             "modality": [""] * 3, "tracklets": [4, 5, 6]}  # fmt: skip
    columns = {f"query_{name}": np.array(values) for name, values in query.items()}
    columns |= {f"gallery_{name}": np.concatenate([values, match[name]]) for name, values in copy.items()}  # type: ignore[arg-type]
    (report,) = score.score([save(tmp_path, columns)], Rules(**more))
    (text, *_) = [text for text in report.warnings if "the same features as a true match" in text] or [""]
    asked = 2 if "query_cameras" in more else 3
    assert text.startswith(f"{copies} of {asked} queries have" if copies else "")
    assert bool(text) is bool(copies)


def test_texts_are_explained_for_queries_alone(tmp_path: Path) -> None:
    """The second image of the query is neither a separate query nor a query without a match."""
    columns = HAND | {
        "query_features": at(0, 1),
        "query_pids": np.array(["anna", "anna"]),
        "query_camids": np.array([0, 0]),
        "gallery_pids": np.array(["anna", "ben", "anna", "anna"]),
    }
    (report,) = score.score([save(tmp_path, columns)], Rules(multi_query=True))
    assert report.ranking.asked.tolist() == [True, False]
    assert not [text for text in report.warnings if "text labels" in text]
