"""A child that detaches itself (setsid, a double fork, an empty environment) ends with its stage, however that ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reidbench.execution import executors
from reidbench.store.locks import process_start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="subreapers are Linux's")
LONGEST = 60.0  # seconds that anything here may take


def wait_until(what: Callable[[], Any], message: str) -> Any:
    until = time.monotonic() + LONGEST
    while not (found := what()):
        assert time.monotonic() < until, message
        time.sleep(0.01)
    return found


def started(log: Path, word: str = "child") -> list[int]:
    """The detached children that said so."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [int(line.split()[1]) for line in lines if line.startswith(f"{word} ")]


def all_gone(pids: list[int]) -> None:
    assert pids
    wait_until(lambda: all(process_start(pid) is None for pid in pids), f"one of {pids} outlives its stage")


def _alone(pids: list[int]) -> list[int]:
    """The one that is there; nothing where there are others."""
    return pids if len(pids) == 1 else []


def methods(*faults: str) -> str:
    return (
        "{" + ", ".join(f"{fault}: {{finetune: {{use: faulty, epochs: 1, fault: {fault}}}}}" for fault in faults) + "}"
    )


@pytest.mark.slow
def test_it_ends_with_its_worker_and_a_siblings_stays(bench: Any) -> None:
    bench.matrix(methods("detach_and_crash", "keep_a_detached_child", "detach_and_go_on", "detach_and_kill_the_group"))
    bench.run(bench.folder / "store", executors.Processes(2))
    rows = bench.rows(bench.folder / "store")
    assert rows["detach_and_go_on"][0] == rows["keep_a_detached_child"][0] == "ok", rows
    assert "the worker was killed by SIGSEGV" in rows["detach_and_crash"][1]
    assert "the worker was killed by SIGKILL" in rows["detach_and_kill_the_group"][1]
    assert len(started(bench.log)) == 3
    all_gone([*started(bench.log), *started(bench.log, "kept")])


@pytest.mark.slow
def test_it_ends_with_a_worker_that_is_beyond_its_limit(bench: Any) -> None:
    bench.matrix(methods("detach_and_leak"))
    bench.run(bench.folder / "store", executors.Processes(1, memory_limit=2))
    assert "used more than its limit of 2 GiB" in bench.rows(bench.folder / "store")["detach_and_leak"][1]
    all_gone(started(bench.log))


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_driver(bench: Any, watch: Any, ending: signal.Signals) -> None:
    bench.matrix(methods("detach_and_sleep"))
    run = bench.start(bench.folder / "store")
    wait_until(lambda: started(bench.log) or run.poll() is not None, "no stage has started")
    run.send_signal(ending)
    run.communicate()
    all_gone(started(bench.log))
    watch.all_gone(bench.folder / "store")


@pytest.mark.slow
def test_it_ends_with_a_worker_that_somebody_kills(bench: Any, watch: Any) -> None:
    bench.matrix(methods("detach_and_sleep"))
    run = bench.start(bench.folder / "store")
    wait_until(lambda: started(bench.log) or run.poll() is not None, "no stage has started")
    # A child has its parent's command line until it executes another program.
    (worker,) = wait_until(lambda: _alone(watch.workers(bench.folder / "store")), "the child executes no other program")
    subprocess.run(["kill", "-KILL", str(worker)], check=True)
    _, said = run.communicate()
    assert "the worker was killed by SIGKILL" in said
    all_gone(started(bench.log))


def test_inline_it_ends_after_its_stage(bench: Any) -> None:
    before = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    try:
        bench.matrix(methods("detach_and_go_on"))
        bench.run(bench.folder / "store")
        assert bench.rows(bench.folder / "store")["detach_and_go_on"][0] == "ok"
        all_gone(started(bench.log))
        assert before.poll() is None
    finally:
        before.kill()
        before.wait()
