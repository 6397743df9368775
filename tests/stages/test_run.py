"""Every kind of stage is run once: what it is given, what it leaves, what it must not see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reidbench.report import Leaderboard
from reidbench.stages.record import Record, cluster_purity, clustering_fault
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix


def run(
    tmp_path: Path, market: Path, methods: str, task: str = "source: tiny, target: tiny, pool: tiny"
) -> Leaderboard:
    return run_matrix(
        f"""
image_size: [32, 16]
seeds: [3]
pretrain_seeds: [5]
prepare_seed: 7
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{{task}}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {methods}
""",
        tmp_path,
    )


def facts(tmp_path: Path) -> dict[str, dict[str, object]]:
    store = Store(tmp_path / "store")
    found = {}
    for key in store.keys():  # noqa: SIM118 - a method, not a mapping
        file = store.path(key) / "facts.json"
        if file.exists():
            found[store.manifest(key).manifest["stage"]["kind"]] = json.loads(file.read_text())
    return found


def statuses(board: Leaderboard) -> set[tuple[str, str]]:
    return {(result.status, result.error) for result in board.results}


@pytest.mark.slow
def test_select_pretrain_and_adapt_get_their_seeds_and_each_others_work(
    tmp_path: Path, market: Path, site: Path
) -> None:
    board = run(tmp_path, market, "{m: {select: first-half, pretrain: ones, adapt: plain}}")
    assert statuses(board) == {("ok", "")}
    (table,) = (tmp_path / "store").rglob("files.csv")
    header, *lines = table.read_text().splitlines()
    assert header == "path,score,kept"
    scores = [float(line.split(",")[1]) for line in lines]
    assert scores == sorted(range(16), reverse=True)  # the highest first, as in released lists
    assert [line.split(",")[2] for line in lines] == ["0"] * 8 + ["1"] * 8
    assert all((market / line.split(",")[0]).is_file() for line in lines)
    found = facts(tmp_path)
    assert found["select"] == {"seed": 5, "pool": 16, "hidden": True, "target": False}
    assert found["pretrain"] == {"seed": 5, "pool": 8, "auxiliary": False}
    assert found["adapt"] == {"seed": 3, "start": False, "weights": [0.5], "target": 16}


@pytest.mark.slow
def test_a_selector_that_says_so_gets_target_labels(tmp_path: Path, market: Path, site: Path) -> None:
    board = run(tmp_path, market, "{m: {select: peeking, pretrain: ones, finetune: none}}")
    assert statuses(board) == {("ok", "")}
    assert facts(tmp_path)["select"]["target"] == 16
    assert "target-labels" in board.results[0].row.protocol


@pytest.mark.slow
def test_the_harness_judges_a_selection_where_the_truth_is_known(tmp_path: Path, site: Path) -> None:
    """A selector that knows which images are irrelevant is right, one that does not is near chance."""
    text = """
image_size: [32, 16]
data: {pool: {use: synthetic, world: crowd, size: tiny}, tiny: {use: synthetic, world: plaza, size: tiny}}
tasks: {t: {target: tiny, pool: pool}}
backbone: {use: resnet-tiny, width: 4}
methods: {m: {select: knower, pretrain: ones, finetune: none}, n: {select: first-half, pretrain: ones, finetune: none}}
"""
    board = run_matrix(text, tmp_path)
    assert statuses(board) == {("ok", "")}
    store = Store(tmp_path / "store")
    manifests = [store.manifest(key).manifest for key in store.keys()]  # noqa: SIM118 - a method
    found = {m["stage"]["use"]: m["metrics"] for m in manifests if m["stage"]["kind"] == "select"}
    share = found["knower"]["relevant_in_pool"]
    assert 0 < share < 1
    assert found["knower"] == {
        "selected": share * found["knower"]["pool"],
        "pool": found["knower"]["pool"],
        "relevant_in_pool": share,
        "relevant_in_kept": 1.0,
        "relevant_kept": 1.0,
        "relevance_auc": 1.0,
        "relevance_auc_low": 1.0,
        "relevance_auc_high": 1.0,
    }
    assert found["first-half"]["selected"] == found["knower"]["pool"] / 2
    assert 0.2 < found["first-half"]["relevance_auc"] < 0.8
    assert found["first-half"]["relevance_auc_low"] < found["first-half"]["relevance_auc"]


@pytest.mark.slow
def test_auxiliary_data_only_for_those_who_ask(tmp_path: Path, market: Path, site: Path) -> None:
    task = "source: tiny, target: tiny, pool: tiny, auxiliary: {use: tiny, identities: 2}"
    assert statuses(run(tmp_path, market, "{m: {pretrain: aux, finetune: none}}", task)) == {("ok", "")}
    assert facts(tmp_path)["pretrain"]["auxiliary"] == 2


@pytest.mark.slow
def test_a_nested_preparer_runs_before_its_user(tmp_path: Path, market: Path, site: Path) -> None:
    board = run(tmp_path, market, "{m: {finetune: none, adapt: {use: styled, style: {use: style, strength: 2}}}}")
    assert statuses(board) == {("ok", "")}
    found = facts(tmp_path)
    assert found["prepare"] == {"seed": 7, "images": 16, "strength": 2, "hidden": True}
    assert found["adapt"] == {"seed": 3, "style": "style", "target": 16, "source": True}


@pytest.mark.slow
def test_a_nested_network_starts_from_the_one_before(tmp_path: Path, market: Path, site: Path) -> None:
    nested = "{use: proxied, proxy: ones, tuned: none}"
    board = run(tmp_path, market, f"{{m: {{select: {nested}, pretrain: moco-v2, finetune: none}}}}")
    (result,) = board.results
    assert facts(tmp_path)["select"] == {"seed": 5, "proxy": 0.5, "tuned": "BackboneEmbedder", "equal": True}
    assert "fewer than one batch" in result.error  # of the four images that were selected


METHODS = {
    "bot": "{finetune: {use: bot, epochs: 1, identities: 2, images: 2}}",
    "bdb": "{finetune: {use: bdb, epochs: 1, identities: 2, images: 2}}",
    "mgn": "{finetune: {use: mgn, epochs: 1, identities: 2, images: 2}}",
    "pseudo-label": "{adapt: {use: pseudo-label, clustering: k-means, clusters: 3, rounds: 1, iterations: 1}}",
    "contrast": "{adapt: {use: cluster-contrast, eps: 0.7, min_samples: 2, k1: 5, k2: 1, rounds: 1, iterations: 1}}",
    "spcl": "{adapt: {use: spcl, eps: 0.7, k1: 5, k2: 1, rounds: 1, iterations: 1}}",
}


@pytest.mark.slow
def test_every_method_computes_in_the_precision_that_is_asked_for(tmp_path: Path, market: Path) -> None:
    """bfloat16 gives features that differ from float32's, though not by much, and they are float32 on disk."""
    methods = "{" + ", ".join(f"{name}: {method}" for name, method in METHODS.items()) + "}"
    found: dict[str, list[np.ndarray]] = {name: [] for name in METHODS}
    for precision in ("32-true", "bf16-mixed"):
        text = f"""
image_size: [32, 16]
precision: {precision}
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {methods}
"""
        (tmp_path / precision).mkdir()
        board = run_matrix(text, tmp_path / precision)
        assert statuses(board) == {("ok", "")}
        store = Store(tmp_path / precision / "store")
        for result in board.results:
            ((_, embedded),) = store.manifest(result.row.key or "").manifest["stage"]["parents"]
            found[result.row.method].append(np.load(store.path(embedded) / "features.npz")["query_features"])
    for name, (full, half) in found.items():
        assert full.dtype == half.dtype == np.float32, name
        assert not np.array_equal(full, half), name
        np.testing.assert_allclose(full, half, atol=0.3 * np.abs(full).max(), err_msg=name)


@pytest.mark.slow
def test_transductive_adaptation_sees_query_and_gallery_without_labels(
    tmp_path: Path, market: Path, site: Path
) -> None:
    board = run(tmp_path, market, "{m: {adapt: plain}}", "target: tiny, adapt_on: test")
    assert statuses(board) == {("ok", "")}
    assert facts(tmp_path)["adapt"]["target"] == 8 + 8
    assert "transductive" in board.results[0].row.protocol


def test_an_untrained_network_is_never_adapted_in_the_place_of_a_trained_one(
    tmp_path: Path, market: Path, site: Path
) -> None:
    """A histogram has no network: what an adapter would train instead of it is refused."""
    board = run(tmp_path, market, "{m: {finetune: colour-histogram, adapt: plain}}")
    ((status, error),) = statuses(board)
    assert status == "blocked"
    assert error.endswith("ColourHistogram of the previous stage has no backbone to start from")


@pytest.mark.slow
def test_an_ensemble_is_the_mean_of_its_members_cosines(tmp_path: Path, market: Path, site: Path) -> None:
    methods = "{a: {finetune: none}, b: {finetune: colour-histogram}, both: {ensemble: [a, b]}}"
    board = run(tmp_path, market, methods)
    assert statuses(board) == {("ok", "")}
    store = Store(tmp_path / "store")
    rows = {result.row.method: result for result in board.results}
    key = rows["both"].row.key or ""
    parents = [key for _, key in store.manifest(key).manifest["stage"]["parents"]]
    assert len(parents) == 2
    distances = 0.0
    for parent in parents:
        columns = np.load(store.path(parent) / "features.npz")
        query, gallery = (columns[f"{side}_features"].astype(float) for side in ("query", "gallery"))
        unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (query, gallery)]
        distances = distances + 1 - unit[0] @ unit[1].T
    from reidbench.metrics import rank_distances

    labels = (columns["query_pids"], columns["query_camids"], columns["gallery_pids"], columns["gallery_camids"])
    assert rank_distances(distances, *labels).mAP == pytest.approx(rows["both"].metrics["mAP"], abs=1e-9)


@pytest.mark.slow
def test_truth_is_given_to_those_who_say_so(tmp_path: Path, site: Path) -> None:
    board = run_matrix(
        """
image_size: [48, 24]
data: {crowd: {use: synthetic, world: crowd, size: tiny}, w: {use: synthetic, size: tiny}}
tasks: {t: {target: w, pool: crowd}}
backbone: {use: resnet-tiny, width: 4}
methods: {m: {select: knower, pretrain: ones, finetune: none}}
""",
        tmp_path,
    )
    assert statuses(board) == {("ok", "")}
    found = facts(tmp_path)
    assert found["select"]["relevant"] == found["pretrain"]["pool"]
    assert "truth" in board.results[0].row.protocol


@pytest.mark.slow
def test_the_truth_is_that_of_the_selected_images(tmp_path: Path, site: Path) -> None:
    """The selector keeps the images that show a person, and the pretrainer behind it sees that all of its images do."""
    board = run_matrix(
        """
image_size: [48, 24]
data: {mixed: {use: synthetic, world: mixed, size: tiny}, w: {use: synthetic, size: tiny}}
tasks: {t: {target: w, pool: mixed}}
backbone: {use: resnet-tiny, width: 4}
methods: {m: {select: knower, pretrain: knowing, finetune: none}}
""",
        tmp_path,
    )
    assert statuses(board) == {("ok", "")}
    found = facts(tmp_path)["pretrain"]
    assert found["relevant"] == found["pool"]


def test_a_set_without_truth_says_so(tmp_path: Path, market: Path, site: Path) -> None:
    board = run(tmp_path, market, "{m: {select: knower, pretrain: ones, finetune: none}}")
    ((status, error),) = statuses(board)
    assert status == "blocked"
    assert "knower needs the truth, which tiny does not have" in error


@pytest.mark.slow
def test_a_worker_can_be_started_by_hand(tmp_path: Path, market: Path, site: Path) -> None:
    from reidbench.matrix import plan
    from reidbench.matrix.reading import reader
    from reidbench.registry import plugins

    run(tmp_path, market, "{m: {finetune: none}}")
    registry = plugins.load()
    the_plan = plan.expand(reader.read(tmp_path / "matrix.yaml", registry))
    store = Store(tmp_path / "another")
    stage = next(stage for stage in the_plan.stages.values() if stage.kind == "data")
    file = tmp_path / "stage.json"
    file.write_text(json.dumps(StageSpec.of(the_plan, stage, store).dump()))
    done = subprocess.run(
        [sys.executable, "-m", "reidbench.stages.run", str(file)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"event": "done"}
    assert store.read(stage.key).metrics["train_identities"] == 4


def test_purity_by_hand() -> None:
    clusters = np.array([0, 0, 0, 1, 1, -1])
    pids = np.array([7, 7, 8, 9, 9, 7])
    assert cluster_purity(clusters, pids) == {"clusters": 2, "outliers": 1, "purity": 4 / 5}
    assert cluster_purity(np.array([-1, -1]), np.array([1, 2])) == {"clusters": 0, "outliers": 2, "purity": 0}


def test_a_clustering_that_tells_nothing_apart_is_noted() -> None:
    def faults(*labels: int) -> str:
        return clustering_fault(np.array(labels))

    assert faults(0, 0, 1, 1) == faults(0, 1, 2, -1) == faults(*[0] * 5, 1, 2, 3, 4, 5) == ""
    assert faults(-1, -1) == "has no cluster and 2 outliers among 2 images"
    assert faults(0, 0, -1) == "has one cluster and 1 outliers among 3 images"
    assert faults(0, 1, *[-1] * 19) == "leaves 19 of 21 images out as outliers"
    assert faults(*[0] * 6, 1, 2, 3, 4, 5, -1) == "puts 6 of 11 clustered images into one of its 6 clusters"


def test_skipped_rounds_are_noted_also_after_a_restart() -> None:
    record = Record(lambda event: None)
    record.log({"round": 0, "skipped": 1.0})
    record.note("said before")
    again = Record(lambda event: None)
    again.load_state_dict(record.state_dict())
    again.log({"round": 1, "loss": 0.5})
    again.conclude()
    assert again.notes == ["said before", "1 of 2 rounds were skipped, for lack of clusters to distinguish"]
    record.record_clusters(0, [-1, -1])
    record.conclude()
    assert record.notes[1].endswith("nothing was trained")
    assert record.notes[2] == "the last clustering has no cluster and 2 outliers among 2 images"
