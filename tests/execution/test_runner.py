"""Runs of a matrix: stages, failures, resuming, damage, and equal results with every executor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reidbench import report
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix

MATRIX = """
title: Toys
image_size: [32, 16]
seeds: {seeds}
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {methods}
"""


def text(market: Path, methods: str, seeds: str = "[0, 1]") -> str:
    return MATRIX.format(root=market, methods=methods, seeds=seeds)


@pytest.mark.slow
def test_executors_give_the_same_bytes(tmp_path: Path, market: Path, site: Path) -> None:
    matrix = text(market, "{toy: {finetune: toy}}", "[0]")
    tables = []
    for jobs in (0, 2):
        folder = tmp_path / str(jobs)
        folder.mkdir()
        board = run_matrix(matrix, folder, jobs=jobs)
        assert all(result.status == "ok" for result in board.results)
        tables.append(report.write(board, "csv"))
    assert tables[0] == tables[1]
    first, second = (Store(tmp_path / name / "store") for name in ("0", "2"))
    assert first.keys() == second.keys()
    for key in first.keys():  # noqa: SIM118 - a method, not a mapping
        files = [
            {n: f["sha256"] for n, f in store.manifest(key).manifest["files"].items()} for store in (first, second)
        ]
        assert files[0] == files[1]


@pytest.mark.slow
def test_a_second_run_does_nothing(tmp_path: Path, market: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("REIDBENCH_TOY_LOG", str(log))
    matrix = text(market, "{toy: {finetune: toy}}")
    first = run_matrix(matrix, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("manifest.json")}
    assert run_matrix(matrix, tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("manifest.json")} == before
    assert log.read_text().splitlines() == [f"{seed} {epoch}" for seed in (0, 1) for epoch in range(3)]


FAILURES = {
    "raise": "RuntimeError: it went wrong",
    "none": "must return an Embedder, got NoneType",
    "leave": "SystemExit: 0",
}
ENDS = {"exit": "exit code 7", "kill": "killed by SIGKILL"}  # of a process, which costs seconds to start


@pytest.mark.slow
@pytest.mark.parametrize(("jobs", "failures"), [(0, FAILURES), (2, ENDS)])
def test_failures_cost_their_own_cells_and_are_reported(
    jobs: int, failures: dict[str, str], tmp_path: Path, market: Path, site: Path
) -> None:
    methods = ", ".join(f"{name}: {{finetune: {{use: toy, fail: {name}}}}}" for name in failures)
    run_matrix(text(market, "{good: {finetune: toy}}", "[0]"), tmp_path)
    board = run_matrix(text(market, f"{{good: {{finetune: toy}}, {methods}}}", "[0]"), tmp_path, jobs=jobs)
    for name, words in failures.items():
        (result,) = board.cell(name, "tiny", "cosine")
        assert result.status == "blocked"
        assert words in result.error
        told = f"{name} on tiny (seed 0): failed: finetune toy [tiny, seed 0, fail={name}]: "
        assert told in report.write(board, "md")
    assert [result.status for result in board.cell("good", "tiny", "cosine")] == ["ok"]


def test_features_that_are_no_numbers_fail_their_row(tmp_path: Path, market: Path, site: Path) -> None:
    (result,) = run_matrix(text(market, "{nan: {finetune: {use: toy, fail: nan}}}", "[0]"), tmp_path).results
    assert "features that are not numbers, first for query/0005_c1s1_000000_00.png" in result.error


@pytest.mark.slow
def test_a_failure_is_tried_again_and_forgotten(tmp_path: Path, market: Path, site: Path) -> None:
    matrix = text(market, "{toy: {finetune: toy}}", "[0]")
    module = site / "toy_plugin.py"
    whole = module.read_text()
    module.write_text(whole.replace("def finetune(ctx):", "def finetune(ctx):\n    raise RuntimeError('for now')"))
    assert {result.status for result in run_matrix(matrix, tmp_path, jobs=1).results} == {"blocked"}
    module.write_text(whole)
    assert {result.status for result in run_matrix(matrix, tmp_path, jobs=1).results} == {"ok"}


@pytest.mark.slow
def test_damaged_artifacts_are_made_again(tmp_path: Path, market: Path, site: Path) -> None:
    matrix = text(market, "{toy: {finetune: toy}}")
    good = report.write(run_matrix(matrix, tmp_path), "csv")
    store = Store(tmp_path / "store")
    stages = {key: store.manifest(key).manifest["stage"] for key in store.keys()}  # noqa: SIM118
    evaluate = next(key for key, stage in stages.items() if stage["kind"] == "evaluate")
    (embed,) = (key for _, key in stages[evaluate]["parents"])
    (finetune,) = (key for _, key in stages[embed]["parents"])
    kinds = {"evaluate": evaluate, "embed": embed, "finetune": finetune}
    for kinds_to_damage in (["evaluate"], ["finetune", "embed", "evaluate"]):
        for kind in kinds_to_damage:
            path = next(p for p in store.path(kinds[kind]).iterdir() if p.name != "manifest.json")
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        assert report.write(run_matrix(matrix, tmp_path), "csv") == good
    assert len(list((tmp_path / "store" / "damaged").iterdir())) == 4


@pytest.mark.slow
def test_images_that_are_gone_are_rendered_again(tmp_path: Path) -> None:
    import shutil

    matrix = """
image_size: [48, 24]
data: {w: {use: synthetic, size: tiny}}
tasks: {t: {target: w}}
backbone: {use: resnet-tiny, width: 4}
methods: {none: {finetune: none}}
"""
    first = report.write(run_matrix(matrix, tmp_path), "csv")
    store = Store(tmp_path / "store")
    for key in store.keys():  # noqa: SIM118
        if store.manifest(key).manifest["stage"]["kind"] != "data":
            shutil.rmtree(store.path(key))
    shutil.rmtree(os.environ["REIDBENCH_CACHE"])
    assert report.write(run_matrix(matrix, tmp_path), "csv") == first


@pytest.mark.slow
def test_data_may_move_between_runs(tmp_path: Path) -> None:
    """A folder and a manifest whose images lie elsewhere: same content, same keys, found where they are now."""
    from reidbench.testing import write_market_folder

    matrix = """
image_size: [32, 16]
data: {{folder: {{use: market-folder, root: {0}/m}}, csv: {{use: csv-manifest, root: {0}/lists/d.csv, images: ../m}}}}
tasks: {{folder: {{source: folder, target: folder}}, csv: {{source: csv, target: csv}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{bot: {{finetune: {{use: bot, epochs: {1}, images: 2}}}}}}
"""
    old, new = tmp_path / "old", tmp_path / "new"
    root = write_market_folder(old / "m")
    parts = {"bounding_box_train": "train", "query": "query", "bounding_box_test": "gallery"}
    rows = [
        f"{folder}/{file.name},{int(file.name[:4])},{int(file.name[6]) - 1},{part}"
        for folder, part in parts.items()
        for file in sorted((root / folder).iterdir())
    ]
    (old / "lists").mkdir()
    (old / "lists" / "d.csv").write_text("path,pid,camid,split\n" + "\n".join(rows) + "\n")
    first = run_matrix(matrix.format(old, 1), tmp_path)
    assert {(result.status, result.error) for result in first.results} == {("ok", "")}
    assert first.results[0].metrics == first.results[1].metrics
    old.rename(new)
    again = run_matrix(matrix.format(new, 1), tmp_path)
    assert report.write(again, "csv") == report.write(first, "csv")
    more = run_matrix(matrix.format(new, 2), tmp_path)  # images are read again, in their new place
    assert {(result.status, result.error) for result in more.results} == {("ok", "")}


def test_a_set_without_cameras_is_scored_and_says_so(tmp_path: Path) -> None:
    from reidbench.testing import write_market_folder

    root = write_market_folder(tmp_path / "m", cameras=1)
    parts = {"bounding_box_train": "train", "query": "query", "bounding_box_test": "gallery"}
    rows = [f"{f.parent.name}/{f.name},{int(f.name[:4])},{parts[f.parent.name]}" for f in sorted(root.glob("*/*.png"))]
    (root / "own.csv").write_text("path,pid,split\n" + "\n".join(rows) + "\n")
    matrix = f"""
image_size: [32, 16]
data: {{own: {{use: csv-manifest, root: {root}/own.csv}}, faked: {{use: market-folder, root: {root}}}}}
tasks: {{own: {{source: own, target: own}}, faked: {{source: faked, target: faked}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{bot: {{finetune: {{use: bot, epochs: 1, images: 2}}}}}}
"""
    own, faked = run_matrix(matrix, tmp_path).results
    assert own.status == "ok"
    assert own.row.protocol == "source labels, AP step, no cameras"
    assert own.metrics["mAP"] > 0.25  # four persons
    assert faked.status == "failed"  # every true match is of the query's own camera
    assert "no query has a true match" in faked.error


def test_missing_images_of_one_set_harm_only_its_cells(tmp_path: Path, market: Path, site: Path) -> None:
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        (tmp_path / "empty" / part).mkdir(parents=True)
        (tmp_path / "empty" / part / "readme.txt").write_text("no picture")
    matrix = f"""
image_size: [32, 16]
data: {{good: {{use: market-folder, root: {market}}}, bad: {{use: market-folder, root: {tmp_path / "empty"}}}}}
tasks: {{good: {{target: good}}, bad: {{target: bad}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{none: {{finetune: none}}}}
"""
    board = run_matrix(matrix, tmp_path)
    assert [result.status for result in board.results] == ["ok", "blocked"]
    assert "no image with a name like" in board.results[1].error


@pytest.mark.slow
def test_adaptation_sees_no_labels_and_its_clusters_are_judged(tmp_path: Path, market: Path, site: Path) -> None:
    board = run_matrix(text(market, "{a: {finetune: none, adapt: grouped}}"), tmp_path)
    assert [result.status for result in board.results] == ["ok", "ok"]
    store = Store(tmp_path / "store")
    manifests = [store.manifest(key).manifest for key in store.keys()]  # noqa: SIM118
    (adapted, _) = [manifest for manifest in manifests if manifest["stage"]["kind"] == "adapt"]
    # 16 train images of 4 identities in 4 groups of 4, in an order that does not follow the identities
    assert adapted["metrics"]["clusters"] == 4
    assert 0.25 <= adapted["metrics"]["purity"] < 1


def start(matrix: Path, store: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "reidbench", "run", str(matrix), "--store", str(store), "--jobs", "2"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


# When n artifacts are there and a few seconds have passed.
MOMENTS = [
    (0, 0.2), (0, 1.5), (1, 0.0), (1, 2.5), (2, 0.3), (3, 0.0), (3, 1.0), (4, 0.7), (5, 0.0), (5, 1.3), (6, 0.4),
    (7, 0.0),
]  # fmt: skip


@pytest.mark.long
def test_kill_and_resume_at_many_points(
    tmp_path: Path, market: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, and run again, a run is like an unbroken one. A sample of this is in tests/faults/test_kills.py."""
    log = tmp_path / "log"
    monkeypatch.setenv("REIDBENCH_TOY_LOG", str(log))
    methods = "{none: {finetune: none}, toy: {finetune: {use: toy, epochs: 4, seconds: 0.25}}}"
    matrix = tmp_path / "matrix.yaml"
    matrix.write_text(text(market, methods))
    whole = start(matrix, tmp_path / "whole")
    table = whole.communicate()[0]
    assert whole.returncode == 0
    for number, (artifacts, delay) in enumerate(MOMENTS):
        store = Store(tmp_path / f"killed-{number}")
        log.unlink(missing_ok=True)
        run = start(matrix, store.root)
        while len(store.keys()) < artifacts and run.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        assert run.poll() is None, "the run ended before it could be killed"
        run.send_signal(signal.SIGKILL)
        run.communicate()
        time.sleep(0.2)  # workers notice that their driver is gone
        before = {key: store.path(key).joinpath("manifest.json").stat().st_mtime_ns for key in store.keys()}  # noqa: SIM118
        again = start(matrix, store.root)
        assert again.communicate()[0] == table
        assert again.returncode == 0
        for key, published in before.items():
            assert store.path(key).joinpath("manifest.json").stat().st_mtime_ns == published
        epochs = log.read_text().split("\n")[:-1]
        # an epoch may run twice only if the kill fell into it: at most one for each of two jobs
        assert sorted(set(epochs)) == [f"{seed} {epoch}" for seed in (0, 1) for epoch in range(4)]
        assert len(epochs) <= 8 + 2


@pytest.mark.slow
def test_two_drivers_on_one_store_do_each_stage_once(
    tmp_path: Path, market: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REIDBENCH_TOY_LOG", str(tmp_path / "log"))
    matrix = tmp_path / "matrix.yaml"
    matrix.write_text(text(market, "{toy: {finetune: {use: toy, epochs: 4, seconds: 0.1}}}"))
    drivers = [start(matrix, tmp_path / "store") for _ in range(2)]
    said = [driver.communicate() for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], said
    tables = [out for out, _ in said]
    assert tables[0] == tables[1]
    assert len((tmp_path / "log").read_text().split("\n")[:-1]) == 8


def test_manifests_say_what_they_were_made_with(tmp_path: Path, market: Path, site: Path) -> None:
    run_matrix(text(market, "{none: {finetune: none}}"), tmp_path)
    store = Store(tmp_path / "store")
    for key in store.keys():  # noqa: SIM118
        manifest = store.read(key).manifest
        assert manifest["versions"]["reidbench"]
        assert manifest["stage"]["key"] == key
        assert manifest["host"]
        assert 0 <= manifest["work_seconds"] <= manifest["seconds"] + 0.001  # each is rounded
        json.dumps(dict(manifest))
