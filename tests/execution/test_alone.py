"""A stage that measures time runs by itself, however many may run at a time, and costs nobody else a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from rich.console import Console

from reidbench import report
from reidbench.execution import executors, progress
from reidbench.execution.executor import OneResult, OnEvent
from reidbench.execution.runner import Runner
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store
from reidbench.training import efficiency

pytestmark = pytest.mark.usefixtures("one_thread")
Matrix = Callable[..., Path]
METHODS = "{a: {finetune: none}, b: {flip_test: true, finetune: none}, c: {finetune: colour-histogram}}"


class Three:
    """Takes three stages at a time, and keeps for each submission the kinds of all that then run."""

    slots = 3
    winds_down = False

    def __init__(self) -> None:
        self.inline = executors.make("inline", 1)
        self.running: list[tuple[StageSpec, OnEvent]] = []
        self.seen: list[tuple[str, ...]] = []

    def submit(self, spec: StageSpec, on_event: OnEvent) -> None:
        self.running.append((spec, on_event))
        self.seen.append(tuple(one.stage.kind for one, _ in self.running))

    def wait(self) -> Iterable[OneResult]:
        if not self.running:
            return []
        self.inline.submit(*self.running.pop(0))
        return self.inline.wait()

    def wind_down(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        self.inline.stop()


@pytest.mark.slow
def test_a_profile_runs_alone_among_three_slots(matrix: Matrix, tmp_path: Path) -> None:
    registry = plugins.load()
    found = plan.expand(reader.read(matrix(methods=METHODS, seeds="[0, 1]", profile="true"), registry))
    three, store = Three(), Store(tmp_path / "store")
    Runner(found, store, three, progress.Lines(Console(stderr=True)), frozenset()).run()
    profiles = [key for key, stage in found.stages.items() if stage.kind == "profile"]
    assert len(profiles) == 3
    assert all(store.has(key) for key in profiles)
    assert [kinds for kinds in three.seen if "profile" in kinds] == [("profile",)] * 3
    assert max(map(len, three.seen)) == 3  # all else goes side by side


@pytest.mark.slow
def test_a_profile_that_fails_leaves_the_rows_as_they_are(
    matrix: Matrix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object, **more: object) -> None:
        raise RuntimeError("no clock here")

    monkeypatch.setattr(efficiency, "measure", broken)
    found = plan.expand(reader.read(matrix(methods=METHODS, profile="true"), plugins.load()))
    store = Store(tmp_path / "store")
    outcome = Runner(found, store, executors.make("inline", 1), progress.Lines(Console(stderr=True)), frozenset()).run()
    profiles = {key for key, stage in found.stages.items() if stage.kind == "profile"}
    assert outcome.failed.keys() == profiles
    assert {store.failure(key) for key in profiles} == {"RuntimeError: no clock here"}
    assert {result.status for result in report.collect(found, store).results} == {"ok"}
