"""Jobs of Slurm: requests, arrays, states, and what becomes of their stages. A stand-in takes the place of Slurm."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import reidbench
from reidbench.errors import ReidbenchError
from reidbench.execution.executor import Settings
from reidbench.execution.executors import nodes
from reidbench.matrix.stage import Stage
from reidbench.registry import plugins
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from reidbench_submitit import clusters, job
from reidbench_submitit import executor as slurm
from reidbench_submitit.params import Resources, SlurmOptions
from tests.plugins.submitit import stand_in as programs

HERE = Path(__file__).with_name("stand_in.py")
NONE = "{none: {finetune: none}}"


# ---------------------------------------------------------------------- requests
@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("data", {}, clusters.Request(60, 0, 3, None, None)),
        ("data", {"gpus": 1, "partition": "gpu"}, clusters.Request(60, 0, 3, None, "gpu")),
        ("finetune", {"gpus": 1, "cpus": 8, "memory": 12.5}, clusters.Request(60, 1, 8, 12.5, None)),
        ("pretrain", {"gpus": 1}, clusters.Request(60, 4, 12, None, None)),  # of 4 devices
        ("pretrain", {"gpus": 1, "stage": {"pretrain": Resources(time=600)}}, clusters.Request(600, 4, 12, None, None)),
        (
            "embed",
            {"gpus": 1, "stage": {"embed": Resources(gpus=0, partition="cpu")}},
            clusters.Request(60, 0, 3, None, "cpu"),
        ),
        ("evaluate", {"gpus": 1, "time": 5}, clusters.Request(5, 0, 3, None, None)),
    ],
)
def test_what_a_stage_asks_for(kind: str, options: dict[str, Any], expected: clusters.Request) -> None:
    """A matrix of 2 threads, `devices: {pretrain: 4}`, run with --workers 1."""
    spec = StageSpec.model_construct(stage=Stage("k", kind, "x", {}), threads=2, workers=1, devices={"pretrain": 4})
    assert clusters.request(spec, SlurmOptions(**options)) == expected


def test_a_kind_of_stage_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match=r"unknown kind of stage 'train' \(known: data, "):
        SlurmOptions(stage={"train": Resources(time=1)})


def test_a_machine_without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ReidbenchError, match=r"this machine has no sbatch, srun, scancel, sacct; .* cluster=local"):
        slurm.Jobs(SlurmOptions(), Settings())


# ---------------------------------------------------------------------- with the stand-in
@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with the stand-in; its folder."""
    pytest.importorskip("submitit.slurm.slurm").SlurmJob.watcher.clear()  # it knows the states of earlier numbers
    place, folder = tmp_path / "jobs", tmp_path / "bin"
    place.mkdir()
    folder.mkdir()
    command = shlex.join([sys.executable, "-IS", str(HERE)])
    for name in clusters.PROGRAMS:
        program = folder / name
        # not as the interpreter after `#!`: its path must be short, without spaces
        program.write_text(f'#!/bin/sh\nexec {command} {name} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_STAND_IN", str(place))
    monkeypatch.setattr(programs, "PLACE", place)
    monkeypatch.setattr(clusters, "ASK", 0.5)
    monkeypatch.setitem(slurm.SETTLE, "slurm", 0.2)
    yield place
    for file in place.glob("*.pid"):
        programs.end(file.stem)


def run(file: Path, store: Path, **more: Any) -> Any:
    return reidbench.run(file, store=store, executor="slurm", progress=False, **more)


def asked(script: Path) -> dict[str, str]:
    """The options that a batch script asks for."""
    return dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", script.read_text(), re.MULTILINE))


@pytest.mark.slow
def test_arrays_with_their_resources_give_the_bytes_of_this_process(stand_in: Path, bench: Any, tmp_path: Path) -> None:
    file = bench.matrix(NONE)
    file.write_text(file.read_text().replace("seeds: [0]", "seeds: [0, 1]"))
    options = ["partition=long", "memory=1.5", "account=me", "stage.finetune.time=7", "stage.finetune.partition=short"]
    found = run(file, tmp_path / "store", options=options)
    assert [row.status for row in found.board.results] == ["ok", "ok"]
    scripts = sorted(stand_in.glob("*.sh"), key=lambda script: script.stat().st_mtime_ns)
    trained, embedded = asked(scripts[0]), asked(scripts[1])
    assert {name: embedded.get(name) for name in ("partition", "time", "mem", "account", "cpus-per-task", "array")} == {
        "partition": "long", "time": "60", "mem": "1536MB", "account": "me", "cpus-per-task": "1", "array": None,
    }  # fmt: skip
    assert {name: trained[name] for name in ("partition", "time", "array", "job-name")} == {
        "partition": "short", "time": "7", "array": "0-1%2", "job-name": "reidbench",
    }  # fmt: skip
    assert (trained["signal"], embedded["signal"]) == ("USR2@90", "USR2@90")
    assert not any({"gpus-per-node", "wckey"} & asked(script).keys() for script in scripts)
    (tmp_path / "inline").mkdir()
    alone = run_matrix(file.read_text(), tmp_path / "inline")
    assert found.board.results == alone.results
    both = [Store(tmp_path / "store"), Store(tmp_path / "inline" / "store")]
    made = [{key: one.read(key).manifest["files"] for key in one.keys()} for one in both]  # noqa: SIM118
    assert made[0] == made[1]
    assert not list((tmp_path / "store" / "specs").iterdir())
    assert not list((tmp_path / "store").glob(".seen-by*"))


def test_a_refused_job_ends_the_run_with_slurms_words(stand_in: Path, bench: Any, tmp_path: Path) -> None:
    (stand_in / "refuse").touch()
    with pytest.raises(ReidbenchError, match=r"Slurm accepts no job: .*Invalid partition name specified"):
        run(bench.matrix(NONE), tmp_path / "store")
    assert Store(tmp_path / "store").keys() == set()


@pytest.mark.slow
def test_a_node_that_does_not_see_the_store(
    stand_in: Path, bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect = nodes.expect

    def elsewhere(without: frozenset[str], folders: dict[str, Path]) -> nodes.Expected:
        found = expect(without, folders)
        nodes.forget(found)  # as if the nodes had another folder at that path
        return found

    monkeypatch.setattr(nodes, "expect", elsewhere)
    with pytest.raises(ReidbenchError, match=r"the run stops: node \S+ is not usable: it does not see the store"):
        run(bench.matrix(NONE), tmp_path / "store")
    assert Store(tmp_path / "store").keys() == set()


class Unlucky:
    """Ends the first job that has saved a checkpoint as Slurm does, in a state, as often as `times`."""

    def __init__(self, bench: Any, place: Path, store: Path, state: str, times: int = 1) -> None:
        self.parts = bench, place, store, state
        self.left = times
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self) -> None:
        bench, place, store, state = self.parts
        seen: set[int] = set()
        while self.left:
            while not (new := set(bench.saved(store).values()) - seen):
                time.sleep(0.05)
            seen |= new
            # the newest: the process of an earlier job may still be ending
            running = max(file.stem for file in place.glob("*.job") if programs.state(file.stem) == "RUNNING")
            (place / f"{running}.state").write_text(state)
            if state == "PREEMPTED":  # Slurm asks every process of a job to end before it kills them
                for pid in (*bench.claimed(store).values(), *(process.pid for process in bench.jobs(store))):
                    os.kill(pid, signal.SIGTERM)
            else:
                programs.end(running)
            self.left -= 1


TOY = "{toy: {finetune: {use: toy, epochs: 4, seconds: 1}}}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("TIMEOUT", "ran longer than 60 min: raise --option time=MINUTES, and run it again to resume"),
        pytest.param("OUT_OF_MEMORY", "used more than 4 GiB: raise --option memory=GIB", marks=pytest.mark.long),
    ],
)
def test_a_job_that_slurm_ends_is_a_failed_row(
    state: str, words: str, stand_in: Path, bench: Any, tmp_path: Path
) -> None:
    file, store = bench.matrix(TOY), tmp_path / "store"
    Unlucky(bench, stand_in, store, state)
    (row,) = run(file, store, options={"memory": 4}).board.results
    assert row.status == "blocked"
    assert re.search(rf"finetune toy .*: its job 10\d {re.escape(words)}$", row.error)
    (key,) = [path.stem for path in (store / "failures").iterdir()]
    assert Store(store).died(key)
    assert f": {state}\n" in Store(store).log_file(key).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("state", ["PREEMPTED", pytest.param("NODE_FAIL", marks=pytest.mark.long)])
def test_a_job_lost_with_its_node_is_submitted_again(
    state: str,
    stand_in: Path,
    bench: Any,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    monkeypatch.setenv("REIDBENCH_TOY_LOG", str(log))
    Unlucky(bench, stand_in, store, state)
    found = reidbench.run(bench.matrix(TOY), store=store, executor="slurm")
    assert [row.status for row in found.board.results] == ["ok"]
    said = capfd.readouterr().err
    assert re.search(rf"its job 10\d was lost with its node \({state}\); it is submitted again", said)
    begun = [line for line in log.read_text().splitlines() if line[:1].isdigit()]
    assert sorted(set(begun)) == [f"0 {epoch}" for epoch in range(4)]
    assert len(begun) <= 5


def test_the_state_of_an_ended_job_is_asked_for_again(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job can end its file between two questions to Slurm; the state of the last answer is then old."""

    class Ended:
        def __init__(self, has_result: bool, before: str, now: str) -> None:
            self.has_result, self.state, self.now = has_result, before, now

        def done(self) -> bool:
            return self.has_result

        def get_info(self, mode: str) -> None:
            assert mode == "force"
            self.state = self.now

    monkeypatch.setattr(clusters, "ASK", 1e9)
    cluster, job = clusters.Cluster(SlurmOptions()), Ended(True, "RUNNING", "PREEMPTED")
    assert cluster.ended(job) == "RUNNING"
    assert cluster.newest(job) == "PREEMPTED"
    again = Ended(False, "PREEMPTED", "PENDING")  # Slurm started it again
    assert cluster.ended(again) == "PREEMPTED"
    assert cluster.newest(again) == ""


@pytest.mark.long
def test_a_job_lost_too_often_has_failed(
    stand_in: Path, bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "RETRIES", 0)
    Unlucky(bench, stand_in, tmp_path / "store", "NODE_FAIL")
    (row,) = run(bench.matrix(TOY), tmp_path / "store").board.results
    assert row.error.endswith("was lost with its node (NODE_FAIL), 1 times in all")


def specs(bench: Any, store: Path) -> list[StageSpec]:
    from reidbench.matrix import plan
    from reidbench.matrix.reading import reader

    found = plan.expand(reader.read(bench.matrix(NONE), plugins.load()))
    Store(store).prepare()
    return [StageSpec.of(found, stage, Store(store)) for stage in found.stages.values()]


def test_waiting_jobs_are_cancelled_at_ctrl_c(stand_in: Path, bench: Any, tmp_path: Path) -> None:
    (stand_in / "hold").touch()
    (spec, *_) = specs(bench, tmp_path / "store")
    executor = slurm.Jobs(SlurmOptions(), Settings())
    heard: list[dict[str, Any]] = []
    executor.submit(spec, lambda key, event: heard.append(event))
    assert list(executor.wait()) == []
    executor.wind_down()
    assert [(one.key, one.status) for one in executor.wait()] == [(spec.stage.key, "stopped")]
    assert (stand_in / "100.state").read_text() == "CANCELLED by 0"
    executor.stop()
    assert heard == [{"event": "queued"}]
    assert not list((tmp_path / "store" / "specs").iterdir())


def test_a_job_without_a_sign_of_life_is_lost(
    stand_in: Path, bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm without accounting knows no states."""
    monkeypatch.setattr(slurm, "DEAD_AFTER", 0.5)
    monkeypatch.setattr(clusters.Cluster, "ended", lambda *_: "")
    (stand_in / "hold").touch()
    (spec, *_) = specs(bench, tmp_path / "store")
    executor = slurm.Jobs(SlurmOptions(), Settings())
    heard: list[dict[str, Any]] = []
    executor.submit(spec, lambda key, event: heard.append(event))
    assert list(executor.wait()) == []
    ((place, *_),) = [list((tmp_path / "store" / "specs").glob(f"*/{spec.stage.key}-1.json"))]
    line = '{"event": "node", "node": "n1", "problems": []}\n{"event": "prog'
    place.with_suffix(".events").write_text(line)
    (result,) = bench.wait_for(lambda: list(executor.wait()))
    executor.stop()
    assert result.status == "busy"
    assert heard[1] == {"event": "started"}
    assert heard[2]["text"].startswith("its job 100 was lost with its node")


def test_a_job_whose_run_has_ended_runs_nothing(tmp_path: Path) -> None:
    assert job.read_order(tmp_path) == job.END
    (tmp_path / job.ORDERS).write_text("")
    assert job.read_order(tmp_path) == ""


def test_jobs_carry_a_path_and_the_name_of_a_function(stand_in: Path, bench: Any, tmp_path: Path) -> None:
    """Pickles of submitit contain no code and no spec, and only this user can write them."""
    import pickletools

    (stand_in / "hold").touch()
    (spec, *_) = specs(bench, tmp_path / "store")
    executor = slurm.Jobs(SlurmOptions(), Settings())
    executor.submit(spec, lambda key, event: None)
    assert list(executor.wait()) == []
    (pickled,) = (tmp_path / "store" / "specs").glob("*/*_submitted.pkl")
    words = [str(value) for _, value, _ in pickletools.genops(pickled.read_bytes()) if isinstance(value, str)]
    assert {"reidbench_submitit.job", "run", str(pickled.parent / f"{spec.stage.key}-1")} <= set(words)
    named = {word for word in words if "." in word and "/" not in word}
    assert named <= {"reidbench_submitit.job", "submitit.core.utils"}
    assert pickled.parent.stat().st_mode & 0o777 == 0o700
    executor.stop()
