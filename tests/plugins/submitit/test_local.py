"""Stages as jobs of this machine: the bytes of this process, after any kill; failures in their rows; Ctrl-C."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reidbench
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix


def files(place: Path) -> dict[str, Any]:
    """Sizes and checksums of all artifacts."""
    store = Store(place)
    return {key: store.read(key).manifest["files"] for key in store.keys()}  # noqa: SIM118 - a method, not a mapping


def epochs(log: Path) -> list[str]:
    """The epochs that were begun, as the toy notes them."""
    return [line for line in log.read_text().splitlines() if line[:1].isdigit()]


def alone(bench: Any) -> Any:
    """The results of the matrix in this process."""
    (bench.folder / "inline").mkdir()
    return run_matrix(bench.file.read_text(), bench.folder / "inline")


FAILURES = {"raise": "RuntimeError: it went wrong", "kill": "the worker was killed by SIGKILL"}


@pytest.mark.slow
def test_the_bytes_of_this_process_and_failures_in_their_rows(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failing = ", ".join(f"{name}: {{finetune: {{use: toy, fail: {name}}}}}" for name in FAILURES)
    file = bench.matrix(f"{{toy: {{finetune: toy}}, {failing}}}")
    found = reidbench.run(
        file, store=tmp_path / "store", executor="slurm", options={"cluster": "local"}, jobs=3, progress=False
    )
    by_method = {result.row.method: result for result in found.board.results}
    assert by_method["toy"].status == "ok", by_method["toy"].error
    for name, words in FAILURES.items():
        assert (by_method[name].status, by_method[name].error) == (
            "blocked",
            f"finetune toy [tiny, seed 0, fail={name}]: {words}",
        )
    bench.matrix("{toy: {finetune: toy}}")
    alone(bench)
    made = files(tmp_path / "store")
    assert {key: made.get(key) for key in files(tmp_path / "inline" / "store")} == files(tmp_path / "inline" / "store")
    store = Store(tmp_path / "store")
    assert any("the toy is done" in store.log_file(key).read_text() for key in made)
    assert not list((tmp_path / "store" / "specs").iterdir())
    assert not bench.jobs(tmp_path / "store")


@pytest.mark.slow
def test_a_killed_driver_leaves_jobs_that_the_next_one_waits_for(bench: Any, tmp_path: Path) -> None:
    bench.matrix("{toy: {finetune: {use: toy, epochs: 4, seconds: 1}}}")
    log, store = tmp_path / "log", tmp_path / "store"
    driver = bench.start(store, REIDBENCH_TOY_LOG=str(log))
    bench.wait_for(lambda: bench.saved(store), driver)
    driver.kill()
    driver.communicate()
    again = bench.start(store, REIDBENCH_TOY_LOG=str(log))
    out, said = again.communicate()
    assert again.returncode == 0, said
    assert "| toy" in out
    assert epochs(log) == [f"0 {epoch}" for epoch in range(4)]  # nothing ran twice
    alone(bench)
    assert files(store) == files(tmp_path / "inline" / "store")
    bench.wait_for(lambda: not bench.jobs(store))


@pytest.mark.slow
def test_a_killed_job_fails_its_row_and_a_rerun_resumes(bench: Any, tmp_path: Path) -> None:
    bench.matrix("{toy: {finetune: {use: toy, epochs: 4, seconds: 1}}, none: {finetune: none}}")
    log, store = tmp_path / "log", tmp_path / "store"
    driver = bench.start(store, REIDBENCH_TOY_LOG=str(log))
    ((key, worker),) = bench.wait_for(lambda: bench.saved(store), driver).items()
    for process in bench.jobs(store):
        process.kill()
    out, said = driver.communicate()
    assert driver.returncode == 1, said
    assert "its job " in said
    assert " ended without a result (" in said
    assert "| none" in out
    assert "INTERRUPTED" in Store(store).log_file(key).read_text()
    bench.wait_for(lambda: worker not in bench.claimed(store).values())  # its worker has ended with it
    again = bench.start(store, REIDBENCH_TOY_LOG=str(log))
    _, said = again.communicate()
    assert again.returncode == 0, said
    begun = epochs(log)
    assert sorted(set(begun)) == [f"0 {epoch}" for epoch in range(4)]
    assert len(begun) <= 5  # at most the epoch in which it was killed ran twice
    alone(bench)
    assert files(store) == files(tmp_path / "inline" / "store")


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.long)])
def test_ctrl_c_waits_for_a_checkpoint_and_ctrl_c_twice_does_not(times: int, bench: Any, tmp_path: Path) -> None:
    toy = "epochs: 60, seconds: 0.5" if times == 1 else "epochs: 1, seconds: 120"
    bench.matrix(f"{{toy: {{finetune: {{use: toy, {toy}}}}}}}")
    log, store = tmp_path / "log", tmp_path / "store"
    driver = bench.start(store, REIDBENCH_TOY_LOG=str(log))
    bench.wait_for(lambda: log.exists() and epochs(log), driver)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal sends it, to the group of the driver
    if times == 2:
        bench.wait_for(lambda: any("wind down" in path.read_text() for path in store.glob("specs/*/orders")), driver)
        os.killpg(driver.pid, signal.SIGINT)
    _, said = driver.communicate()
    assert driver.returncode == 130, said
    assert "Traceback" not in said
    assert bool(list(store.glob("scratch/*/checkpoint"))) == (times == 1)
    assert not list((store / "specs").iterdir())
    assert not bench.claimed(store)
    bench.wait_for(lambda: not bench.jobs(store))


@pytest.mark.long
def test_a_time_limit_applies_to_the_stage(bench: Any, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run_matrix(bench.matrix("{none: {finetune: none}}").read_text(), tmp_path, store=store)  # makes the data
    file = bench.matrix("{toy: {finetune: {use: toy, epochs: 1, seconds: 600}}}")
    options = {"executor": "slurm", "options": ["cluster=local"], "time_limit": 5}
    (row,) = reidbench.run(file, store=store, progress=False, **options).board.results
    assert row.error.endswith("[tiny, seed 0]: ran longer than its limit of 5 s")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # submitit leaves log files open
def test_debug_runs_jobs_in_this_process(matrix: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    found = reidbench.run(
        matrix(), store=tmp_path / "store", executor="slurm", options={"cluster": "debug"}, progress=False
    )
    assert [row.status for row in found.board.results] == ["ok"]
    gc.collect()  # the open files are reported in this test


@pytest.mark.slow
def test_progress_and_the_start_of_each_stage_arrive(bench: Any, tmp_path: Path) -> None:
    """The events of the worker, after that of its node, in order."""
    from reidbench.execution.executor import Settings
    from reidbench.matrix import plan
    from reidbench.matrix.reading import reader
    from reidbench.stages.spec import StageSpec
    from reidbench_submitit.executor import Jobs
    from reidbench_submitit.params import SlurmOptions

    registry = plugins.load()
    found = plan.expand(reader.read(bench.matrix("{none: {finetune: none}}"), registry))
    store = Store(tmp_path / "store")
    store.prepare()
    executor = Jobs(SlurmOptions(cluster="local"), Settings())
    heard: list[dict[str, Any]] = []
    try:
        for stage in found.stages.values():
            spec = StageSpec.of(found, stage, store)
            executor.submit(spec, lambda key, event: heard.append(event))
            results = bench.wait_for(lambda: list(executor.wait()))
            assert [result.status for result in results] == ["done"]
    finally:
        executor.stop()
    kinds = [event["event"] for event in heard]
    assert kinds.count("queued") == kinds.count("started") == len(found.stages)
    assert kinds[:2] == ["queued", "started"]
    assert "progress" in kinds
