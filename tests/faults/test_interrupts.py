"""Ctrl-C once: running stages continue to a checkpoint or their end. Twice: the run ends at once. Nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reidbench.execution import executors

pytestmark = pytest.mark.usefixtures("interruptible")


def await_file(run: subprocess.Popen[str], store: Path, pattern: str) -> None:
    while not list(store.glob(pattern)):
        assert run.poll() is None, run.communicate()
        time.sleep(0.01)


def until(run: subprocess.Popen[str], words: str) -> str:
    """Read what a run says until it says that."""
    said = ""
    assert run.stderr is not None
    while words not in said:
        line = run.stderr.readline()
        assert line, said
        said += line
    return said


@pytest.mark.slow
def test_ctrl_c_once_and_then_again(bench: Any, watch: Any, figure: Callable[[str], None]) -> None:
    """`toy` writes checkpoints, `hang` never gets to one."""
    bench.matrix(
        "{toy: {finetune: {use: faulty, epochs: 100, seconds: 0.2}}, hang: {finetune: {use: faulty, fault: sleep}}}"
    )
    store = bench.folder / "store"
    run = bench.start(store)
    await_file(run, store, "scratch/*/checkpoint")
    while len(watch.workers(store)) < 2:
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    said = until(run, "stopped in")  # the one that has a checkpoint
    assert "note: interrupted: 2 running stages continue to the next checkpoint or the end; Ctrl-C again ends" in said
    assert run.poll() is None
    assert len(watch.workers(store)) == 1
    run.send_signal(signal.SIGINT)
    _, rest = run.communicate()
    assert run.returncode == 130
    assert "Traceback" not in said + rest
    assert "interrupted; finished stages are cached. To resume:" in rest
    assert watch.all_gone(store, 5) < 5
    assert not list((store / "failures").glob("*")) if (store / "failures").exists() else True
    assert list(store.glob("scratch/*/checkpoint"))
    epochs = bench.epochs()
    assert epochs == [f"0 {epoch}" for epoch in range(len(epochs))]
    figure(f"SIGINT: one stage ended at a checkpoint after {len(epochs)} epochs, another at the second SIGINT")


def test_ctrl_c_in_this_process_is_at_once(bench: Any) -> None:
    """Inline, a stage cannot be watched: it ends where it is, and its last checkpoint stays."""
    bench.matrix("{hang: {finetune: {use: faulty, fault: ctrl_c}}}")
    with pytest.raises(KeyboardInterrupt):
        bench.run(bench.folder / "store")
    assert bench.rows(bench.folder / "store")["hang"] == ("missing", "not run yet")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_ctrl_c_lets_stages_without_checkpoints_end(bench: Any, watch: Any) -> None:
    bench.matrix("{toy: {finetune: faulty}}")
    store = bench.folder / "store"
    executor = executors.Processes(1)
    submit = executor.submit

    def interrupted(spec: Any, on_event: Any) -> None:
        submit(spec, on_event)
        os.kill(os.getpid(), signal.SIGINT)

    executor.submit = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        bench.run(store, executor)
    assert [status for _, status, _ in bench.listeners[-1].endings] == ["done"]
    assert bench.listeners[-1].notes[0].startswith("interrupted: 1 running stage continues to the next checkpoint")
    assert watch.whole(store) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.long
def test_two_interrupts_at_random_moments(bench: Any, watch: Any, figure: Callable[[str], None]) -> None:
    bench.matrix("{none: {finetune: none}, toy: {finetune: {use: faulty, epochs: 6, seconds: 0.3}}}")
    bench.run(bench.folder / "whole")
    bench.epochs()
    draw = random.Random(5)
    store = bench.folder / "store"
    rounds, codes = 12, []
    kept: dict[str, tuple[int, int]] = {}
    for _ in range(rounds):
        run = bench.start(store)
        until(run, "to run")  # before that Python itself starts
        for pause in (draw.uniform(0, 4), draw.choice([0.0, 0.02, 0.3, 2.0])):
            time.sleep(pause)
            if run.poll() is None:
                run.send_signal(signal.SIGINT)
        _, error = run.communicate()
        assert "Traceback" not in error
        codes.append(run.returncode)
        watch.all_gone(store, 5)
        watch.whole(store)
        assert {key: watch.published(store).get(key) for key in kept} == kept
        kept = watch.published(store)
        if run.returncode == 0:
            break
    assert set(codes) <= {0, 130}
    bench.run(store)
    assert bench.table(store) == bench.table(bench.folder / "whole")
    assert len(bench.epochs()) <= 6 + rounds
    figure(f"SIGINT twice: {codes.count(130)} runs broken off at random moments, identical table")
