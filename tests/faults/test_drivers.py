"""Several drivers on one store: each stage is made once, and the others take over from one that dies."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from reidbench.execution import executors, runner, silence
from reidbench.store import locks
from reidbench.store.artifacts import Store


def test_a_claimed_stage_starts_no_worker(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two whole drivers are in tests/execution/test_runner.py; here one waits for a stage that is another's."""
    bench.matrix("{toy: {finetune: faulty}}")
    store = Store(bench.folder / "store")
    the_plan, _ = bench.plan()
    (data,) = [key for key, stage in the_plan.stages.items() if stage.kind == "data"]
    executor = executors.Inline()
    submitted: list[str] = []
    looks: list[tuple[str, int]] = []
    submit, claimed = executor.submit, Store.claimed

    def counted(spec: Any, on_event: Any) -> None:
        submitted.append(spec.stage.key)
        submit(spec, on_event)

    with contextlib.ExitStack() as other:
        assert other.enter_context(store.claim(data))

        def look(self: Store, key: str) -> bool:
            looks.append((key, len(submitted)))
            if len(looks) == 3:  # its owner leaves, and has not made it
                other.close()
            return claimed(self, key)

        monkeypatch.setattr(executor, "submit", counted)
        monkeypatch.setattr(Store, "claimed", look)
        monkeypatch.setattr(runner, "RETRY_BUSY", 0.01)
        bench.run(store.root, executor)
    assert looks[:3] == [(data, 0)] * 3
    assert submitted[0] == data
    assert bench.rows(store.root)["toy"][0] == "ok"


@pytest.mark.slow
def test_a_run_says_for_whom_it_waits_and_that_it_no_longer_does(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage is claimed on a host that is dead: nothing happens for as long as that may be alive."""
    bench.matrix("{none: {finetune: none}}")
    store = Store(bench.folder / "store")
    store.prepare()
    (data,) = [stage for stage in bench.plan()[0].stages.values() if stage.kind == "data"]
    since = {"since": 1_700_000_000_000_000_000}
    store.claim_file(data.key).write_text(json.dumps({"host": "elsewhere", "pid": 7, "start": "1", **since}))
    monkeypatch.setattr(locks, "DEAD_AFTER", 1.5)
    monkeypatch.setattr(runner, "PATIENCE", 0.2)
    notes = [note for note in bench.run(store.root).notes if "elsewhere" in note]
    owner = "elsewhere (process 7, since 2023-11-14 22:13:20 UTC)"
    assert notes == [
        f"waiting for {data.label}, which {owner} is running; it runs here if that has no heartbeat for 2 s",
        f"{data.label}: {owner} no longer makes it; it runs here",
    ]
    assert bench.rows(store.root)["none"][0] == "ok"


@pytest.mark.slow
def test_a_short_wait_is_not_worth_a_word(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.matrix("{none: {finetune: none}}")
    store = Store(bench.folder / "store")
    store.prepare()
    (data,) = [key for key, stage in bench.plan()[0].stages.items() if stage.kind == "data"]
    store.claim_file(data).write_text(json.dumps({"host": "elsewhere", "pid": 7, "start": "1"}))
    monkeypatch.setattr(locks, "DEAD_AFTER", 0.2)
    assert not [note for note in bench.run(store.root).notes if "elsewhere" in note]


@pytest.mark.slow
def test_a_stage_that_says_nothing_is_remarked_on(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "QUIET", 0.1)
    bench.matrix("{toy: {finetune: {use: faulty, epochs: 1, seconds: 2}}}")
    said = [note for note in bench.run(bench.folder / "store").notes if "has logged nothing for" in note]
    assert [note for note in said if note.startswith("finetune faulty")]


@pytest.mark.long
def test_three_drivers_of_which_one_is_killed(bench: Any, watch: Any, figure: Callable[[str], None]) -> None:
    methods = "{none: {finetune: none}, toy: {finetune: {use: faulty, epochs: 4, seconds: 0.1}}}"
    bench.matrix(methods, seeds="[0, 1]")
    bench.run(bench.folder / "whole")
    bench.epochs()
    draw = random.Random(3)
    rounds, repeated = 3, 0
    for number in range(rounds):
        store = bench.folder / f"store-{number}"
        drivers = [bench.start(store, 1) for _ in range(3)]
        if number:  # the first round is without
            time.sleep(draw.uniform(1, 8))
            drivers[0].kill()
        said = [driver.communicate() for driver in drivers]
        assert [driver.returncode for driver in drivers[1:]] == [0, 0], said
        assert said[1][0] == said[2][0]
        assert bench.table(store) == bench.table(bench.folder / "whole")
        epochs = Counter(bench.epochs())
        assert set(epochs) == {f"{seed} {epoch}" for seed in (0, 1) for epoch in range(4)}
        twice = sum(epochs.values()) - len(epochs)
        assert twice <= (1 if number else 0)  # the killed one was in one epoch
        repeated += twice
        assert not list((store / "claims").glob("*.json"))
    figure(f"three drivers on one store, {rounds} rounds, one killed in {rounds - 1}: {repeated} epochs begun twice")
