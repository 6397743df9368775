"""A plugin that raises, hangs, leaks, crashes or leaves: its row says what happened, and the others are as ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from reidbench import report
from reidbench.errors import ReidbenchError
from reidbench.execution import executors
from reidbench.execution.executors import limits
from reidbench.execution.executors.limits import GIB, Limits, family
from reidbench.store.artifacts import Store
from reidbench.store.locks import process_start

EXPECTED = {
    "error": "ValueError: it ",
    "nan_features": "features that are not numbers, first for query/",
    "interrupt": "KeyboardInterrupt",
    "leave_quietly": "the worker ended with exit code 0 without a result",
    "leave": "the worker ended with exit code 9 without a result",
    "crash": "the worker was killed by SIGSEGV",
    "unknown_signal": "the worker was killed by ",
    "child_that_stays": "the worker ended with exit code 7 without a result",
    "half_a_line": "the worker was killed by SIGKILL",
}


def methods(*faults: str) -> str:
    rows = ", ".join(f"{fault}: {{finetune: {{use: faulty, fault: {fault}}}}}" for fault in faults)
    return f"{{good: {{finetune: faulty}}, {rows}}}"


def check(bench: Any, store: Any, expected: dict[str, str]) -> None:
    """Each fault is a row with its reason, and the good row has its numbers."""
    rows = bench.rows(store)
    assert rows["good"][0] == "ok"
    for fault, reason in expected.items():
        status, error = rows[fault]
        assert (status, reason in error) == ("blocked", True), (fault, status, error)
        assert error
        assert error.isprintable()


def gone(pid: int) -> bool:
    """Whether a process has ended, or does within a moment."""
    for _ in range(200):
        if process_start(pid) is None:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.slow
def test_some_faults(bench: Any, watch: Any, figure: Callable[[str], None]) -> None:
    store = bench.folder / "store"
    bench.matrix("{good: {finetune: faulty}}")
    bench.run(store)
    faults = {fault: EXPECTED[fault] for fault in ("crash", "child_that_stays")}
    faults["leak"] = "used more than its limit of 2 GiB"
    bench.matrix(methods(*faults))
    bench.run(store, executors.Processes(2, memory_limit=2))
    check(bench, store, faults)
    (child,) = [int(line.split()[1]) for line in bench.log.read_text().splitlines() if line.startswith("child")]
    assert gone(child)
    bench.matrix(methods("sleep"))
    bench.run(store, executors.Processes(2, time_limit=3))
    check(bench, store, {"sleep": "ran longer than its limit of 3 s"})
    assert not watch.workers(store)
    figure(f"bad plugins, a sample: {len(faults) + 1} faults, each a row with its reason")


@pytest.mark.long
def test_every_fault(bench: Any, watch: Any, figure: Callable[[str], None]) -> None:
    bench.matrix("{good: {finetune: faulty}}")
    bench.run(bench.folder / "whole")
    good = [line for line in bench.table(bench.folder / "whole").splitlines() if line.startswith("good")]
    store = bench.folder / "store"
    bench.matrix(methods(*EXPECTED, "thread_that_stays", "leak", "leak_in_a_child"))
    bench.run(store, executors.Processes(2, memory_limit=2))
    leaks = dict.fromkeys(["leak", "leak_in_a_child"], "used more than its limit of 2 GiB")
    check(bench, store, EXPECTED | leaks)
    assert bench.rows(store)["thread_that_stays"][0] == "ok"
    assert [line for line in bench.table(store).splitlines() if line.startswith("good")] == good
    hangs = ("sleep", "hang_in_c")
    bench.matrix(methods(*hangs))
    bench.run(store, executors.Processes(2, time_limit=6))
    check(bench, store, dict.fromkeys(hangs, "ran longer than its limit of 6 s"))
    assert not watch.workers(store)
    watch.whole(store)
    count = len(EXPECTED) + len(leaks) + len(hangs) + 1
    figure(f"bad plugins: {count} faults, each a row with its reason; the good row's bytes are the same")


RAISED = {
    "own_base": "OwnBase: my own words",
    "cancelled": "CancelledError: my own words",
    "mute": "Mute: (its text is not available: __str__ raises OwnBase)",
    "interrupt": "KeyboardInterrupt",
    "leave_by_exception": "SystemExit: 0",
    "generator_exit": "GeneratorExit: my own words",
    "stop_iteration": "StopIteration: my own words",
    "group": "BaseExceptionGroup: several (2 sub-exceptions)",
    "surrogate": "ValueError: half a character: \\ud800",
    "sly_words": "ValueError: (its text is not available: __str__ raises OwnBase)",
    "loud": "Loud: loud words",
    "nested": "ValueError: my own words",
    "progress_of_infinity": "ctx.progress takes two numbers, done and total, not inf",
    "progress_of_too_much": "ctx.progress takes two numbers, done and total, not 1000",
    "log_of_sly_name": "OwnBase: no words",
    "leaves_manifest": "finetuner faulty left manifest.json in ctx.out, which is a reserved name",
    "leaves_link": "finetuner faulty left w in ctx.out, which is a link",
    "progress_of_text": "ctx.progress takes two numbers, done and total, not 'half'",
    "progress_of_nan": "ctx.progress takes two numbers, done and total, not nan",
    "progress_of_nothing": "ctx.progress takes two numbers, done and total, not None",
    "log_of_text": "ctx.log takes numbers by name, not {'loss': 'low'}",
    "clusters_of_text": "ctx.record_clusters takes an epoch and whole numbers, not 0 and ['a', 'b']",
    "note_of_bytes": "ctx.note takes a sentence, not b'a sentence'",
    "cannot_be_rebuilt": "finetuner faulty returned Forgetful, which cannot be saved: the embedder cannot be rebuilt",
}


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "process"])
def test_whatever_is_raised_or_left_costs_its_own_row(bench: Any, executor: str) -> None:
    store = bench.folder / "store"
    few = ["own_base", "mute", "interrupt", "leaves_link", "leave_by_exception", "loud"]
    chosen = list(RAISED) if executor == "inline" else few
    bench.matrix("{good: {finetune: faulty}}")
    bench.run(store)  # so that no worker starts for it
    bench.matrix(methods(*chosen, "numpy_progress"))
    handler = signal.getsignal(signal.SIGINT)
    bench.run(store, executors.Inline() if executor == "inline" else executors.Processes(2))
    check(bench, store, {fault: RAISED[fault] for fault in chosen})
    assert bench.rows(store)["numpy_progress"][0] == "ok"
    assert signal.getsignal(signal.SIGINT) == handler
    assert not (store / "damaged").exists()
    assert not list((store / "tmp").iterdir())


ANSWERS = {
    "objects": "returned an array of objects for per_query 'ap'; use numbers",
    "ragged": "returned per_query 'ap' that is not an array",
    "short": "returned per_query 'ap' of shape (1,); it must have one entry for each of 8 queries",
    "reserved": "returned a per_query array with the reserved name 'file'; rename it",
    "path": "returned a per_query array with the name '../ap'; use letters",
    "column": "returned a metric with the name 'status', which is a column of every table",
    "text": "returned no number for mAP, but '0.5'",
    "percent": "returned mAP 45.2, which must be a fraction from 0 to 1: 63.4 % is 0.634",
    "rank": "returned cmc7 1.01, which must be a fraction from 0 to 1",
    "notes": "returned notes that cannot be written as JSON",
    "list": "returned no mapping of names to numbers, but [",
}


@pytest.mark.slow
def test_an_answer_that_cannot_be_kept_fails_its_row(bench: Any) -> None:
    judges = ", ".join(f"{{use: faulty-score, answer: {answer}}}" for answer in ANSWERS)
    bench.matrix("{good: {finetune: none}}", evaluate=f"[faulty-score, {judges}]")
    bench.run(bench.folder / "store")
    the_plan, _ = bench.plan()
    results = report.collect(the_plan, Store(bench.folder / "store")).results
    assert [result.status for result in results] == ["ok", *["failed"] * len(ANSWERS)]
    for result, reason in zip(results[1:], ANSWERS.values(), strict=True):
        assert f"evaluator faulty-score {reason}" in result.error
        assert "of good -> tiny" in result.error


@pytest.mark.long
def test_the_same_reasons_under_ray(bench: Any, figure: Callable[[str], None]) -> None:
    """For every error and answer of a component, each row has the same reason as in this process."""
    if find_spec("ray") is None:  # not imported before its executor is made
        pytest.skip("Ray is not installed")
    judges = ", ".join(f"{{use: faulty-score, answer: {answer}}}" for answer in ANSWERS)
    bench.matrix(methods(*RAISED), evaluate=f"[faulty-score, {judges}]")
    tables = []
    for executor in (executors.Inline(), executors.make("ray", jobs=2)):
        store = bench.folder / f"store{len(tables)}"
        bench.run(store, executor)
        check(bench, store, RAISED)
        the_plan, _ = bench.plan()
        tables.append([(one.row, one.status, one.error) for one in report.collect(the_plan, Store(store)).results])
    assert tables[0] == tables[1]
    good = [status for row, status, _ in tables[1] if row.method == "good"]
    assert good == ["ok", *["failed"] * len(ANSWERS)]
    figure(f"bad plugins under Ray: {len(RAISED)} that raise, {len(ANSWERS)} odd answers, the reasons of inline")


def test_a_backbone_that_fails_is_named_with_its_parameters(bench: Any) -> None:
    """And not the method that asked for it."""
    bench.matrix("{m: {backbone: {use: faulty-network, answer: x}, finetune: {use: faulty, epochs: 2}}}")
    bench.run(bench.folder / "store")
    assert bench.rows(bench.folder / "store")["m"] == (
        "blocked",
        "finetune faulty (epochs=2) [tiny, seed 0]: backbone faulty-network (answer=x): StopIteration: no layers",
    )


@pytest.mark.slow
def test_an_artifact_that_stays_damaged_fails_its_row(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something outside changes each fine-tuned network as soon as it is published."""
    store = bench.folder / "store"
    bench.matrix("{bad: {finetune: faulty}, good: {finetune: none}}")
    publishing = Store.publishing

    @contextmanager
    def published_and_changed(self: Store, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        with publishing(self, key) as (folder, manifest):
            yield folder, manifest
        if manifest["stage"]["use"] == "faulty":
            (self.path(key) / "embedder.json").write_text("{}")

    monkeypatch.setattr(Store, "publishing", published_and_changed)
    listener = bench.run(store)
    rows = bench.rows(store)
    assert rows["good"][0] == "ok"
    assert rows["bad"][0] in ("failed", "blocked")
    assert "the file differs from the published one, as before, after 2 repeated runs" in rows["bad"][1]
    assert len([label for label, status, _ in listener.endings if status == "done" and "faulty" in label]) == 3
    assert len(list((store / "damaged").iterdir())) == 3


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_metric_that_is_no_number_is_a_failed_row(bench: Any, value: str) -> None:
    bench.matrix("{none: {finetune: none}}", evaluate=f"{{use: faulty-score, value: '{value}'}}")
    bench.run(bench.folder / "store")
    ((status, error),) = bench.rows(bench.folder / "store").values()
    assert status == "failed"
    assert f"evaluator faulty-score returned no number for mAP, but {value}" in error


# ---------------------------------------------------------------------- the limits themselves
def test_a_family_is_its_session_and_what_descends_from_it() -> None:
    code = (
        "import os, sys, time\n"
        "held = b'x' * (64 << 20)\n"
        "reading, writing = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    own = b'y' * (32 << 20)\n"
        "    os.write(writing, b'.')\n"
        "    time.sleep(600)\n"
        "os.read(reading, 1)\n"
        "print('up', flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert parent.stdout is not None
    with parent.stdout:
        parent.stdout.readline()
    members = family(parent.pid)
    assert len(members) == 2
    assert min(members.values()) > 32 << 20
    # What both have from before the fork counts once: 64 + 32 and two interpreters, and not 128 + 32.
    assert (64 + 32) << 20 < sum(members.values()) < (64 + 32 + 60) << 20
    assert Limits(gib=0.09).broken(parent.pid, time.monotonic()) == "used more than its limit of 0.09 GiB"
    assert Limits(gib=8).broken(parent.pid, time.monotonic()) == ""
    assert Limits(seconds=5).broken(parent.pid, time.monotonic() - 6) == "ran longer than its limit of 5 s"
    assert Limits(seconds=5).broken(parent.pid, time.monotonic() - 4) == ""
    limits.end(parent.pid)
    parent.wait()
    assert parent.returncode == -9
    assert all(gone(member) for member in members)
    assert family(parent.pid) == {}
    assert GIB == 1024**3
    assert os.getpid() not in members


def test_limits_that_make_no_sense_are_one_sentence(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for given in ({"time_limit": 0}, {"memory_limit": -1}, {"time_limit": float("nan")}):
        with pytest.raises(ReidbenchError, match="must be more than 0"):
            executors.Processes(1, **given)
    monkeypatch.setattr(limits, "PROC", tmp_path)
    with pytest.raises(ReidbenchError, match="a memory limit needs /proc, which this system does not have"):
        executors.Processes(1, memory_limit=1)
    executors.Processes(1, time_limit=1)
    assert family(os.getpid()) == {}


def test_a_proc_of_another_pid_namespace_is_not_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `unshare --pid` without a new /proc: its numbers are those of other processes."""
    assert limits.guarded("stages.run", "x")[:3] == [sys.executable, "-I", "-S"]
    (tmp_path / "self").symlink_to(str(os.getpid() + 1))
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(Path("/proc/self/stat").read_text().replace(str(os.getpid()), "7"))
    monkeypatch.setattr(limits, "PROC", tmp_path)
    assert family(7) == {}
    assert limits.guarded("stages.run", "x") == [sys.executable, "-m", "reidbench.stages.run", "x"]
    with pytest.raises(ReidbenchError, match="a memory limit needs /proc"):
        Limits(gib=1)
