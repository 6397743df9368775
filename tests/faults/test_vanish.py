"""Artifacts that a run needs are removed while it runs: their stages run again, and the run notes it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reidbench.execution import executors
from reidbench.execution.executor import OnEvent
from reidbench.matrix.stage import Stage
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import MANIFEST, Store
from reidbench.testing import write_market_folder

METHODS = "{none: {finetune: none}, toy: {finetune: {use: faulty, epochs: 1}}}"


class Thief:
    """An executor that takes an artifact away, `times` at most, just before a stage starts."""

    def __init__(
        self, inner: Any, take: Callable[[Stage], str | None], steal: Callable[[str], None], times: int
    ) -> None:
        self.inner = inner
        self.take = take
        self.steal = steal
        self.times = times
        self.stolen: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def submit(self, spec: StageSpec, on_event: OnEvent) -> None:
        key = self.take(spec.stage)
        if key is not None and len(self.stolen) < self.times:
            self.stolen.append(key)
            self.steal(key)
        self.inner.submit(spec, on_event)


def input_of(kind: str, parent: str) -> Callable[[Any], str | None]:
    """The key of a parent, or of the data, of stages of that kind."""

    def take(stage: Any) -> str | None:
        if stage.kind != kind:
            return None
        keys = [key for role, key in stage.parents] if parent != "data" else [given.key for given in stage.data]
        return str(keys[0]) if keys else None

    return take


def check(bench: Any, executor: Thief, store: Path) -> None:
    listener = bench.run(store, executor)
    assert executor.stolen
    for key in executor.stolen:
        said = [note for note in listener.notes if note.startswith(str(Store(store).path(key)))]
        assert len(said) == 1
        assert said[0].endswith("runs again")
    assert {status for _, status, _ in listener.endings} <= {"done", "damaged", "there"}
    assert bench.table(store) == bench.table(bench.folder / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "parent"), [("finetune", "data"), ("embed", "finetune"), ("evaluate", "embed")])
@pytest.mark.parametrize("whole", [True, False])
def test_an_input_that_vanishes_is_made_again(bench: Any, kind: str, parent: str, whole: bool) -> None:
    bench.matrix(METHODS)
    bench.run(bench.folder / "whole")
    root = bench.folder / "store"

    def steal(key: str) -> None:
        path = Store(root).path(key)
        if whole:
            shutil.rmtree(path)
        else:  # an `rm -r` is in progress
            (path / MANIFEST).unlink()

    check(bench, Thief(executors.Inline(), input_of(kind, parent), steal, 1), root)


@pytest.mark.slow
def test_lists_that_only_an_earlier_stage_was_given_are_made_again(bench: Any, tmp_path: Path) -> None:
    """Features are compared with what was trained on, which is not what they are of."""
    bench.matrix(METHODS)
    other = write_market_folder(tmp_path / "other", images=3)
    text = bench.file.read_text().replace("source: tiny", "source: other")
    bench.file.write_text(text.replace("data: {", f"data: {{other: {{use: market-folder, root: {other}}}, "))
    bench.run(bench.folder / "whole")
    root = bench.folder / "store"
    (data,) = [s.key for s in bench.plan()[0].stages.values() if s.kind == "data" and s.root == str(other)]
    take = lambda stage: data if stage.label.startswith("embed toy") else None  # noqa: E731
    check(bench, Thief(executors.Inline(), take, lambda key: shutil.rmtree(Store(root).path(key)), 1), root)


def test_what_no_stage_reads_any_more_is_not_missed(bench: Any) -> None:
    """A pre-training whose fine-tuned network is there already."""
    pretrain = "{use: moco-v2, epochs: 1, batch: 8, splits: 2, queue: 16, dim: 16}"
    bench.matrix(f"{{pre: {{pretrain: {pretrain}, finetune: none}}}}")
    bench.file.write_text(bench.file.read_text().replace("target: tiny}", "target: tiny, pool: tiny}"))
    root = bench.folder / "store"
    (key,) = [key for key, stage in bench.plan()[0].stages.items() if stage.kind == "pretrain"]
    take = lambda stage: key if stage.kind == "embed" else None  # noqa: E731
    executor = Thief(executors.Inline(), take, lambda key: shutil.rmtree(Store(root).path(key)), 1)
    listener = bench.run(root, executor)
    assert executor.stolen == [key]
    assert bench.rows(root)["pre"][0] == "ok", bench.rows(root)
    assert not [note for note in listener.notes if "again" in note]


@pytest.mark.slow
def test_under_a_worker_too(bench: Any) -> None:
    """Only rerun stages cost a worker: the store is complete except for the last stage."""
    bench.matrix("{none: {finetune: none}}")
    root = bench.folder / "store"
    for store in (bench.folder / "whole", root):
        bench.run(store)
    (row,) = bench.plan()[0].rows
    shutil.rmtree(Store(root).path(row.key))
    steal = lambda key: shutil.rmtree(Store(root).path(key))  # noqa: E731
    check(bench, Thief(executors.Processes(1), input_of("evaluate", "embed"), steal, 1), root)


@pytest.mark.slow
def test_a_result_that_vanishes_after_it_was_made_is_made_again(bench: Any) -> None:
    bench.matrix(METHODS)
    bench.run(bench.folder / "whole")
    root = bench.folder / "store"
    rows = [row.key for row in bench.plan()[0].rows]

    def take(stage: Any) -> str | None:
        """The first row's result, as the second row's is made."""
        return rows[0] if stage.kind == "evaluate" and Store(root).has(rows[0]) else None

    check(bench, Thief(executors.Inline(), take, lambda key: shutil.rmtree(Store(root).path(key)), 1), root)


@pytest.mark.slow
def test_results_that_vanish_for_ever_do_not_keep_a_run_for_ever(bench: Any) -> None:
    """A stage that is made over and over is a fault of the place, which the table shows."""
    bench.matrix("{none: {finetune: none}}")
    store = bench.folder / "store"
    (key,) = [row.key for row in bench.plan()[0].rows]
    executor = executors.Inline()
    inner = executor.wait

    def wait() -> Any:
        ended = inner()
        shutil.rmtree(Store(store).path(key), ignore_errors=True)
        return ended

    executor.wait = wait  # type: ignore[method-assign]
    listener = bench.run(store, executor)
    assert len([note for note in listener.notes if note.endswith("runs again")]) == 2
    assert bench.rows(store)["none"][0] == "missing"


def test_a_stage_that_fails_by_itself_is_not_excused(bench: Any) -> None:
    """A stage runs again only if an input is gone: a failure with all inputs present stays the row's reason."""
    bench.matrix("{toy: {finetune: {use: faulty, fault: raise}}}")
    listener = bench.run(bench.folder / "store")
    assert bench.rows(bench.folder / "store")["toy"][0] == "blocked"
    assert not [note for note in listener.notes if "again" in note]
